"""What is asked: classes.py and values.py turn latent targets into labels and numbers."""

from netloom.tasks.priors.targets.classes import argmax_classes, cut_classes, mislabel
from netloom.tasks.priors.targets.values import to_values

__all__ = ["argmax_classes", "cut_classes", "mislabel", "to_values"]
