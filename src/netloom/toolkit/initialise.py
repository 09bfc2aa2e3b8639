"""Where a hypernetwork starts. The usual mistake: initialise it like any network, and the network it generates explodes or dies.

`bias_init` starts from theta0 with no (or a small) difference; `hyperfan_in` and `hyperfan_out` give generated weights the variance that
keeps activations, or gradients, of one size (Chang et al. 2020); `ConstantMagnitude` stops outputs from growing with the condition
(Ortiz et al. 2023, "magnitude invariant parametrizations"). Generators start from theta0 by themselves: use these to start otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from netloom.errors import ToolkitError
from netloom.toolkit.generators.base import Generator
from netloom.toolkit.generators.masks import Masks
from netloom.toolkit.start import fan_in, is_bias

__all__ = ["ConstantMagnitude", "bias_init", "hyperfan_in", "hyperfan_out"]


@torch.no_grad()
def bias_init(generate: Generator, start: Mapping[str, Tensor], conditions: Tensor, spread: float = 0.0) -> None:
    """Generate ``start`` for every condition, plus differences of relative size ``spread`` (0: all tasks alike at first).

    Parameters
    ----------
    generate : any generator
    start : name -> tensor, usually ``target.initial()``
    conditions : Tensor (B, C), typical ones; their mean is what ``start`` belongs to
    spread : standard deviation between tasks, relative to the size of an ordinary weight
    """
    generate = _inner(generate)
    if start.keys() != generate.shapes.keys():
        raise ToolkitError("start must hold one tensor per name in the generator's shapes; use target.initial()")
    if not generate.additive:  # it modulates its start: that is the one to set
        generate.start.copy_(torch.cat([start[name].reshape(-1) for name in generate.shapes]))
        return
    numbers = _numbers(generate, conditions)  # (B, P)
    size = float(numbers.std(0).square().mean().sqrt())
    generate.scale.mul_(spread / size if size > 0 else 0.0)
    middle = _numbers(generate, conditions).mean(0) if spread else 0.0
    generate.start.copy_(torch.cat([start[name].reshape(-1) for name in generate.shapes]) - middle * generate.scale)


@torch.no_grad()
def hyperfan_in(generate: Generator, conditions: Tensor, *, relu: bool = True) -> None:
    """Generated weights whose variance over conditions keeps the variance of activations (Chang et al. 2020, eq. 7 and 9).

    Everything is generated: the learned start becomes 0 (scales of normalisation layers 1).

    Parameters
    ----------
    generate : a generator that adds independent numbers to its start: `Full`, `LowRank`, `Chunked`
    conditions : Tensor (B, C) with B of at least 2, typical ones
    relu : whether the target's nonlinearities halve the variance
    """
    biased = any(is_bias(name) for name in generate.shapes)

    def variance(name: str, shape: torch.Size) -> float:
        gain = 2.0 if relu else 1.0
        if is_bias(name):
            return gain / 2
        return gain / (fan_in(shape) * (2 if biased else 1))  # the bias takes its half

    _set_variance(generate, conditions, variance)


@torch.no_grad()
def hyperfan_out(generate: Generator, conditions: Tensor, *, relu: bool = True) -> None:
    """Generated weights whose variance over conditions keeps the variance of gradients (Chang et al. 2020, eq. 11 and 12).

    Parameters are those of `hyperfan_in`.
    """

    def variance(name: str, shape: torch.Size) -> float:
        gain = 2.0 if relu else 1.0
        if not is_bias(name):
            fan_out = shape[0] * math.prod(shape[2:])
            return gain / fan_out
        weight = generate.shapes.get(name.replace("bias", "weight"))
        return gain * max(1 - fan_in(weight) / shape[0], 0.0) if weight is not None and len(weight) >= 2 else 0.0

    _set_variance(generate, conditions, variance)


class ConstantMagnitude(nn.Module):
    """Conditions (B, C) as (B, 2 C) of constant length: cos and sin of a quarter turn per unit (Ortiz et al. 2023).

    A generator's outputs are proportional to the size of its condition, however it is initialised; of constant length, they are not.

    Parameters
    ----------
    low, high : range of the conditions; outside of it they wrap around
    """

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__()
        if not high > low:
            raise ToolkitError(f"low = {low}, high = {high}: high must be above low")
        self.low, self.high = low, high

    def forward(self, condition: Tensor) -> Tensor:
        angle = (condition - self.low) / (self.high - self.low) * (math.pi / 2)
        return torch.cat([torch.cos(angle), torch.sin(angle)], -1)


def _inner(generate: Generator) -> Generator:
    return generate.inner if isinstance(generate, Masks) else generate


def _numbers(generate: Generator, conditions: Tensor) -> Tensor:
    """What a generator adds to its start, in units of its scale (B, P)."""
    given = generate(conditions)
    flat = torch.cat([given[name].flatten(1) for name in generate.shapes], 1)
    return (flat - generate.start) / generate.scale.clamp(min=1e-30)


def _set_variance(generate: Generator, conditions: Tensor, variance) -> None:  # type: ignore[no-untyped-def]
    generate = _inner(generate)
    if not generate.additive:
        raise ToolkitError(f"{type(generate).__name__} modulates its start and cannot generate from nothing; use bias_init")
    if not generate.independent:
        raise ToolkitError(f"weights of {type(generate).__name__} are correlated, so their variance says little; use bias_init")
    if len(conditions) < 2:
        raise ToolkitError("conditions is one row: the variance over conditions needs at least 2")
    numbers = generate.parts(_numbers(generate, conditions))
    if not all(bool(part.any()) for part in numbers.values()):
        raise ToolkitError("the generator adds nothing to its start (spread = 0); make it with spread = 0.1 or so")
    middle = {}
    for (name, shape), scale in zip(generate.shapes.items(), generate.parts(generate.scale).values(), strict=True):
        vector = len(shape) < 2 and not is_bias(name)  # the scales of a normalisation layer: 1, left as they are
        if not vector:
            size = float(numbers[name].square().mean().sqrt())
            scale.fill_(math.sqrt(variance(name, shape)) / size)
        middle[name] = torch.full_like(scale, float(vector))
    generate.start.copy_(torch.cat(list(middle.values())))
