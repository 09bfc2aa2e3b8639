"""What competes on a task: families of features, from a linear model to everything at once, each a selection from the pool."""

from dataclasses import dataclass

import numpy as np

from netloom.errors import ConfigError
from netloom.loom.pool import Pool
from netloom.loom.rules import GROWN

__all__ = ["FAMILIES", "Selection", "families_named", "parts_there", "select"]

FAMILIES: dict[str, tuple[str, ...]] = {  # family: the parts of the pool it reads
    "linear": ("values",),
    "cells": ("cells",),
    "random": ("values", "random"),
    "cells + random": ("cells", "random"),
    "cells + rules": ("cells", "rules"),
    "cells + random + rules": ("cells", "random", "rules"),
    "woven": ("woven",),
    "woven ranked": ("woven ranked",),
    "woven twice": ("woven", "woven ranked"),
    "woven lightly": ("woven lightly",),  # its neurons count less beside its cells
    "woven + random + rules": ("woven", "random", "rules"),
    "woven + random + boosted": ("woven", "random", "boosted"),
    "woven ranked + random + rules": ("woven ranked", "random", "rules"),
    "cells + random + boosted": ("cells", "random", "boosted"),
    "cells + extra": ("cells", "extra"),
}
GROUPS = {
    "all": (  # what fit compares; see docs/decisions/0003, 0061, 0062, 0064 and 0071
        *("linear", "cells", "random", "cells + rules", "cells + extra"),
        *("woven + random + boosted", "woven ranked + random + rules"),
    ),
    "untrained": (  # nothing that a loom made
        *("linear", "cells", "random"),
        *("cells + random", "cells + rules", "cells + random + rules", "cells + random + boosted", "cells + extra"),
    ),
    "no trees": ("linear", "cells", "random", "cells + random"),  # nor a tree: "untrained" before there were rules
    "woven": ("woven", "woven ranked", "woven twice", "woven lightly"),  # nothing but
}


def families_named(which: str) -> dict[str, tuple[str, ...]]:
    """The families of a group ("all", "untrained", "no trees", "woven"), or one family by its name.

    Raises
    ------
    ConfigError : if there is no such group or family
    """
    names = GROUPS.get(which, (which,))
    if any(name not in FAMILIES for name in names):
        raise ConfigError(f"families = {which!r}: unknown; use {', '.join(dict.fromkeys([*GROUPS, *FAMILIES]))}")
    return {name: FAMILIES[name] for name in names}


@dataclass(frozen=True, eq=False)
class Selection:
    """Features of the pool (indices ``index`` (p,)), their means (p,) and prior scales (p,): a readout sees (f - mean) * prior."""

    index: np.ndarray
    mean: np.ndarray
    prior: np.ndarray

    def of(self, features: np.ndarray) -> np.ndarray:
        """Scaled features (n, p) of all features (n, all), in the precision of the means: float64 if they are."""
        scaled = features[:, self.index] - self.mean
        scaled *= self.prior
        return scaled


def parts_there(pool: Pool, parts: tuple[str, ...]) -> tuple[str, ...] | None:
    """Those of ``parts`` that the pool has: where trees find nothing to cut there are no rules, and a family is what it is without them.
    None where another part does not exist.
    """
    there = tuple(part for part in parts if part in pool.parts or part not in GROWN)
    return there if all(part in pool.parts for part in there) else None


def select(pool: Pool, parts: tuple[str, ...], mean: np.ndarray, deviation: np.ndarray) -> Selection | None:
    """The features of `parts_there`, given the mean and deviation (all,) of every pool feature; None where there are none."""
    there = parts_there(pool, parts)
    if there is None:
        return None
    index, prior = [], []
    for part in there:
        chosen = pool.parts[part]
        index.append(chosen)
        generated = pool.priors.get(part)
        prior.append(generated if generated is not None else 1 / np.maximum(deviation[chosen], 2e-2) / np.sqrt(len(chosen)))
    return Selection(np.concatenate(index), mean[np.concatenate(index)], np.concatenate(prior))
