"""Meta-training. Read `Trainer.run`: the whole loop is there.

A step is ``groups`` batches of tasks, each with sizes of its own. Group g of step s is a function of (seed, g, s): a resumed run draws the
tasks that the stopped one would have drawn, and two processes that share the groups make the gradient that one would have made.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from netloom.errors import ConfigError, FileError, NotWovenError
from netloom.tasks.priors import Draw
from netloom.toolkit.adamw import AdamW
from netloom.training.checkpoint import State, build_loom, load_run, save_run, save_weights
from netloom.training.feed import Fed, feed
from netloom.training.log import Log
from netloom.training.loss import deep_loss, identities, query_losses
from netloom.training.parallel import Processes
from netloom.training.schedule import learning_rate, progress
from netloom.training.settings import Settings
from netloom.training.sources import Sources
from netloom.training.validation import Validation

__all__ = ["Trainer", "pretrain"]


@dataclass
class Group:
    """What one batch gave: its losses by block, and what it was."""

    fed: Fed
    losses: Tensor
    source: str
    drawing: float  # seconds to draw and feed it


class Trainer:
    """A run: the loom, its averaged weights, the optimiser and where it stands. The constructor takes up what is in ``out``."""

    def __init__(self, settings: Settings, say: Callable[[str], None] = print) -> None:
        self.settings = settings
        self.device = _device(settings.device)
        torch.set_num_threads(settings.threads)
        self.processes = Processes(self.device)
        self.out = Path(settings.out)
        torch.manual_seed(settings.seed)  # of the first weights only
        self.loom = build_loom(settings.init, settings.width, settings.neurons, settings.copies, settings.rounds).to(self.device)
        self.loom.mixed = settings.mixed
        self.weights: list[Tensor] = list(self.loom.parameters())
        self.gradients = [torch.zeros_like(w) for w in self.weights]
        self.average = [w.detach().clone() for w in self.weights]
        self.optimizer = AdamW(self.weights, settings.betas, settings.weight_decay)
        self.state = State()
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{self.out}: this folder cannot be made ({error.strerror}); give another out") from None
        found = load_run(self.out, self.loom, self.average, self.optimizer)
        if found is not None:
            self.state = found
        self.sources = Sources(settings, self.device)
        self.validation = Validation(settings, self.sources, self.device)
        self.log = Log(self.out, say if self.processes.first else None)
        self.asked = False  # a signal asks this process to stop
        self.stop = False  # all processes have agreed to

    def run(self) -> State:
        """Train until the steps or minutes are over, or until a signal asks to stop; the last step is saved."""
        settings, state = self.settings, self.state
        self.log.begin(settings, state, self.loom, self.sources)
        handlers = self._listen()
        try:
            while progress(settings, state.step, state.seconds) < 1 and not self.stop:
                started = time.perf_counter()
                rate = learning_rate(settings, state.step, state.seconds)
                torch._foreach_zero_(self.gradients)
                groups = [self.weave_group(state.step, g) for g in range(self.processes.rank, settings.groups, self.processes.count)]
                good, tasks = self.share_gradients([group for group in groups if group is not None])
                self.update(good, rate)
                state.step += 1
                state.tasks += tasks
                state.skipped_groups += settings.groups - good
                state.seconds += self.same_seconds(time.perf_counter() - started)
                self.log.step(state, settings, rate, [group for group in groups if group is not None])
                if state.step % settings.validate_every == 0:
                    self.validate()
                if state.step % settings.save_every == 0:
                    self.save()
            if state.step % settings.validate_every:
                self.validate()
            self.save()
            self.log.end(state, stopped=self.stop)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            self.processes.end()
        return state

    def weave_group(self, step: int, g: int) -> Group | None:
        """Add the gradient of one batch of tasks; None where its numbers are not finite (then it added nothing)."""
        settings = self.settings
        started = time.perf_counter()
        draw = Draw(settings.seed, g, step, self.device)
        tasks = self.sources.sample(draw)
        ranked = draw.chance(settings.ranked)
        fed = feed(tasks, ranked=ranked, beside=draw if draw.chance(settings.beside) else None)
        columns, outputs = identities(fed, self.loom.D, draw.generator)
        blocks = draw.between(*settings.blocks)
        drawing = time.perf_counter() - started
        try:
            losses = query_losses(self.loom, fed, columns, outputs, blocks)
        except (NotWovenError, torch.linalg.LinAlgError):  # a degenerate task: left out, and counted
            return None
        loss = deep_loss(losses, settings.earlier)
        if not bool(torch.isfinite(loss)):
            return None
        gradient = torch.autograd.grad(loss, self.weights, allow_unused=True)
        norm = torch.stack(torch._foreach_norm([part for part in gradient if part is not None])).norm()
        if not bool(torch.isfinite(norm)):
            return None
        scale = float(min(1.0, settings.clip / (norm + 1e-6)))  # each batch is clipped, so that no odd one rules the step
        for total, part in zip(self.gradients, gradient, strict=True):
            if part is not None:
                total.add_(part, alpha=scale)
        return Group(fed, losses.detach(), tasks.source, drawing)

    def share_gradients(self, groups: list[Group]) -> tuple[int, int]:
        """Sum gradients over processes and divide by the good groups; how many were good, and how many tasks they held."""
        counts = torch.tensor([float(len(groups)), sum(len(group.fed) for group in groups), self.asked], device=self.device)
        self.processes.sum([*self.gradients, counts])
        good, tasks, self.stop = int(counts[0]), int(counts[1]), self.stop or bool(counts[2])
        if good > 1:
            torch._foreach_div_(self.gradients, float(good))
        return good, tasks

    def update(self, good: int, rate: float) -> None:
        """One step of the optimiser, and of the average; a step without a finite gradient changes nothing."""
        norm = torch.stack(torch._foreach_norm(self.gradients)).norm()
        if not good or not bool(torch.isfinite(norm)):
            self.state.skipped_steps += 1
            return
        self.optimizer.step(self.gradients, rate)
        step = self.state.step - self.state.skipped_steps
        keep = min(self.settings.ema, (1 + step) / (10 + step))  # the first steps are forgotten fast
        torch._foreach_lerp_(self.average, [w.detach() for w in self.weights], 1 - keep)

    def validate(self) -> None:
        """Score the averaged weights; keep the best."""
        if not self.processes.first:
            return
        live = [w.detach().clone() for w in self.weights]
        with torch.no_grad():
            torch._foreach_copy_(self.weights, self.average)
            scores = self.validation.scores(self.loom)
            torch._foreach_copy_(self.weights, live)
        state = self.state
        state.validation = scores
        judged = scores.get("real loss", scores["loss"])
        if judged < state.best:
            state.best, state.best_step = judged, state.step
            save_weights(self.out / "best.safetensors", self.loom, self.average, state)
        self.log.validation(state, scores)

    def save(self) -> None:
        if self.processes.first:
            save_run(self.out, self.loom, self.average, self.optimizer, self.state, self.settings.to_dict())

    def same_seconds(self, seconds: float) -> float:
        """The first process's time, for all: the schedule must be the same."""
        clock = torch.tensor([seconds if self.processes.first else 0.0], device=self.device)
        self.processes.sum([clock])
        return float(clock)

    def _listen(self) -> dict[int, Any]:
        """End after the step at hand when asked to; a second signal ends at once."""

        def ask(number: int, frame: FrameType | None) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True
            self.stop = self.processes.count == 1

        try:
            return {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread
            return {}


def pretrain(settings: Settings, say: Callable[[str], None] = print) -> State:
    """Train, or go on with the run in ``settings.out``; returns where it stands.

    Raises
    ------
    ConfigError : settings that do not fit the run in ``out``;  FileError : a checkpoint or table that cannot be read, no space left
    """
    return Trainer(settings, say).run()


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device = {name!r}: torch sees no GPU here; use cpu or auto")
    if name == "cuda" and "LOCAL_RANK" in os.environ:  # torchrun: GPUs are dealt out, more processes than GPUs share them
        name = f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"
    return torch.device(name)
