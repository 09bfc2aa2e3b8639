"""What usually goes wrong with a hypernetwork, looked at before blaming the data: one call, a table, and what to change."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from netloom.errors import ToolkitError
from netloom.toolkit.hypernetwork import HyperNetwork
from netloom.toolkit.target import Target
from netloom.toolkit.trial import Snapshot

__all__ = ["Diagnosis", "LayerReport", "ParameterReport", "diagnose"]

_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.ELU)
LOUD, QUIET = 100.0, 0.001  # variance of a layer's output over that of the target's input
SAME = 0.01  # share of the variance that is between tasks
DEAD = 0.5
GREEDY = 0.95


@dataclass(frozen=True)
class LayerReport:
    """One layer: variance of its output, the same relative to the input's, share of its units that never fire (NaN for no activation)."""

    name: str
    variance: float
    relative: float
    dead: float


@dataclass(frozen=True)
class ParameterReport:
    """One generated tensor: its size, how much of it differs between tasks (0 to 1), and its share of the squared gradient."""

    name: str
    size: float
    sensitivity: float
    gradient: float


@dataclass(frozen=True)
class Diagnosis:
    """What was found; ``findings`` is empty when nothing looks wrong. Print it."""

    layers: tuple[LayerReport, ...]
    parameters: tuple[ParameterReport, ...]
    condition_sensitivity: float  # share of the conditions' square that differs between tasks
    output_sensitivity: float  # share of the outputs' variance that is due to which task's network is asked
    loss: float
    findings: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{'layer':<28}{'variance':>12}{'x input':>10}{'dead':>8}"]
        lines += [f"{x.name:<28}{x.variance:>12.3g}{x.relative:>10.3g}{x.dead:>8.0%}".replace("    nan%", "       -") for x in self.layers]
        lines += ["", f"{'generated':<28}{'rms':>12}{'by task':>10}{'gradient':>10}"]
        lines += [f"{x.name:<28}{x.size:>12.3g}{x.sensitivity:>10.1%}{x.gradient:>10.1%}" for x in self.parameters]
        lines += [
            "",
            f"conditions differ by {self.condition_sensitivity:.1%}, outputs by {self.output_sensitivity:.1%}; loss {self.loss:.4g}",
        ]
        lines += [f"- {finding}" for finding in self.findings] or ["nothing looks wrong"]
        return "\n".join(lines)


@torch.enable_grad()
def diagnose(
    hypernet: HyperNetwork, task: Any, x: Tensor, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.mse_loss
) -> Diagnosis:
    """Look at a hypernetwork on one batch of tasks; nothing is changed, no gradient is left behind.

    Parameters
    ----------
    hypernet : HyperNetwork
    task : what it reads, for at least 2 tasks
    x, y : Tensor (B, n, ...), inputs and targets
    loss : of outputs and targets

    Returns
    -------
    Diagnosis : print it
    """
    target = hypernet.target
    snapshot = Snapshot(hypernet.modules())
    try:
        condition = hypernet.condition(*(task if isinstance(task, tuple) else (task,)))
        if len(condition) < 2:
            raise ToolkitError("diagnose compares tasks: give at least 2")
        parameters = hypernet.generate(condition)
        plain = Target(target.module, target.slots, target.buffer_slots, "loop", target.check)
        buffers = target.new_buffers(len(condition)) if target.buffer_slots else None
        with _watched(target.module) as seen:
            out = plain(parameters, x, buffers=buffers)
        if loss is nn.functional.mse_loss and out.shape != y.shape:
            raise ToolkitError(f"y has shape {tuple(y.shape)}, but the outputs {tuple(out.shape)}; give y of that shape, or your own loss")
        value = loss(out, y)
        names = list(parameters)
        slopes = torch.autograd.grad(value, [parameters[name] for name in names], allow_unused=True)
        with torch.no_grad():
            crossed = plain(parameters, x[:1].expand(len(x), *x.shape[1:]), buffers=buffers)  # one task's inputs through all networks
    finally:
        snapshot.restore()
    squares = [0.0 if slope is None else float(slope.square().sum()) for slope in slopes]
    total = sum(squares) or 1.0
    reports = tuple(
        ParameterReport(name, float(t.square().mean().sqrt()), _between(t), square / total)
        for (name, t), square in zip(((name, parameters[name].detach()) for name in names), squares, strict=True)
    )
    layers = tuple(_layer_reports(seen, float(x.float().var()) if x.is_floating_point() else 1.0))
    means = crossed.float().mean(0, keepdim=True)
    between = float((crossed.float() - means).square().mean())
    output_sensitivity = between / max(between + float((means - means.mean()).square().mean()), 1e-30)
    condition_sensitivity = _between(condition.detach())
    findings = tuple(_findings(layers, reports, condition_sensitivity, output_sensitivity, float(value.detach())))
    return Diagnosis(layers, reports, condition_sensitivity, output_sensitivity, float(value.detach()), findings)


