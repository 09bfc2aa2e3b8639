"""Four ways to run B networks: single, fused, vmap, loop; and the plan that chooses one and says why.

A loop of plain calls is the truth. The fused path folds the tasks into the module's batch, which is right only if the module treats the
rows of its batch alike and reads its weights through its layers. That is tried, not assumed: on the first call of a kind the fused path
runs beside plain calls on disturbed weights and inputs, and is taken if all outputs agree (see docs/decisions/0010).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from netloom.toolkit.fused import FUSED, Lent, NotFusable, keeps_statistics
from netloom.toolkit.lend import call_patched, call_with
from netloom.toolkit.slots import Slot

__all__ = [
    "Call",
    "Layers",
    "Plan",
    "fused_layers",
    "lendable",
    "run_fused",
    "run_fused_raw",
    "run_loop",
    "run_single",
    "run_one",
    "run_vmap",
    "task_of",
    "unfold",
]


@dataclass(eq=False, slots=True)  # not frozen: made at every call, and setting frozen fields is slow
class Call:
    """One call of a target: B tasks with their parameters, buffers and inputs."""

    module: nn.Module
    slots: dict[str, Slot]
    buffer_slots: dict[str, Slot]
    parameters: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tasks: int
    lendable: list[tuple[Slot, Tensor]] | None = None  # of one task: weights without their first dimension

    def key(self) -> Any:
        """What a plan depends on: mode, gradients, sizes apart from B and n."""
        mode = self.module.training, torch.is_grad_enabled(), self.tasks == 1, *map(torch.is_autocast_enabled, _DEVICES)
        if not self.kwargs and len(self.args) == 1 and isinstance(self.args[0], Tensor):  # the usual call
            x = self.args[0]
            return *mode, x.shape[2:], x.ndim > 1 and x.shape[1] == 1, x.ndim, x.dtype, x.device
        leaves, spec = tree_flatten((self.args, self.kwargs))
        kinds = tuple(
            (leaf.shape[2:], leaf.ndim, leaf.ndim > 1 and leaf.shape[1] == 1, leaf.dtype, leaf.device)
            if isinstance(leaf, Tensor)
            else _told_apart(leaf)
            for leaf in leaves
        )
        return *mode, kinds, str(spec)


_DEVICES = ("cpu", "cuda")


def _told_apart(value: Any) -> Any:
    """A flag or a number may decide what the module does; what cannot be compared is never the same."""
    try:
        hash(value)
    except TypeError:
        return object()
    return type(value), value


Layers = list[tuple[nn.Module, dict[str, str], dict[str, str]]]  # layer, its attributes -> parameter names, -> buffer names


@dataclass(frozen=True, eq=False)
class Plan:
    """How calls of one kind run, and why."""

    path: str
    reason: str
    layers: Layers = field(default_factory=list)
    folds: tuple[int, ...] = ()  # where each input tensor takes the tasks
    unfolds: tuple[int, ...] = ()  # where each output tensor holds them
    last: bool = False  # whether images between the layers have their channels last in memory
    proven: bool = True  # whether there were numbers to compare, so that the next call of the kind may run like this


def task_of(value: Any, b: int) -> Any:
    """The inputs of one task."""
    if isinstance(value, Tensor):
        return value[b]
    leaves, spec = tree_flatten(value)
    return tree_unflatten([leaf[b] if isinstance(leaf, Tensor) else leaf for leaf in leaves], spec)


def lendable(slots: dict[str, Slot], parameters: Mapping[str, Tensor]) -> list[tuple[Slot, Tensor]]:
    """The weights of one task, as its module takes them."""
    return [(slot, parameters[name].squeeze(0)) for name, slot in slots.items()]


def run_single(call: Call, plan: Plan | None = None) -> Any:
    """One task: its weights are lent to the module, which is called as it is."""
    parameters = call.lendable or lendable(call.slots, call.parameters)
    buffers = [(slot, call.buffers[name][0]) for name, slot in call.buffer_slots.items()] if call.buffers else []
    args = tuple([arg.squeeze(0) if isinstance(arg, Tensor) else task_of(arg, 0) for arg in call.args])  # a list: no generator to set up
    kwargs = {name: task_of(value, 0) for name, value in call.kwargs.items()} if call.kwargs else {}
    out = call_with(call.module, parameters, buffers, args, kwargs)
    if isinstance(out, Tensor):
        return out.unsqueeze(0)
    leaves, spec = tree_flatten(out)
    return tree_unflatten([leaf.unsqueeze(0) if isinstance(leaf, Tensor) else leaf for leaf in leaves], spec)


def run_one(call: Call, b: int) -> Any:
    """Task b alone, without a task dimension."""
    parameters = [(slot, call.parameters[name][b]) for name, slot in call.slots.items()]
    buffers = [(slot, call.buffers[name][b]) for name, slot in call.buffer_slots.items()]
    return call_with(call.module, parameters, buffers, task_of(call.args, b), task_of(call.kwargs, b))


def run_loop(call: Call, plan: Plan | None = None) -> Any:
    """One task after the other."""
    results = [tree_flatten(run_one(call, b)) for b in range(call.tasks)]
    joined = [torch.stack(leaves) if isinstance(leaves[0], Tensor) else leaves[0] for leaves in zip(*(r[0] for r in results), strict=True)]
    return tree_unflatten(joined, results[0][1])


def run_vmap(call: Call, plan: Plan | None = None) -> Any:
    """All tasks through ``torch.func.vmap``; dropout differs between tasks."""
    parameters = {name: call.parameters[name] for name in call.slots}
    buffers = {name: call.buffers[name] for name in call.buffer_slots}
    leaves, spec = tree_flatten((call.args, call.kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]

    def one(p: dict[str, Tensor], q: dict[str, Tensor], given: list[Tensor]) -> Any:
        rest = iter(given)
        args, kwargs = tree_unflatten([next(rest) if isinstance(leaf, Tensor) else leaf for leaf in leaves], spec)
        lent = [(slot, p[name]) for name, slot in call.slots.items()]
        return call_with(call.module, lent, [(slot, q[name]) for name, slot in call.buffer_slots.items()], args, kwargs)

    with through_layers():
        return torch.func.vmap(one, in_dims=(0, 0, 0), randomness="different")(parameters, buffers, tensors)


class through_layers:
    """Transformer layers call their sublayers, not one kernel on their weights (torch's path for inference)."""

    def __enter__(self) -> None:
        self.before = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)

    def __exit__(self, *error: object) -> None:
        torch.backends.mha.set_fastpath_enabled(self.before)


