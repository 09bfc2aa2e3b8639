"""How targets depend on columns: one small sampler per file, and this dict.

A sampler takes ``(draw, B, n, d, q)`` and gives columns (B, n, d) and q latent targets (B, n, q) of the same columns.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from netloom.tasks.priors.draw import Draw
from netloom.tasks.priors.mechanisms.additive import additive
from netloom.tasks.priors.mechanisms.causal_network import causal_network
from netloom.tasks.priors.mechanisms.clusters import clusters
from netloom.tasks.priors.mechanisms.forest import forest
from netloom.tasks.priors.mechanisms.gaussian_process import gaussian_process
from netloom.tasks.priors.mechanisms.linear import linear
from netloom.tasks.priors.mechanisms.nearest import nearest
from netloom.tasks.priors.mechanisms.products import products
from netloom.tasks.priors.mechanisms.rules import rules
from netloom.tasks.priors.mechanisms.uneven import uneven

__all__ = ["MECHANISMS", "Mechanism"]


class Mechanism(NamedTuple):
    """A sampler, how often it is drawn, how often its values are cut exactly (equal values, equal class), whether noise may be added."""

    sample: Callable[[Draw, int, int, int, int], tuple[Tensor, Tensor]]
    weight: float
    exact: float = 0.0
    noisy: bool = False
    levels: bool = False  # its columns are levels already


MECHANISMS: dict[str, Mechanism] = {
    "causal network": Mechanism(causal_network, 0.36, noisy=True),
    "forest": Mechanism(forest, 0.16, noisy=True),
    "linear": Mechanism(linear, 0.08),
    "additive": Mechanism(additive, 0.09),
    "rules": Mechanism(rules, 0.09, exact=0.7, levels=True),
    "products": Mechanism(products, 0.06),
    "gaussian process": Mechanism(gaussian_process, 0.04),
    "nearest": Mechanism(nearest, 0.04),
    "clusters": Mechanism(clusters, 0.05, exact=0.8),
    "uneven": Mechanism(uneven, 0.03),
}
