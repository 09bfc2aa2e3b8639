"""The curves of a run from its log: ``python -m netloom.training.plot FOLDER``. Needs matplotlib; without it there is no plot."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["plot_run", "read_log"]


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Events of a run in order; steps that a resumed run did again are there once, a torn last line is left out."""
    events: list[dict[str, Any]] = []
    for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event["event"] == "begin":
            events = [e for e in events if e["step"] <= event["step"]]
        events.append(event)
    return events


def plot_run(folder: Path) -> Path | None:
    """Write ``curves.png`` beside the log: losses and validation against tasks seen; None without matplotlib or without steps."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot as plt
    except ImportError:
        return None
    events = read_log(folder)
    steps = [e for e in events if e["event"] == "step"]
    checks = [e for e in events if e["event"] == "validation"]
    if not steps and not checks:
        return None
    real = [name for name in ("real auc", "real r2", "real loss") if any(e.get(name) is not None for e in checks)]
    figure, axes = plt.subplots(1, 1 + len(real), figsize=(5.5 * (1 + len(real)), 4), squeeze=False, layout="constrained")
    for name, colour in (("classes", "tab:blue"), ("values", "tab:orange")):
        points = [(e["tasks"], e[name]) for e in steps if e.get(name) is not None]
        if points:
            axes[0, 0].plot(*zip(*points, strict=True), color=colour, alpha=0.35, lw=1, label=f"{name}, training")
        points = [(e["tasks"], e[name]) for e in checks if e.get(name) is not None]
        if points:
            axes[0, 0].plot(*zip(*points, strict=True), "o-", color=colour, ms=3, label=f"{name}, validation")
    axes[0, 0].set_ylabel("loss after the last block")
    axes[0, 0].legend(frameon=False)
    for ax, name in zip(axes[0, 1:], real, strict=True):
        points = [(e["tasks"], e[name]) for e in checks if e.get(name) is not None]
        ax.plot(*zip(*points, strict=True), "o-", color="tab:green", ms=3)
        ax.set_ylabel(f"{name}, tables not trained on")
    for ax in axes[0]:
        ax.set_xlabel("tasks seen")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.2)
    path = folder / "curves.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


if __name__ == "__main__":
    print(plot_run(Path(sys.argv[1])))
