"""Generated architecture: which units and which layers of the target are kept, task by task, around any other generator.

A dropped unit has a weight and bias of 0, a dropped layer all of them (in a residual net the layer is gone). Two ways to decide:
"straight-through": kept where a generated logit is above 0, gradients as if by its sigmoid (Bengio et al. 2013);
"evidence": each gate has a posterior N(mean, sd^2) and a prior N(0, 1), and is kept where the Savage-Dickey ratio says it is not 0.
Add `price` to the loss: without one nothing is ever dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from netloom.errors import ToolkitError
from netloom.toolkit.generators.base import Generator, unit_groups
from netloom.toolkit.generators.full import Full

__all__ = ["Masks"]

MODES = ("straight-through", "evidence")
_NOT_UNITS = ("_hh", "_ih", "in_proj", "q_proj", "k_proj", "v_proj")  # rows of these are parts of units


class Masks(Generator):
    """Gates on the units (rows) and layers of what an inner generator emits.

    Parameters
    ----------
    shapes, condition_size, start, spread : see `Generator`
    inner : class of the generator of the weights, `Full` by default; ``inner_options`` are its own
    mode : "straight-through" or "evidence"
    units : patterns of weights whose rows are gated; by default every matrix but the last, whose rows are the outputs
    layers : patterns of weights that are kept or dropped as a whole; none by default
    """

    def __init__(
        self,
        shapes: Mapping[str, Sequence[int]],
        condition_size: int,
        *,
        inner: type[Generator] = Full,
        inner_options: Mapping[str, Any] | None = None,
        mode: str = "straight-through",
        units: Sequence[str] | str | None = None,
        layers: Sequence[str] | str = (),
        **options: Any,
    ) -> None:
        super().__init__(shapes, condition_size, **options)
        if mode not in MODES:
            raise ToolkitError(f"mode = {mode!r}: must be one of {', '.join(MODES)}")
        if not (isinstance(inner, type) and issubclass(inner, Generator)):
            raise ToolkitError(f"inner = {inner!r}: must be a class of generators, such as generators.Full")
        self.mode = mode
        self.inner = inner(shapes, condition_size, **options, **(inner_options or {}))
        del self.start  # the inner generator has it
        self.start = self.inner.start
        self.members = unit_groups(self.shapes)  # weight -> itself and its bias
        matrices = [name for name in self.members if len(self.shapes[name]) >= 2 and not any(part in name for part in _NOT_UNITS)]
        self.units = {name: self.shapes[name][0] for name in (_picked(units, self.members) if units is not None else matrices[:-1])}
        self.layers = _picked(layers, self.members)
        self.total = total = sum(self.units.values()) + len(self.layers)
        self.gates = nn.Linear(condition_size, max(total, 1) * (2 if mode == "evidence" else 1))
        with torch.no_grad():
            self.gates.weight.normal_(0, 0.5 / condition_size**0.5)
            self.gates.bias.fill_(2.0)  # all kept at first: sigmoid(2) = .88
            if mode == "evidence":
                mean, log_sd = self.gates.bias.chunk(2)
                mean.fill_(1.0)
                log_sd.fill_(-1.5)

    def emit(self, condition: Tensor) -> dict[str, Tensor]:
        out = self.inner.emit(condition)
        soft, hard = self._decide(condition)
        gate = hard + soft - soft.detach() if self.mode == "straight-through" else soft * hard + (soft - soft.detach()) * (1 - hard)
        units, layers = gate.split([sum(self.units.values()), len(self.layers)], -1)
        for name, given in zip(self.units, units.split(list(self.units.values()), -1), strict=True):
            for member in self.members[name]:
                out[member] = out[member] * given.view(*given.shape, *[1] * (len(self.shapes[member]) - 1))
        for i, name in enumerate(self.layers):
            for member in self.members[name]:
                out[member] = out[member] * layers[:, i].view(-1, *[1] * len(self.shapes[member]))
        return out

    def kept(self, condition: Tensor) -> dict[str, Tensor]:
        """The architecture: weight name -> which units are kept (B, units), of a dropped layer none."""
        hard = self._decide(condition)[1].bool()
        units, layers = hard.split([sum(self.units.values()), len(self.layers)], -1)
        out = dict(zip(self.units, units.split(list(self.units.values()), -1), strict=True))
        for i, name in enumerate(self.layers):
            rows = out.get(name, units.new_ones(len(units), self.shapes[name][0]))
            out[name] = rows & layers[:, i : i + 1]
        return out

    def price(self, condition: Tensor) -> Tensor:
        """What the architecture costs (B,): the expected share of gates kept, or their mean divergence from the prior (nats)."""
        given = self.gates(condition)
        if not self.total:
            return given.new_zeros(len(given))
        if self.mode == "straight-through":
            return torch.sigmoid(given).mean(-1)
        mean, log_sd = given.chunk(2, -1)
        return (0.5 * (mean.square() + torch.exp(2 * log_sd) - 1) - log_sd).mean(-1)

    def _decide(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Soft and hard gates (B, gates)."""
        given = self.gates(condition)
        if self.mode == "straight-through":
            given = given[:, : self.total]
            return torch.sigmoid(given), (given > 0).to(given.dtype)
        mean, log_sd = (part[:, : self.total] for part in given.chunk(2, -1))
        log_sd = log_sd.clamp(-6, 2)
        evidence = log_sd + 0.5 * (mean * torch.exp(-log_sd)).square()  # log odds of "not 0" over "0"
        soft = mean + torch.exp(log_sd) * torch.randn_like(mean) if self.training else mean
        return soft, (evidence > 0).to(given.dtype)


def _picked(patterns: Sequence[str] | str, members: Mapping[str, list[str]]) -> list[str]:
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in members):
            raise ToolkitError(f"{pattern!r} matches no layer; there are {', '.join(repr(name) for name in members)}")
    return [name for name in members if any(fnmatchcase(name, pattern) for pattern in patterns)]
