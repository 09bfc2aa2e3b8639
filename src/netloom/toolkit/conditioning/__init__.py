"""What a task is known by, as a condition (B, C) for a generator: its number, a vector, labelled examples, a series."""

from netloom.toolkit.conditioning.examples import AttentionSet, DeepSet
from netloom.toolkit.conditioning.known import TaskId, Vector
from netloom.toolkit.conditioning.series import Series

__all__ = ["AttentionSet", "DeepSet", "Series", "TaskId", "Vector"]
