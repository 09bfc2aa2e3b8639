"""What every generator is: a condition (B, C) in, parameters ``{name: (B, *shape)}`` out, around one learned start.

``parameters = start + difference(condition)``. The start (theta0) is what an untrained network of that shape would have, or the
module's own values; ``spread`` is how large the differences between tasks are at first, relative to the start's own size: 0 is a
zero-initialised difference, all tasks alike. Without a start a generator's outputs grow with its condition and training suffers (Ortiz
et al. 2023).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from netloom.errors import ToolkitError
from netloom.toolkit.check import check_count
from netloom.toolkit.start import scales, standard_start

__all__ = ["Generator", "trunk", "unit_groups"]


class Generator(nn.Module):
    """Base of all generators; a new one implements ``emit`` and, where it has more to set up, its constructor.

    Parameters
    ----------
    shapes : name -> shape, a target's ``shapes``
    condition_size : C
    start : name -> tensor, usually ``target.initial()``; None draws what torch's own layers of these shapes start from
    spread : size of the differences between tasks at first, relative to the start's own; 0 for none
    """

    takes_sets = False  # whether conditions may be sets of tokens (B, S, C)
    additive = True  # whether parameters are start + scale * numbers; else they modulate the start and cannot do without it
    independent = True  # whether weights of one layer are uncorrelated at first, as rules for variances assume

    def __init__(
        self, shapes: Mapping[str, Sequence[int]], condition_size: int, *, start: Mapping[str, Tensor] | None = None, spread: float = 0.1
    ) -> None:
        super().__init__()
        if not isinstance(shapes, Mapping):
            raise ToolkitError(f"shapes must be a mapping name -> shape, such as target.shapes, not {type(shapes).__name__}")
        if not shapes:
            raise ToolkitError("shapes is empty: there is nothing to generate")
        check_count("condition_size", condition_size)
        if not spread >= 0:
            raise ToolkitError(f"spread = {spread}: must be 0 or above")
        self.shapes = {name: torch.Size(shape) for name, shape in shapes.items()}
        self.condition_size, self.spread = condition_size, spread
        self.sizes = [shape.numel() for shape in self.shapes.values()]
        if start is None:
            start = standard_start(self.shapes)
        elif start.keys() != self.shapes.keys() or any(start[name].shape != shape for name, shape in self.shapes.items()):
            raise ToolkitError("start must hold one tensor per name in shapes, of that shape; use target.initial()")
        flat = torch.cat([start[name].detach().reshape(-1).to(torch.get_default_dtype()) for name in self.shapes])
        self.start = nn.Parameter(flat)  # (P,)  theta0, learned
        self.register_buffer("scale", scales(self.shapes))  # (P,)  size of an ordinary weight at each place
        self.scale: Tensor

    @property
    def count(self) -> int:
        """P, how many numbers are generated per task."""
        return sum(self.sizes)

    def forward(self, condition: Tensor) -> dict[str, Tensor]:
        """Parameters ``{name: (B, *shape)}`` for conditions (B, C)."""
        if not isinstance(condition, Tensor):
            raise ToolkitError(f"condition must be a tensor (B, {self.condition_size}), not {type(condition).__name__}")
        kinds = (2, 3) if self.takes_sets else (2,)
        if condition.ndim not in kinds or condition.shape[-1] != self.condition_size:
            sets = f" or (B, S, {self.condition_size})" if self.takes_sets else ""
            raise ToolkitError(f"condition has shape {tuple(condition.shape)}, but must be (B, {self.condition_size}){sets}")
        if len(condition) == 0:
            raise ToolkitError("condition is for 0 tasks; give at least one")
        if condition.dtype != self.start.dtype:
            raise ToolkitError(f"condition is {condition.dtype}, but the generator {self.start.dtype}; use .to({self.start.dtype})")
        if condition.device != self.start.device:
            raise ToolkitError(f"condition is on {condition.device}, but the generator on {self.start.device}")
        return self.emit(condition)

    def emit(self, condition: Tensor) -> dict[str, Tensor]:
        """The parameters of checked conditions."""
        raise NotImplementedError

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        """Numbers (B, P) or (P,) as tensors by name."""
        parts = flat.split(self.sizes, -1)
        return {
            name: part.unflatten(-1, shape) if shape else part[..., 0]
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def parts(self, flat: Tensor) -> dict[str, Tensor]:
        """Numbers (..., P) by name, each still flat."""
        return dict(zip(self.shapes, flat.split(self.sizes, -1), strict=True))


def trunk(size: int, hidden: Sequence[int]) -> tuple[nn.Module, int]:
    """Hidden layers between the condition and the last one, and how wide it ends."""
    layers: list[nn.Module] = []
    for width in hidden:
        check_count("hidden", width)
        layers += [nn.Linear(size, width), nn.GELU()]
        size = width
    return nn.Sequential(*layers), size


def unit_groups(shapes: Mapping[str, Sequence[int]]) -> dict[str, list[str]]:
    """Parameters that share output units: a layer's weight with its bias, by the weight's name (a lone vector is its own group)."""
    groups: dict[tuple[str, int], list[str]] = {}
    for name, shape in shapes.items():
        if len(shape):
            groups.setdefault((name.replace("weight", "#").replace("bias", "#"), shape[0]), []).append(name)
    return {max(names, key=lambda name: (len(shapes[name]), "weight" in name)): names for names in groups.values()}
