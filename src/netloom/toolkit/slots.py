"""Which parameters of a module come from outside: a slot is one tensor under one name, with every place in the module that holds it.

Tied weights are one slot with several places, so that they stay tied whatever is lent to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from netloom.errors import ToolkitError

__all__ = ["Selection", "Slot", "buffer_slots", "find_slots"]

Predicate = Callable[[str, nn.Parameter, nn.Module], bool]
Selection = str | type | Predicate | Sequence["str | type | Predicate"] | None


@dataclass(eq=False, slots=True)  # not frozen: read at every call
class Slot:
    """One tensor of the module: its first name, all its names, and (owner, attribute) of every place that holds it."""

    name: str
    names: tuple[str, ...]
    places: tuple[tuple[nn.Module, str], ...]
    held: tuple[tuple[dict[str, Tensor], str], ...]  # the same places: the owner's own dict of parameters or buffers, attribute
    recurrent: tuple[nn.RNNBase, ...] = ()  # owners that keep a second list of their weights

    @property
    def tensor(self) -> Tensor:
        """What the module holds there now."""
        held, attribute = self.held[0]
        return held[attribute]


def find_slots(module: nn.Module, select: Selection = None, exclude: Selection = None) -> dict[str, Slot]:
    """Slots of the selected parameters, in the module's order.

    Parameters
    ----------
    module : nn.Module
    select : None for all; a name pattern (``"*.weight"``), a module type, a predicate ``(name, parameter, owner) -> bool``, or several
    exclude : the same; wins over ``select``. Of tied weights, one name that is selected (excluded) selects (excludes) all

    Raises
    ------
    ToolkitError : nothing selected, a pattern that matches nothing, a parameter that cannot be generated, or a lazy module
    """
    lazy = next((name for name, held in (*module.named_parameters(), *module.named_buffers()) if is_lazy(held)), None)
    if lazy is not None:
        raise ToolkitError(f"'{lazy}' has no shape yet (lazy module): run the module once on data, then hypernetize it")
    slots = _all_slots(module, module.named_parameters(remove_duplicate=False))
    if not slots:
        raise ToolkitError(f"{type(module).__name__} has no parameters: there is nothing to generate")
    wanted = _matching(slots, select, "select") if select is not None else set(slots)
    unwanted = _matching(slots, exclude, "exclude") if exclude is not None else set()
    chosen = {name: slot for name, slot in slots.items() if name in wanted - unwanted}
    if not chosen:
        raise ToolkitError(f"no parameter is selected; there are {_listed(slots)}")
    for slot in chosen.values():
        _check_generatable(slot)
    return chosen


def buffer_slots(module: nn.Module, select: Selection) -> dict[str, Slot]:
    """Slots of the selected buffers (none for ``None``)."""
    if select is None:
        return {}
    slots = _all_slots(module, module.named_buffers(remove_duplicate=False))
    if not slots:
        raise ToolkitError(f"task_buffers = {select!r}: {type(module).__name__} has no buffers; leave task_buffers out")
    return {name: slot for name, slot in slots.items() if name in _matching(slots, select, "task_buffers")}


def _all_slots(module: nn.Module, named: object) -> dict[str, Slot]:
    owners = dict(module.named_modules(remove_duplicate=False))
    names: dict[int, list[str]] = {}
    for name, tensor in named:  # type: ignore[attr-defined]
        names.setdefault(id(tensor), []).append(name)
    slots = {}
    for known in names.values():
        places: dict[tuple[int, str], tuple[nn.Module, str]] = {}
        for name in known:
            path, _, attribute = name.rpartition(".")
            places[id(owners[path]), attribute] = (owners[path], attribute)  # a module held twice is one place
        held = tuple((owner._parameters if name in owner._parameters else owner._buffers, name) for owner, name in places.values())
        recurrent = tuple(owner for owner, _ in places.values() if isinstance(owner, nn.RNNBase))
        slots[known[0]] = Slot(known[0], tuple(known), tuple(places.values()), held, recurrent)  # type: ignore[arg-type]
    return slots


def _matching(slots: dict[str, Slot], selection: Selection, option: str) -> set[str]:
    rules = list(selection) if isinstance(selection, Sequence) and not isinstance(selection, str) else [selection]
    found: set[str] = set()
    for rule in rules:
        hit = {name for name, slot in slots.items() if _hits(rule, slot)}
        if not hit and not (callable(rule) and not isinstance(rule, type)):
            shown = rule.__name__ if isinstance(rule, type) else rule
            raise ToolkitError(f"{option} = {shown!r} matches no name or module type; there are {_listed(slots)}")
        found |= hit
    return found


def _hits(rule: object, slot: Slot) -> bool:
    if isinstance(rule, str):
        return any(fnmatchcase(name, rule) for name in slot.names)
    if isinstance(rule, type):
        return any(isinstance(owner, rule) for owner, _ in slot.places)
    if callable(rule):
        return any(bool(rule(name, slot.tensor, slot.places[0][0])) for name in slot.names)
    raise ToolkitError(f"cannot select by {rule!r}; use a name pattern, a module type, or a function (name, parameter, module) -> bool")


def _check_generatable(slot: Slot) -> None:
    tensor = slot.tensor
    if tensor.is_complex():
        raise ToolkitError(f"parameter '{slot.name}' is {_short(tensor.dtype)}: complex numbers cannot be generated; exclude='{slot.name}'")
    if not tensor.is_floating_point():
        raise ToolkitError(
            f"parameter '{slot.name}' is {_short(tensor.dtype)}: only floating-point parameters can be generated; exclude='{slot.name}'"
        )
    if tensor.is_sparse or tensor.is_quantized or tensor.layout != torch.strided:
        raise ToolkitError(f"parameter '{slot.name}' is sparse or quantised: only dense parameters can be generated; exclude='{slot.name}'")
    for owner, _ in slot.places:
        if isinstance(owner, nn.Embedding | nn.EmbeddingBag) and owner.max_norm is not None:
            raise ToolkitError(f"parameter '{slot.name}': an embedding with max_norm changes its weights in place; use max_norm=None")


def _listed(slots: dict[str, Slot]) -> str:
    names = list(slots)
    return ", ".join(f"'{name}'" for name in names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