def fused_layers(call: Call) -> Layers:
    """The layers that take part with their own weights or statistics per task; NotFusable if some weight is not read through one."""
    prefixes = {id(layer): path for path, layer in call.module.named_modules()}
    known = {id(layer): layer for layer in call.module.modules() if type(layer) in FUSED}
    inside = {id(child): layer for layer in known.values() for child in layer.modules() if child is not layer}
    found: dict[int, tuple[nn.Module, dict[str, str], dict[str, str]]] = {}
    for slots, kind in ((call.slots, 1), (call.buffer_slots, 2)):
        for name, slot in slots.items():
            for owner, attribute in slot.places:
                layer = inside.get(id(owner)) or known.get(id(owner))
                if layer is None:
                    raise NotFusable(f"'{name}' belongs to {type(owner).__name__}, which has no fused path")
                path = prefixes[id(owner)][len(prefixes[id(layer)]) :].lstrip(".")
                entry = found.setdefault(id(layer), (layer, {}, {}))
                entry[kind][f"{path}.{attribute}" if path else attribute] = name  # type: ignore[index, operator]
    for layer in known.values():
        if keeps_statistics(layer):
            found.setdefault(id(layer), (layer, {}, {}))
    return list(found.values())


def run_fused_raw(call: Call, layers: Layers, folds: tuple[int, ...], last: bool = False) -> Any:
    """The module's output with the tasks still folded in."""
    dim = folds[0] if folds else 0
    if not call.kwargs and len(call.args) == 1 and isinstance(call.args[0], Tensor):  # the usual call
        args, kwargs = (_fold(call.args[0], dim),), {}
    else:
        leaves, spec = tree_flatten((call.args, call.kwargs))
        dims = iter(folds)
        args, kwargs = tree_unflatten([_fold(leaf, next(dims)) if isinstance(leaf, Tensor) else leaf for leaf in leaves], spec)
    forwards = []
    for layer, parameters, buffers in layers:
        given = {attribute: call.parameters[name] for attribute, name in parameters.items()}
        own = {attribute: call.buffers[name] for attribute, name in buffers.items()} if buffers else {}
        forwards.append((layer, partial(FUSED[type(layer)], Lent(layer, call.tasks, dim, given, own, last))))
    with through_layers():
        return call_patched(forwards, call.module, args, kwargs)


def run_fused(call: Call, plan: Plan) -> Any:
    """All tasks in one pass of the module."""
    out = run_fused_raw(call, plan.layers, plan.folds, plan.last)
    if isinstance(out, Tensor):
        return unfold(out, call.tasks, plan.unfolds[0])
    leaves, spec = tree_flatten(out)
    dims = iter(plan.unfolds)
    return tree_unflatten([unfold(leaf, call.tasks, next(dims)) if isinstance(leaf, Tensor) else leaf for leaf in leaves], spec)


def _fold(x: Tensor, dim: int) -> Tensor:
    """(B, n, ...) -> (B * n, ...), or with the tasks in a later dimension of the module's input."""
    if x.ndim < dim + 2:
        raise NotFusable(f"an input of shape {tuple(x.shape)} has no batch to fold the tasks into")
    return x.flatten(0, 1) if dim == 0 else x.movedim(0, dim).flatten(dim, dim + 1)


def unfold(y: Tensor, tasks: int, dim: int) -> Tensor:
    """The tasks first again."""
    if dim == 0:
        return y.view(tasks, -1, *y.shape[1:]) if y.is_contiguous() and y.numel() else y.unflatten(0, (tasks, y.shape[0] // tasks))
    return y.unflatten(dim, (tasks, y.shape[dim] // tasks)).movedim(dim, 0)
