"""At the door: generated parameters and inputs are what the module can take, or one line says what is wrong and the way out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from netloom.errors import ToolkitError
from netloom.toolkit.slots import Slot

__all__ = ["COMPLAINTS", "check_count", "check_finite", "check_inputs", "check_numbers", "check_tensors", "first_line", "looks_finite"]

COMPLAINTS = (RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError)  # of a module about what it is given


def check_tensors(slots: Mapping[str, Slot], given: Mapping[str, Tensor], kind: str = "parameter") -> int:
    """The number of tasks B; every slot has a tensor (B, *shape) of the module's dtype and device."""
    if not hasattr(given, "keys") or given.keys() != slots.keys():
        _explain_names(slots, given, kind)
    tasks = -1
    for name, slot in slots.items():
        held, attribute = slot.held[0]
        try:
            own, tensor = held[attribute], given[name]
            if (shape := tensor.shape) == (tasks, *own.shape) and tensor.dtype is own.dtype and tensor.device == own.device:
                continue  # as it should be
        except (AttributeError, KeyError):
            _explain_types(name, held.get(attribute), given[name], kind)
        if not isinstance(tensor, Tensor):
            _explain_types(name, own, tensor, kind)
        if shape[1:] != own.shape or len(shape) != own.ndim + 1:
            hint = "the first dimension is the tasks: use [None] for one task" if shape == own.shape else "one tensor per task, stacked"
            raise ToolkitError(f"{kind} '{name}' has shape {tuple(shape)}, but must be (B, {_inside(own)}); {hint}")
        if tasks < 0:
            tasks, first = shape[0], name
        elif shape[0] != tasks:
            raise ToolkitError(f"{kind} '{name}' is for {shape[0]} tasks, but '{first}' for {tasks}; generate all from one batch")
        if tensor.dtype != own.dtype:
            raise ToolkitError(f"{kind} '{name}' is {_short(tensor)}, but the module's is {_short(own)}; use .to({own.dtype})")
        if tensor.device != own.device:
            raise ToolkitError(f"{kind} '{name}' is on {tensor.device}, but the module on {own.device}; move the generator or the module")
    if tasks == 0:
        raise ToolkitError(f"{kind}s are for 0 tasks; give at least one condition")
    return tasks


def check_finite(given: Mapping[str, Tensor]) -> None:
    """No NaN and no infinite number in what was generated; one number is read back from the device."""
    with torch.no_grad():
        sums = torch.stack([tensor.sum() for tensor in given.values()])
        if math.isfinite(sums.sum().item()):
            return
        for name, tensor in given.items():  # a finite sum can overflow: look at each
            if not bool(torch.isfinite(tensor).all()):
                bad = (~torch.isfinite(tensor)).flatten(1).any(1).nonzero().flatten().tolist()
                raise ToolkitError(
                    f"parameter '{name}' holds NaN or infinite numbers for task {bad[0]}; "
                    "lower the learning rate, clip gradients, or check the conditions given to the generator"
                )


def looks_finite(out: Any) -> bool:
    """Whether outputs have floating-point numbers and all are finite: then what was generated is too, as far as it was used."""
    if isinstance(out, Tensor):  # the usual case, at every call
        return out.is_floating_point() and math.isfinite((out.detach() if out.requires_grad else out).sum().item())
    tensors = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    return bool(tensors) and all(math.isfinite(tensor.detach().sum().item()) for tensor in tensors)


def check_inputs(tasks: int, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Every tensor among the inputs has the tasks as its first dimension."""
    for name, value in (*enumerate(args), *kwargs.items()) if kwargs else enumerate(args):
        if isinstance(value, Tensor) and value.shape[:1] == (tasks,):
            continue
        for tensor in tree_leaves(value):
            if not isinstance(tensor, Tensor):
                continue
            if tensor.ndim == 0 or tensor.shape[0] != tasks:
                what = f"input '{name}'" if isinstance(name, str) else f"input {name}"
                way = f"x.expand({tasks}, *x.shape) if all tasks share it" if tensor.ndim else "a tensor with a first dimension"
                raise ToolkitError(
                    f"{what} has shape {tuple(tensor.shape)}: its first dimension must be the {tasks} tasks of the parameters; use {way}"
                )


def check_count(name: str, value: int, least: int = 1) -> None:
    """A whole number that is large enough."""
    if not isinstance(value, int) or value < least:
        raise ToolkitError(f"{name} = {value!r}: must be a whole number of at least {least}")


def check_numbers(name: str, given: object, dimensions: str, last: int, like: Tensor) -> None:
    """A floating-point tensor with so many dimensions (named, for the message), ``last`` numbers in the last one, of the module's type."""
    if not isinstance(given, Tensor) or given.ndim != dimensions.count(",") + 1 or given.shape[-1] != last:
        what = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise ToolkitError(f"{name} must be a tensor ({dimensions}) with {last} numbers in the last dimension, not {what}")
    if given.dtype != like.dtype or given.device != like.device:
        raise ToolkitError(f"{name} is {given.dtype} on {given.device}, but the module {like.dtype} on {like.device}; use .to()")


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _explain_types(name: str, own: Tensor | None, given: Any, kind: str) -> NoReturn:
    if own is None:
        raise ToolkitError(f"{kind} '{name}' is no longer in the module, which was changed after hypernetize; hypernetize it again")
    raise ToolkitError(f"{kind} '{name}' must be a tensor (B, {_inside(own)}), not {type(given).__name__}")


def _explain_names(slots: Mapping[str, Slot], given: Mapping[str, Tensor], kind: str) -> None:
    if not isinstance(given, Mapping):
        raise ToolkitError(f"{kind}s must be a mapping name -> tensor (B, *shape), not {type(given).__name__}")
    right = ", ".join(f"'{name}'" for name in list(slots)[:20]) + (f" and {len(slots) - 20} more" if len(slots) > 20 else "")
    for name in given:
        if name not in slots:
            alias = next((slot.name for slot in slots.values() if name in slot.names), None)
            near = [alias] if alias else get_close_matches(str(name), list(slots), n=1)
            raise ToolkitError(f"unknown {kind} '{name}'{f' (did you mean {near[0]!r}?)' if near else ''}; the names are {right}")
    missing = [name for name in slots if name not in given]
    raise ToolkitError(f"{kind} '{missing[0]}' is missing ({len(missing)} of {len(slots)}); the names are {right}")


def _inside(tensor: Tensor) -> str:
    return ", ".join(map(str, tensor.shape))


def _short(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
