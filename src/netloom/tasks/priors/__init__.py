"""Synthetic tasks, in batches that share their sizes; torch only, on CPU or GPU, the same again from (seed, rank, step).

Read draw.py (random numbers), sizes.py, inputs.py and mechanisms/ (one file per way in which a target comes about), columns/ (what tables
make of columns), targets/ (what is asked), and sample.py, which puts them together.
"""

from netloom.tasks.priors.batch import Tasks
from netloom.tasks.priors.draw import Draw
from netloom.tasks.priors.mechanisms import MECHANISMS
from netloom.tasks.priors.sample import sample
from netloom.tasks.priors.sizes import Ranges, Sizes, draw_sizes

__all__ = ["MECHANISMS", "Draw", "Ranges", "Sizes", "Tasks", "draw_sizes", "sample"]
