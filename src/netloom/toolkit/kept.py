"""What was found out about the weights of the last call, for as long as the next calls bring the same tensors, unchanged, or their like.

One network that is generated once and applied many times is then checked once. In training every call brings new tensors: of those only
the shapes and types are remembered, which are quicker to compare than to check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import ref

import torch
from torch import Tensor

from netloom.toolkit.slots import Slot

__all__ = ["Kept"]


class Kept:
    """Tensors are known by identity and by torch's count of their changes in place (which ``.data`` goes around)."""

    __slots__ = ("alike", "candidate", "dtype", "first", "known", "lendable", "sound", "tasks")

    def __init__(self) -> None:
        self.alike: list[tuple[str, dict[str, Tensor], str, Tensor, tuple[int, ...]]] = []  # see `like`
        self.known: list[tuple[str, Any, int]] = []  # name, weak reference, count of changes
        self.lendable: list[tuple[Slot, Tensor]] | None = None  # of one task: the weights without their first dimension
        self.sound = False  # whether all numbers were looked at and are finite
        self.tasks = 0
        self.candidate: Any = None  # weak reference to the first tensor of the last call that was not known

    def has(self, given: Mapping[str, Tensor]) -> bool:
        """Whether these are the tensors of the last call, unchanged, and no gradient flows to them."""
        known = self.known
        if not known or type(given) is not dict or len(given) != len(known):
            return False
        graph = torch.is_grad_enabled()
        for name, reference, changes in known:
            tensor = given.get(name)
            if tensor is None or reference() is not tensor or tensor._version != changes or (graph and tensor.requires_grad):
                return False
        return self.first.tensor.dtype is self.dtype  # the module may have been moved

    def like(self, given: Mapping[str, Tensor]) -> bool:
        """Whether these have names and shapes of the last call's tensors, and types and devices of the module's own, still the same."""
        alike = self.alike
        if type(given) is not dict or len(given) != len(alike):
            return False
        for name, held, attribute, own, shape in alike:
            tensor = given.get(name)
            if not (
                isinstance(tensor, Tensor)
                and tensor.shape == shape
                and tensor.dtype is own.dtype
                and tensor.device == own.device
                and held.get(attribute) is own
            ):
                return False
        return bool(alike)

    def liken(self, slots: Mapping[str, Slot], given: Mapping[str, Tensor], tasks: int) -> None:
        """Remember what these tensors, which were checked, are like."""
        self.tasks, self.known = tasks, []
        self.first = next(iter(slots.values()))
        self.alike = [(name, *slot.held[0], slot.tensor, given[name].shape) for name, slot in slots.items()]

    def keep(self, slots: Mapping[str, Slot], given: Mapping[str, Tensor]) -> None:
        """Remember tensors that come for the second time and that no gradient flows to; of others only what they are like."""
        self.sound, self.lendable, self.known = False, None, []
        first = given[self.first.name]
        if self.candidate is None or self.candidate() is not first:
            self.candidate = ref(first)
            return
        graph, known = torch.is_grad_enabled(), []
        for name in slots:
            tensor = given[name]
            if (graph and tensor.requires_grad) or tensor.is_inference():  # those count no changes
                return
            known.append((name, ref(tensor), tensor._version))
        self.known, self.dtype = known, self.first.tensor.dtype

    def __deepcopy__(self, memo: Any) -> Kept:
        return Kept()

    def __reduce__(self) -> Any:
        return Kept, ()
