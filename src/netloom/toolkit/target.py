"""Any PyTorch module as the target of a hypernetwork: its chosen parameters come from outside, one set per task.

Read `Target.forward`: linear layers and activations are a `chain`; of anything else one task is a plain call, and several go through
`paths`: fused where that gives the same numbers, else vmap, else a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netloom.errors import ToolkitError
from netloom.toolkit.chain import find_chain
from netloom.toolkit.check import COMPLAINTS, check_finite, check_inputs, check_tensors, first_line, looks_finite
from netloom.toolkit.kept import Kept
from netloom.toolkit.paths import Call, Plan, lendable, run_fused, run_loop, run_single, run_vmap
from netloom.toolkit.slots import Selection, Slot, buffer_slots, find_slots
from netloom.toolkit.trial import Snapshot, make_plan

__all__ = ["Target", "hypernetize"]

PATHS = ("auto", "fused", "vmap", "loop")


def hypernetize(
    module: nn.Module,
    select: Selection = None,
    exclude: Selection = None,
    *,
    task_buffers: Selection = None,
    path: str = "auto",
    check: bool = True,
) -> Target:
    """Make a module the target of a hypernetwork; the module itself stays as it is.

    Parameters
    ----------
    module : nn.Module, whose first input dimension is its batch
    select : which parameters come from outside: None for all, a name pattern (``"*.weight"``), a module type, a predicate
        ``(name, parameter, owner) -> bool``, or several of these; the rest stays shared by all tasks and trained
    exclude : the same; wins over ``select``
    task_buffers : buffers, by the same rules, that belong to the tasks and are given with each call, see `Target.new_buffers`;
        by default all buffers are the module's own, shared: running statistics then change as if the tasks came one after the other
    path : "auto", or the one to take: "fused", "vmap", "loop"
    check : whether each call looks for NaN in the generated parameters (one number is read back from the device)

    Returns
    -------
    Target : call it with parameters ``{name: (B, *shape)}`` and inputs (B, n, ...)

    Raises
    ------
    ToolkitError : nothing to generate, or a parameter that cannot be (lazy, complex, integer, sparse)

    Examples
    --------
    >>> import torch
    >>> from netloom.toolkit import generators, hypernetize
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    >>> target = hypernetize(net)
    >>> generate = generators.LowRank(target.shapes, condition_size=16, rank=4)
    >>> target(generate(torch.randn(3, 16)), torch.randn(3, 5, 2)).shape
    torch.Size([3, 5, 1])
    """
    if not isinstance(module, nn.Module):
        raise ToolkitError(f"hypernetize takes a torch.nn.Module, not {type(module).__name__}")
    if path not in PATHS:
        raise ToolkitError(f"path = {path!r}: must be one of {', '.join(PATHS)}")
    return Target(module, find_slots(module, select, exclude), buffer_slots(module, task_buffers), path, check)


class Target(nn.Module):
    """A module that takes its parameters with each call. Made by `hypernetize`.

    ``path`` and ``reason`` say how the last call ran. Weights are lent to the module for the duration of a call: use one target per thread.
    """

    def __init__(self, module: nn.Module, slots: dict[str, Slot], buffers: dict[str, Slot], wanted: str, check: bool) -> None:
        super().__init__()
        self.module = module
        self.slots, self.buffer_slots = slots, buffers
        self.wanted, self.check = wanted, check
        self.plan: Plan | None = None
        self.plans: dict[Any, Plan] = {}
        self.owners = [owner for owner in module.modules() if owner._buffers]  # looked for once: a call is short
        self.held = (module,)  # nn.Module's own way to ``self.module`` is slow
        self.kept = Kept()
        self.chain = find_chain(module, slots) if wanted in ("auto", "fused") else None

    @property
    def shapes(self) -> dict[str, torch.Size]:
        """Name -> shape of what comes from outside, without the task dimension."""
        return {name: slot.tensor.shape for name, slot in self.slots.items()}

    @property
    def count(self) -> int:
        """How many numbers are generated per task."""
        return sum(slot.tensor.numel() for slot in self.slots.values())

    def initial(self) -> dict[str, Tensor]:
        """Copies of the module's own values in the slots: theta0, for generators that start from it."""
        return {name: slot.tensor.detach().clone() for name, slot in self.slots.items()}

    def shared(self) -> dict[str, nn.Parameter]:
        """The module's parameters that are not generated: shared by all tasks and trained."""
        taken = {id(slot.tensor) for slot in self.slots.values()}
        return {name: parameter for name, parameter in self.module.named_parameters() if id(parameter) not in taken}

    def new_buffers(self, tasks: int) -> dict[str, Tensor]:
        """Fresh copies ``(B, *shape)`` of the buffers that belong to the tasks; calls in training mode change them in place."""
        return {
            name: slot.tensor.detach().expand(tasks, *slot.tensor.shape).clone(memory_format=torch.contiguous_format)
            for name, slot in self.buffer_slots.items()
        }

    def forward(self, parameters: Mapping[str, Tensor], *args: Any, buffers: Mapping[str, Tensor] | None = None, **kwargs: Any) -> Any:
        """Run B networks at once.

        Parameters
        ----------
        parameters : name -> ``(B, *shape)``, exactly the names of ``shapes``
        args, kwargs : what the module takes, every tensor with the tasks first: (B, n, ...); the rest is passed on
        buffers : name -> ``(B, *shape)``, where ``task_buffers`` were chosen

        Returns
        -------
        What the module returns, every tensor with the tasks first

        Raises
        ------
        ToolkitError : names, shapes, dtypes, devices or numbers that do not fit; the module is left as it was
        """
        kept = self.kept
        known = kept.has(parameters)
        if not (known or kept.like(parameters)):
            kept.liken(self.slots, parameters, check_tensors(self.slots, parameters))
        tasks = kept.tasks
        if buffers or self.buffer_slots:
            self._check_buffers(buffers, tasks)
        check_inputs(tasks, args, kwargs)
        chain = self.chain if self.chain is not None and self.chain.takes(args, kwargs) else None
        single = tasks == 1 and self.wanted == "auto"
        if not known:
            kept.keep(self.slots, parameters)
        elif single and chain is None and kept.lendable is None:
            kept.lendable = lendable(self.slots, parameters)
        check = self.check and not kept.sound
        if check and (known or self.owners):  # seen again: looked at once, not at each call; NaN would spoil the module's buffers
            check_finite(parameters)
            kept.sound = known
        module = self.held[0]
        if chain is not None:
            plan = _CHAINED[single]
            out = _taken(module, chain, parameters, args[0])
        else:
            call = Call(module, self.slots, self.buffer_slots, parameters, buffers or {}, args, kwargs, tasks, kept.lendable)
            plan = _SINGLE if single else self._plan(call)
            before = Snapshot(self.owners) if self.owners and module.training else None
            try:
                out = _taken(module, _RUN[plan.path], call, plan)
            except BaseException:
                if before is not None:
                    before.restore()
                raise
        self.__dict__["plan"] = plan  # not through nn.Module's own, slow way
        if check and not known and not self.owners and not looks_finite(out):
            check_finite(parameters)
        return out

    @property
    def path(self) -> str:
        """How the last call ran: "single", "fused", "vmap" or "loop"; empty before the first."""
        return "" if self.plan is None else self.plan.path

    @property
    def reason(self) -> str:
        """Why it ran so."""
        return "not called yet" if self.plan is None else self.plan.reason

    def _plan(self, call: Call) -> Plan:
        key = call.key()
        plan = self.plans.get(key)
        if plan is None:
            if self.check:  # numbers that are not finite would agree whatever the path
                check_finite(call.parameters)
            plan = make_plan(call, self.wanted)
            if plan.proven:
                if len(self.plans) > 256:  # inputs of ever new sizes
                    self.plans.clear()
                self.plans[key] = plan
        return plan

    def _check_buffers(self, buffers: Mapping[str, Tensor] | None, tasks: int) -> None:
        if not self.buffer_slots:
            if buffers:
                raise ToolkitError("buffers were given, but all are shared; choose them with hypernetize(..., task_buffers=...)")
            return
        if buffers is None:
            names = ", ".join(f"'{name}'" for name in self.buffer_slots)
            raise ToolkitError(f"the buffers {names} belong to the tasks: pass buffers=..., made once by target.new_buffers({tasks})")
        given = check_tensors(self.buffer_slots, buffers, "buffer")
        if given != tasks:
            raise ToolkitError(f"buffers are for {given} tasks, but parameters for {tasks}")

    def extra_repr(self) -> str:
        return f"generated: {self.count} numbers in {len(self.slots)} tensors, shared: {len(self.shared())} tensors"


_SINGLE = Plan("single", "one task is a plain call")
_CHAINED = tuple(Plan(path, "layers that are known, one after the other") for path in ("fused", "single"))
_RUN: dict[str, Callable[[Call, Plan], Any]] = {"single": run_single, "fused": run_fused, "vmap": run_vmap, "loop": run_loop}


def _taken(module: nn.Module, run: Callable[..., Any], *given: Any) -> Any:
    """The outputs, or the module's complaints about its input as ours."""
    try:
        return run(*given)
    except COMPLAINTS as error:
        if isinstance(error, ToolkitError):
            raise
        raise ToolkitError(f"{type(module).__name__} cannot take this input: {first_line(error)}") from error
