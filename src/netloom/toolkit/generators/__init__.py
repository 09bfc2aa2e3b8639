"""Generators: conditions in, parameters of many networks out. One file each, same contract; read `base`, then any.

A new one is one file and one entry in `GENERATORS`; contract tests run over all of them.
"""

from netloom.toolkit.generators.base import Generator
from netloom.toolkit.generators.chunked import Chunked
from netloom.toolkit.generators.film import FiLM
from netloom.toolkit.generators.full import Full
from netloom.toolkit.generators.lowrank import LowRank
from netloom.toolkit.generators.masks import Masks
from netloom.toolkit.generators.neurons import Neurons
from netloom.toolkit.generators.tokens import Tokens

__all__ = ["GENERATORS", "Chunked", "FiLM", "Full", "Generator", "LowRank", "Masks", "Neurons", "Tokens"]

GENERATORS: dict[str, type[Generator]] = {
    "full": Full,
    "low-rank": LowRank,
    "film": FiLM,
    "chunked": Chunked,
    "tokens": Tokens,
    "neurons": Neurons,
    "masks": Masks,
}
