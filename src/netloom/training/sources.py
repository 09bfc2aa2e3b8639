"""Where the tasks of a step come from: priors, and real tables where there are some."""

from __future__ import annotations

import torch

from netloom.tasks.priors import Draw, Tasks, draw_sizes, sample
from netloom.tasks.real import RealTable, sample_table
from netloom.training.settings import Settings

__all__ = ["Sources"]

ATTEMPTS = 20  # targets tried before a synthetic batch is drawn instead


class Sources:
    """Draws batches. ``tables`` are those trained on, ``others`` those of the half that was set aside; ``notes`` say what was left out."""

    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.settings = settings
        self.notes: list[str] = []
        self.tables: list[RealTable] = []
        self.others: list[RealTable] = []
        if settings.tables:
            from netloom.tasks.pack import load_tables

            every = [table.to(device) for table in load_tables(settings.tables, self.notes.append)]
            self.tables = [table for i, table in enumerate(every) if settings.half < 0 or i % 2 == settings.half]
            self.others = [table for i, table in enumerate(every) if settings.half >= 0 and i % 2 != settings.half]

    def sample(self, draw: Draw) -> Tasks:
        """The batch of one group of one step."""
        work = self.settings.work / self.settings.groups
        if self.tables and draw.chance(self.settings.real):
            for _ in range(ATTEMPTS):
                tasks = sample_table(draw, draw.pick(self.tables), self.settings.ranges, work)
                if tasks is not None:
                    return tasks
        return sample(draw, draw_sizes(draw, self.settings.ranges, work))
