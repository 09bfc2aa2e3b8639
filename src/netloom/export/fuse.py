"""The same network in as few products as possible: all views side by side, all neurons of one depth in one matrix, readouts beside them.

A runtime that pays for every operation (ONNX, one row at a time) wants few large ones; the zeros between neurons that never met cost less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netloom.export.plan import Plan

__all__ = ["Fused", "Reading", "fuse", "ramps"]


@dataclass(frozen=True, eq=False)
class Reading:
    """What E neurons or outputs read of the table: ``features @ weight + flags + codes + bias``.

    features : [z | cos 2z | min((2z)^2, 28) | tanh 2z | steps], each of all views.
    weight : (p, E).  codes, flags : a row per code, per flag.  bias : (E,).
    """

    weight: np.ndarray
    codes: np.ndarray
    flags: np.ndarray
    bias: np.ndarray

    def of(self, columns: np.ndarray) -> Reading:
        """Some of them."""
        return Reading(self.weight[:, columns], self.codes[:, columns], self.flags[:, columns], self.bias[columns])

    @property
    def reads(self) -> np.ndarray:
        """Which of them read anything but the bias: (E,) bool."""
        return (np.concatenate([self.weight, self.codes, self.flags]) != 0).any(axis=0)


@dataclass(frozen=True, eq=False)
class Fused:
    """``table`` is every neuron's reading of the table and, last, the readout's (E = H + O columns).

    edges : (levels + 1,) columns of the table where the neurons of each depth begin, the last is where the outputs do.
    onto : (H, E) from every neuron to those of later depths and to the outputs.
    shift : (O,) added to outputs.
    """

    table: Reading
    edges: np.ndarray
    onto: np.ndarray
    shift: np.ndarray


def fuse(plan: Plan, *, pairs: bool) -> Fused:
    """Join views and depths. ``pairs``: one log odds becomes two logits that differ by it, as softmax wants them; chances have no shift."""
    parts = [*plan.layers, plan.readout]
    depth: list[int] = []
    for layer in plan.layers:
        depth.append(1 + max((depth[e] for e in layer.earlier), default=-1))
    levels = max(depth, default=-1) + 1
    order = [t for level in range(levels) for t in range(len(depth)) if depth[t] == level]
    at, place = 0, {}
    for t in order:
        place[t] = np.arange(at, at + plan.layers[t].width)
        at += plan.layers[t].width
    H, O = at, plan.outputs  # noqa: E741  outputs, as everywhere
    place[len(plan.layers)] = np.arange(H, H + O)
    p, starts = int(plan.starts[-1]), plan.starts
    weight, onto = np.zeros((p, H + O)), np.zeros((H, H + O))
    codes, flags, bias = np.zeros((len(plan.readout.codes), H + O)), np.zeros((len(plan.flags), H + O)), np.zeros(H + O)
    for t, part in enumerate(parts):
        to = place[t]
        weight[part.start : part.stop, to] = part.weight
        codes[:, to], flags[:, to], bias[to] = part.codes, part.flags, part.bias
        if part.earlier:
            onto[np.ix_(np.concatenate([place[e] for e in part.earlier]), to)] = part.onto
    weight, constant = _side_by_side(plan, weight, starts)
    bias += constant
    counts = [sum(plan.layers[t].width for t in order if depth[t] == level) for level in range(levels)]
    edges = np.concatenate([[0], np.cumsum(counts)]).astype(int)
    shift = np.zeros(O)
    if not pairs:
        shift, bias[H:] = bias[H:].copy(), 0.0
    elif O == 1:
        weight, codes, flags, onto = (np.concatenate([m[:, :H], -m[:, H:] / 2, m[:, H:] / 2], axis=1) for m in (weight, codes, flags, onto))
        bias, shift = np.concatenate([bias[:H], -bias[H:] / 2, bias[H:] / 2]), np.zeros(2)
    return Fused(Reading(weight, codes, flags, bias), edges, onto, shift)


def _side_by_side(plan: Plan, weight: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ``weight`` by kind of feature instead of by view, for (2z)^2 instead of the parabola; and the constant that leaves."""
    kinds: list[list[np.ndarray]] = [[] for _ in range(5)]
    for view, start in zip(plan.views, starts[:-1], strict=True):
        k, m = len(view.slots), len(view.many)
        widths = np.cumsum([k, m, m, m, 4 * m])
        for kind, part in zip(kinds, np.split(np.arange(start, start + view.width), widths[:-1]), strict=True):
            kind.append(part)
    rows = [np.concatenate([np.zeros(0, dtype=int), *kind]).astype(int) for kind in kinds]
    parabola = weight[rows[3]]  # clip(z^2 - 1, -3, 6) / 2 = min((2z)^2, 28) / 8 - 1/2
    return np.concatenate([weight[rows[0]], weight[rows[2]], parabola / 8, weight[rows[1]], weight[rows[4]]]), -parabola.sum(axis=0) / 2


def ramps(knots: np.ndarray, heights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """A piecewise linear map as ``first + sum(rise * clip((z - start) * slope, 0, 1))``; each but the last (Q - 1,).

    A jump (two knots in one place, which no woven network has) becomes a very steep ramp before it.
    """
    gap = np.diff(knots)
    steep = gap <= 0
    width = np.where(steep, 1e-9, gap)
    return np.where(steep, knots[:-1] - width, knots[:-1]), 1.0 / width, np.diff(heights), float(heights[0])
