"""What a run says: a line of JSON per event in ``log.jsonl``, a line for people on standard output, a plot at the end."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.errors import FileError
from netloom.loom.hypernetwork import Hypernetwork
from netloom.training.checkpoint import State
from netloom.training.plot import plot_run
from netloom.training.schedule import progress
from netloom.training.settings import Settings
from netloom.training.sources import Sources

if TYPE_CHECKING:
    from netloom.training.trainer import Group

__all__ = ["Log"]

NAME = "log.jsonl"


class Log:
    """Gathers steps and tells them every ``log_every``; silent where ``say`` is None (all processes but the first)."""

    def __init__(self, out: Path, say: Callable[[str], None] | None) -> None:
        self.out, self.say = out, say
        self.gathered: dict[str, list[float]] = {"loss": [], "classes": [], "values": []}
        self.drawing = 0.0
        self.since: tuple[float, int] | None = None  # seconds and tasks at the last line

    def begin(self, settings: Settings, state: State, loom: Hypernetwork, sources: Sources) -> None:
        self.since = (state.seconds, state.tasks)
        weights = sum(w.numel() for w in loom.parameters())
        names = [table.name for table in sources.tables]
        self._write("begin", step=state.step, settings=settings.to_dict(), weights=weights, tables=names, notes=sources.notes)
        if self.say:
            for note in sources.notes:
                self.say(note)
            source = f", {len(names)} tables" if names else ""
            start = f"going on at step {state.step}" if state.step else "new run"
            self.say(f"{start}: {weights:,} weights{source}, writes {self.out}")

    def step(self, state: State, settings: Settings, rate: float, groups: list[Group]) -> None:
        """One step; ``groups`` are this process's."""
        for group in groups:
            last = float(group.losses[-1])
            self.gathered["loss"].append(last)
            self.gathered["classes" if group.fed.outputs else "values"].append(last)
            self.drawing += group.drawing
        if state.step % settings.log_every or self.since is None:
            return
        seconds, tasks = state.seconds - self.since[0], state.tasks - self.since[1]
        means = {name: sum(values) / len(values) for name, values in self.gathered.items() if values}
        done = progress(settings, state.step, state.seconds)
        left = state.seconds / done - state.seconds if done else math.nan
        if settings.minutes:
            left = 60 * settings.minutes - state.seconds
        per_second, drawing = tasks / max(seconds, 1e-9), self.drawing / max(seconds, 1e-9)
        skipped = state.skipped_groups
        self._write("step", step=state.step, tasks=state.tasks, rate=per_second, lr=rate, drawing=drawing, skipped=skipped, **means)
        if self.say:
            words = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
            self.say(
                f"{state.seconds:7.0f} s  step {state.step}  tasks {state.tasks}  {words}  {per_second:.0f} tasks/s, "
                f"{100 * drawing:.0f} % drawing  skipped {skipped}  left {_span(left)}"
            )
        self.gathered = {name: [] for name in self.gathered}
        self.drawing, self.since = 0.0, (state.seconds, state.tasks)

    def validation(self, state: State, scores: dict[str, float]) -> None:
        self._write("validation", step=state.step, tasks=state.tasks, best_step=state.best_step, **scores)
        if self.say:
            words = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
            self.say(f"{state.seconds:7.0f} s  step {state.step}  validation  {words}{'  best' if state.best_step == state.step else ''}")

    def end(self, state: State, *, stopped: bool) -> None:
        self._write("end", step=state.step, tasks=state.tasks, stopped=stopped)
        if self.say is None:
            return
        drawn = plot_run(self.out)
        files = ", ".join(str(path) for path in (self.out / "loom.safetensors", drawn) if path)
        self.say(f"{'stopped' if stopped else 'done'} at step {state.step}: {files}")

    def _write(self, event: str, **content: Any) -> None:
        if self.say is None:
            return
        plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in content.items()}
        line = json.dumps({"event": event, "time": round(time.time(), 1), **plain}) + "\n"
        try:
            with open(self.out / NAME, "ab", buffering=0) as file:  # one write: a line is there whole, or not at all
                file.write(line.encode())
        except OSError as error:
            raise FileError(f"{self.out / NAME}: cannot be written: {error.strerror}; the last checkpoint is whole") from None


def _span(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "?"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
