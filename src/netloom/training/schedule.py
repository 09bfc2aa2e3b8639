"""The learning rate: a warm-up by steps, then down over the run, by steps or by minutes."""

from __future__ import annotations

import math

from netloom.training.settings import Settings

__all__ = ["learning_rate", "progress"]


def progress(settings: Settings, step: int, seconds: float) -> float:
    """Share of the run that is done, 0 to 1."""
    done = step / settings.steps if settings.steps else seconds / (60 * settings.minutes)
    return min(1.0, done)


def learning_rate(settings: Settings, step: int, seconds: float) -> float:
    """Of this step."""
    at = progress(settings, step, seconds)
    left = {"cosine": 0.5 * (1 + math.cos(math.pi * at)), "linear": 1 - at, "constant": 1.0}[settings.schedule]
    warm = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    return settings.lr * warm * (settings.last_lr + (1 - settings.last_lr) * left)
