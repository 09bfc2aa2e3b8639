"""What a network does, column by column, from its weights alone: no labels needed.

Read reading.py (the network taken apart by columns), contributions.py (rows), shapes.py (columns), pairs.py (two columns), unlike.py
(rows unlike those of training), at last explanation.py, which puts them together.
"""

from netloom.target.explain.explanation import Explanation, Pair, explain
from netloom.target.explain.shapes import Shape

__all__ = ["Explanation", "Pair", "Shape", "explain"]
