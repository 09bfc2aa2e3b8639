"""torch: a plain module of numbers and codes, and ``.pt2`` (torch.export) of it with any number of rows.

    forward(numbers (n, q) float64, codes (n, c) int64) -> chances (n, C), or values (n, O) float64

`to_torch` gives a ``torch.fx.GraphModule``: its code is plain torch that can be printed, its parameters train like any module's, and
neither running, saving nor loading it needs netloom. Strings and dates are not for torch: what becomes of them is in the metadata
(``numbers``, ``codes``), and the exported Python file's ``prepare(row)`` does it.
"""

import io
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from netloom.export.describe import as_json, describe
from netloom.export.fuse import ramps
from netloom.export.plan import Part, Plan, PlanView, make_plan
from netloom.target.network import TargetNetwork
from netloom.target.weights import CLIP
from netloom.tasks.columns.column import LARGEST

__all__ = ["METADATA", "to_torch", "write"]

METADATA = "netloom.json"  # the extra file of a .pt2 that holds the description


def to_torch(network: TargetNetwork) -> torch.fx.GraphModule:
    """The network as a plain module; ``module.meta["netloom"]`` holds its description."""
    plan = make_plan(network)
    module = torch.fx.symbolic_trace(_Network(plan, network.classes is not None))
    module.meta["netloom"] = describe(network, plan)
    return module


def write(network: TargetNetwork, name: str) -> bytes:
    """The content of a ``.pt2`` file; ``name`` is that of the file."""
    module = to_torch(network)
    document = module.meta.pop("netloom")
    rows = torch.export.Dim("rows", min=1)
    example = torch.zeros(2, len(document["numbers"]), dtype=torch.float64), torch.zeros(2, len(document["codes"]), dtype=torch.int64)
    program = torch.export.export(module, example, dynamic_shapes=({0: rows}, {0: rows}))
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={METADATA: as_json(document)})
    return content.getvalue()


def _double(values: Any) -> Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float64)


class _Network(nn.Module):
    """Traced once; what remains is its graph and its tensors."""

    fill: Tensor
    low: Tensor
    high: Tensor
    offsets: Tensor
    flags: Tensor
    shift: Tensor

    def __init__(self, plan: Plan, classes: bool) -> None:
        super().__init__()
        for name in ("fill", "low", "high"):
            self.register_buffer(name, _double(plan.column(name)))
        self.register_buffer("offsets", torch.tensor(plan.offsets[:-1]))
        self.register_buffer("flags", torch.tensor(plan.flags, dtype=torch.int64))
        self.views = nn.ModuleList(_View(view) for view in plan.views)
        self.layers = nn.ModuleList(_Part(part) for part in plan.layers)
        self.readout = _Part(plan.readout)
        self.register_buffer("shift", _double(plan.readout.bias))
        nn.init.zeros_(self.readout.bias)  # added in double precision
        self.classes = classes
        self.outputs = plan.outputs

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        missing = torch.isnan(numbers)
        x = torch.where(missing, self.fill, numbers)
        bounded = torch.minimum(torch.maximum(x, self.low), self.high)
        x = torch.where(torch.isinf(x), bounded, torch.clamp(x, -LARGEST, LARGEST))
        rows = codes + self.offsets  # (n, c)
        flags = missing.index_select(1, self.flags).float()  # (n, f)
        features = torch.cat([view(x) for view in self.views], dim=1)
        hidden: list[Tensor] = []
        for layer in self.layers:
            hidden.append(torch.relu(layer(features, hidden, rows, flags)))
        outputs = self.readout(features, hidden, rows, flags).double() + self.shift
        if not self.classes:
            return outputs
        if self.outputs == 1:
            outputs = torch.cat([torch.zeros_like(outputs), outputs], dim=1)
        return torch.softmax(outputs, dim=1)


class _View(nn.Module):
    """Standardised, ranked, bent: (n, q) double to (n, width) float."""

    slots: Tensor
    centre: Tensor
    scale: Tensor
    start: Tensor
    slope: Tensor
    rise: Tensor
    first: Tensor
    ranked: Tensor
    take: Tensor
    many: Tensor

    def __init__(self, view: PlanView) -> None:
        super().__init__()
        self.register_buffer("slots", torch.tensor(view.slots))
        self.register_buffer("centre", _double(view.centre))
        self.register_buffer("scale", _double(view.scale))
        self.ranks = len(view.ranked) > 0
        self.cells = len(view.many) > 0
        if self.ranks:
            start, slope, rise, first = (np.stack(x) for x in zip(*map(ramps, view.knots, view.heights), strict=True))
            for name, value in (("start", start), ("slope", slope), ("rise", rise), ("first", first)):
                self.register_buffer(name, _double(value))
            take = np.arange(len(view.slots))
            take[view.ranked] = len(view.slots) + np.arange(len(view.ranked))
            self.register_buffer("ranked", torch.tensor(view.ranked))
            self.register_buffer("take", torch.tensor(take))
        if self.cells:
            self.register_buffer("many", torch.tensor(view.many))
            self.thresholds = nn.Parameter(torch.tensor(view.thresholds, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        z = (x.index_select(1, self.slots) - self.centre) / self.scale
        if self.ranks:
            share = torch.clamp((z.index_select(1, self.ranked).unsqueeze(2) - self.start) * self.slope, 0, 1)  # (n, r, Q - 1)
            z = torch.cat([z, (share * self.rise).sum(2) + self.first], dim=1).index_select(1, self.take)
        z = torch.clamp(z, -CLIP, CLIP).float()
        if not self.cells:
            return z
        bent = z.index_select(1, self.many)
        parabola = (torch.clamp(bent * bent, max=7.0) - 1) * 0.5
        steps = torch.tanh((bent.unsqueeze(2) - self.thresholds) * 3).flatten(1)
        return torch.cat([z, torch.tanh(bent * 2), torch.cos(bent * 2), parabola, steps], dim=1)


class _Part(nn.Module):
    """One layer, or the readout."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.start, self.stop, self.earlier = part.start, part.stop, part.earlier
        self.weight = nn.Parameter(torch.tensor(np.concatenate([part.weight, part.onto]), dtype=torch.float32))
        self.bias = nn.Parameter(torch.tensor(part.bias, dtype=torch.float32))
        self.codes = nn.Parameter(torch.tensor(part.codes, dtype=torch.float32)) if len(part.codes) else None
        self.flags = nn.Parameter(torch.tensor(part.flags, dtype=torch.float32)) if len(part.flags) else None

    def forward(self, features: Tensor, hidden: list[Tensor], rows: Tensor, flags: Tensor) -> Tensor:
        seen = torch.cat([features[:, self.start : self.stop], *[hidden[e] for e in self.earlier]], dim=1)
        total = seen @ self.weight + self.bias
        if self.codes is not None:
            total = total + nn.functional.embedding(rows, self.codes).sum(1)
        return total if self.flags is None else total + flags @ self.flags
