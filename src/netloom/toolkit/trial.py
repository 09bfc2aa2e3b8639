"""The first call of a kind: which path gives what a loop of plain calls gives?

Weights and inputs are disturbed first: at the start of training all tasks often have the same weights, and then a layer that ignores its
generated weights, or a module that mixes rows, would go unnoticed. Buffers and random state are put back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

from netloom.errors import ToolkitError
from netloom.toolkit.check import COMPLAINTS, first_line
from netloom.toolkit.fused import NotFusable, few_channels, keeps_statistics
from netloom.toolkit.paths import Call, Plan, fused_layers, run_fused_raw, run_one, run_vmap, unfold
from netloom.toolkit.slots import Slot

__all__ = ["make_plan"]

_DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_READS = {"__bool__", "__int__", "__float__", "__index__", "item", "tolist", "equal", "allclose", "is_nonzero"}


class Mismatch(Exception):
    """The fused path gives other numbers than plain calls."""


def make_plan(call: Call, wanted: str) -> Plan:
    """Choose the path for calls like this one.

    ``wanted`` is "auto" or the path that must be taken; ToolkitError says why it cannot.
    """
    snapshot = Snapshot(call.module.modules())
    with _tried(call, snapshot) as tried:
        checked = sorted({0, call.tasks // 2, call.tasks - 1})
        try:
            truth = {b: tree_flatten(run_one(tried, b)) for b in checked}
        except COMPLAINTS as error:
            raise ToolkitError(f"{type(call.module).__name__} cannot take this input: {first_line(error)}") from error
        proven = _says_something(truth)
        if not proven and wanted == "auto":
            return Plan("loop", "no rows, or no finite number, to compare another path by", proven=False)
        changed = snapshot.changed(call.buffer_slots.values())
        why = []
        if changed:
            why.append(f"the module changes its buffer '{changed}' in place, which the tasks share")
        if wanted in ("auto", "fused") and not changed:
            try:
                return replace(_try_fused(tried, truth, snapshot), proven=proven)
            except (NotFusable, Mismatch) as error:
                why.append(f"not fused: {error}")
        if wanted in ("auto", "vmap") and not changed:
            try:
                snapshot.restore()
                run_vmap(tried)
                return Plan("vmap", "; ".join(why) or "as asked for")
            except Exception as error:  # whatever a transform cannot do
                why.append(f"no vmap: {first_line(error)}")
    if wanted not in ("auto", "loop"):
        raise ToolkitError(f"path = {wanted!r} cannot be taken: {'; '.join(why)}; use path='auto'")
    return Plan("loop", "; ".join(why) or "as asked for")


def _says_something(truth: dict[int, tuple[list[Any], Any]]) -> bool:
    """Whether every output of every task that is looked at holds a finite number: others are the same on any path."""
    outputs = [leaf for leaves, _ in truth.values() for leaf in leaves if isinstance(leaf, Tensor)]
    return all(bool(torch.isfinite(leaf).any()) for leaf in outputs)


def _try_fused(call: Call, truth: dict[int, tuple[list[Any], Any]], snapshot: Snapshot) -> Plan:
    """The first way of folding whose outputs agree with plain calls."""
    layers = fused_layers(call)
    complaint: Exception = Mismatch("no input tensor")
    orders = (True, False) if any(few_channels(layer) for layer, _, _ in layers) else (False,)  # view() may refuse channels last
    for folds, last in product(_ways_to_fold(call), orders):
        snapshot.restore()
        try:
            with _NoReading():
                run_fused_raw(call, layers, folds, last)
            snapshot.restore()
            again = run_fused_raw(call, layers, folds, last)  # without the watcher: torch takes other kernels under one
            out, spec = tree_flatten(again)
            unfolds = _agree(out, spec, truth, call.tasks)
            return Plan("fused", f"{len(layers)} layers fused, same as plain calls", layers, folds, unfolds, last)
        except NotFusable as error:
            complaint = error
        except Mismatch as error:
            complaint = error
        except Exception as error:  # shapes that cannot be: the module does not treat that dimension as its batch
            complaint = Mismatch(first_line(error))
    raise complaint


def _ways_to_fold(call: Call) -> Iterator[tuple[int, ...]]:
    """Where the tasks can go in each input: the first dimension, or the second for layers that put time first."""
    tensors = [leaf for leaf in tree_flatten((call.args, call.kwargs))[0] if isinstance(leaf, Tensor)]
    yield (0,) * len(tensors)
    modules = list(call.module.modules())
    if any(isinstance(m, nn.RNNBase) for m in modules) and len(tensors) > 1:
        yield (0, *[1] * (len(tensors) - 1))  # states are (layers, batch, size) whatever the layout of the input
    if any(isinstance(m, nn.RNNBase | nn.MultiheadAttention) and not m.batch_first for m in modules):
        yield (1,) * len(tensors)
        yield tuple(1 if tensor.ndim > 3 else 0 for tensor in tensors)  # padding masks are (batch, time)


def _agree(out: list[Any], spec: Any, truth: dict[int, tuple[list[Any], Any]], tasks: int) -> tuple[int, ...]:
    """Where each output holds the tasks; Mismatch if the numbers are not those of plain calls."""
    dims = []
    for i, leaf in enumerate(out):
        plain = {}
        for b, (leaves, other) in truth.items():
            if other != spec:
                raise Mismatch("another structure of the output")
            plain[b] = leaves[i]
        if not isinstance(leaf, Tensor):
            if any(leaf != other for other in plain.values()):
                raise Mismatch("an output that is no tensor differs")
            continue
        fitting = [dim for dim in range(leaf.ndim) if _same(leaf, plain, tasks, dim)]
        if not fitting:
            raise Mismatch("the module mixes rows of its batch, draws random numbers, or reads weights outside its layers")
        dims.append(fitting[0])
    return tuple(dims)


def _same(folded: Tensor, plain: dict[int, Any], tasks: int, dim: int) -> bool:
    first = next(iter(plain.values()))
    if not isinstance(first, Tensor) or folded.dtype != first.dtype or folded.ndim != first.ndim:
        return False
    if folded.shape != torch.Size([size * tasks if i == dim else size for i, size in enumerate(first.shape)]):
        return False
    rows = unfold(folded, tasks, dim)
    for b, expected in plain.items():
        if not expected.is_floating_point():
            if not torch.equal(rows[b], expected):
                return False
            continue
        finite = expected[torch.isfinite(expected)]
        size = float(finite.detach().abs().max()) if finite.numel() else 1.0
        eps = torch.finfo(expected.dtype).eps
        tolerance = max(0.1 * eps**0.5, 8 * eps) * max(size, 1e-30)
        if not torch.allclose(rows[b], expected, rtol=0, atol=tolerance, equal_nan=True):
            return False
    return True


class _NoReading(TorchFunctionMode):
    """Numbers must not decide what the code does: folded tasks would all go one way."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in _READS:
            raise NotFusable(f"the module's code depends on numbers ({func.__name__})")
        return func(*args, **(kwargs or {}))