def _between(t: Tensor) -> float:
    """Share of the square of (B, ...) that differs between tasks."""
    t = t.float()
    return float((t - t.mean(0, keepdim=True)).square().mean() / t.square().mean().clamp(min=1e-30))


@contextmanager
def _watched(module: nn.Module) -> Iterator[dict[str, tuple[nn.Module, list[Tensor]]]]:
    """Outputs of every leaf and attention or recurrent layer, one per task."""
    seen: dict[str, tuple[nn.Module, list[Tensor]]] = {}
    handles = []

    def watch(name: str, layer: nn.Module) -> None:
        def hook(_: nn.Module, __: Any, out: Any) -> None:
            first = next((leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor) and leaf.is_floating_point()), None)
            if first is not None:
                seen.setdefault(name, (layer, []))[1].append(first.detach())

        handles.append(layer.register_forward_hook(hook))

    try:
        for name, layer in module.named_modules():
            if not list(layer.children()) or isinstance(layer, nn.MultiheadAttention):
                watch(name or type(layer).__name__, layer)
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _layer_reports(seen: dict[str, tuple[nn.Module, list[Tensor]]], reference: float) -> Iterator[LayerReport]:
    for name, (layer, outputs) in seen.items():
        values = torch.cat([out.flatten() for out in outputs])
        dead = float("nan")
        if isinstance(layer, _ACTIVATIONS) and outputs[0].ndim >= 2:
            axis = 1 if outputs[0].ndim > 3 else -1  # channels of images, else the last dimension
            fires = torch.stack([(out > 0).movedim(axis, 0).flatten(1).any(1) for out in outputs])  # (B, units)
            dead = 1 - float(fires.any(0).float().mean())
        variance = float(values.var())
        yield LayerReport(name, variance, variance / max(reference, 1e-30), dead)


def _findings(
    layers: tuple[LayerReport, ...], parameters: tuple[ParameterReport, ...], condition: float, output: float, loss: float
) -> Iterator[str]:
    if not math.isfinite(loss):
        yield "the loss is not finite: lower the learning rate, clip gradients, start with initialise.bias_init"
    loud = next((layer for layer in layers if not layer.relative <= LOUD), None)
    if loud:
        yield f"outputs of '{loud.name}' have {loud.relative:.3g} times the variance of the input: use initialise.hyperfan_in, or a start"
    quiet = next((layer for layer in layers if layer.relative < QUIET), None)
    if quiet:
        yield f"outputs of '{quiet.name}' have {quiet.relative:.2g} times the variance of the input: use initialise.hyperfan_in, or a start"
    if condition < SAME:
        yield f"the conditions of different tasks are the same up to {condition:.2%}: look at the reader and normalise its inputs"
    elif output < SAME:
        yield (
            f"different tasks get the same network (outputs differ by {output:.2%}): raise the generator's spread, "
            "train it faster than its start, or check that the loss needs the task"
        )
    for layer in layers:
        if layer.dead > DEAD:
            yield f"{layer.dead:.0%} of the units of '{layer.name}' never fire: lower the learning rate or generate smaller biases"
    silent = [p.name for p in parameters if p.gradient == 0]
    if silent:
        more = f" and {len(silent) - 1} more" if len(silent) > 1 else ""
        yield f"no gradient reaches '{silent[0]}'{more}: the loss does not depend on it"
    greedy = max(parameters, key=lambda p: p.gradient)
    if len(parameters) > 2 and greedy.gradient > GREEDY:
        yield f"'{greedy.name}' takes {greedy.gradient:.0%} of the gradient: normalise the target's layers, or scale this one down"