class Snapshot:
    """Buffers as they were, of all ``owners`` that have some."""

    def __init__(self, owners: Iterable[nn.Module]) -> None:
        self.held = [
            (owner, name, tensor, tensor.clone()) for owner in owners for name, tensor in owner._buffers.items() if tensor is not None
        ]

    def restore(self) -> None:
        for owner, name, tensor, copy in self.held:
            owner._buffers[name] = tensor
            if not torch.equal(tensor, copy):
                tensor.copy_(copy)

    def changed(self, slots: Iterable[Slot]) -> str | None:
        """The first shared buffer that a plain call changed and no fused layer accounts for."""
        lent = {(id(owner), attribute) for slot in slots for owner, attribute in slot.places}
        for owner, name, tensor, copy in self.held:
            if (id(owner), name) not in lent and not keeps_statistics(owner):
                now = owner._buffers[name]
                if now is not tensor or not torch.equal(tensor, copy):
                    return name
        return None


@contextmanager
def _tried(call: Call, snapshot: Snapshot) -> Iterator[Call]:
    """The call with disturbed weights and inputs; dropout off; buffers, modes and random state are put back."""
    dropouts = [m for m in call.module.modules() if isinstance(m, _DROPOUT) and m.training]
    with_rate = [(m, m.dropout) for m in call.module.modules() if isinstance(m, nn.RNNBase | nn.MultiheadAttention) and m.dropout]
    devices = sorted({t.device.index for t in call.parameters.values() if t.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(0)
        try:
            for module in dropouts:
                module.training = False
            for layer, _ in with_rate:
                layer.dropout = 0.0
            yield replace(
                call,
                parameters={name: _disturbed(tensor) for name, tensor in call.parameters.items()},
                buffers={name: tensor.clone() for name, tensor in call.buffers.items()},
                args=tree_map(_disturbed, call.args),
                kwargs=tree_map(_disturbed, call.kwargs),
            )
        finally:
            for module in dropouts:
                module.training = True
            for layer, rate in with_rate:
                layer.dropout = rate
            snapshot.restore()


def _disturbed(value: Any) -> Any:
    """Other numbers of the same kind: noise on floats; integers drawn from their own where all tasks have the same."""
    if not isinstance(value, Tensor):
        return value
    own = value.detach()
    if own.is_floating_point():
        if own.numel() and bool(torch.isfinite(own).all()):  # masks hold -inf
            spread = float(own.float().std()) if own.numel() > 1 else 0.0
            own = own + (0.2 * spread + 0.02) * torch.randn_like(own)
        if value.requires_grad:
            with suppress(RuntimeError):  # inside a function being transformed; no path depends on it
                own.requires_grad_()
        return own
    if own.dtype != torch.bool and len(own) > 1 and torch.equal(own, own[:1].expand_as(own)):
        return torch.stack([task.flatten()[torch.randint(max(task.numel(), 1), task.shape, device=task.device)] for task in own])
    return own
