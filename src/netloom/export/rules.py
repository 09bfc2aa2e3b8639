"""Rules apart from the other neurons, where a matrix of them would be so many zeros that reading it takes most of the time.

A rule reads a few of hundreds of cuts, and a cut only values and levels; nothing but the outputs hears a rule. So every rule may reckon
its own cuts, those that several share as often, and rules are added to the outputs at last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from netloom.export.fuse import Fused, Reading
from netloom.target.weights import gathered

__all__ = ["Group", "Rules", "take_out"]

WORTH = 150_000  # numbers of matrices that are spared; with fewer, one row takes no less time with rules apart
MOST = 16  # cuts of a rule
A_GROUP = 300  # cuts that cost as much as two more operations


@dataclass(frozen=True, eq=False)
class Group:
    """Rules of about as many cuts: ``inputs`` and ``numbers`` (k, R); what fills up short ones reads the last cut, which is always 0."""

    inputs: np.ndarray
    numbers: np.ndarray


@dataclass(frozen=True, eq=False)
class Rules:
    """``relu(numbers of each group @ relu(cuts) + bias) @ readout`` is added to the outputs.

    cuts : what C neurons read of the table, nothing bent; the last is 0.
    bias : (R,) and readout : (R, O), in the order of the groups.
    """

    cuts: Reading
    groups: list[Group]
    bias: np.ndarray
    readout: np.ndarray


def take_out(fused: Fused, values: int, levels: bool) -> tuple[Fused, Rules | None]:
    """The network without rules and what only they read, and these; all of it and None where they are few.

    Parameters
    ----------
    values : how many of the features come first and are values, not bent
    levels : whether cuts may read levels; a table of what these say to every cut of every rule would be large
    """
    edges = fused.edges
    if len(edges) < 3:
        return fused, None
    H, first, onto = int(edges[-1]), int(edges[1]), fused.onto
    straight = (np.arange(H) < first) & (fused.table.weight[values:, :H] == 0).all(axis=0)
    straight &= levels | (fused.table.codes[:, :H] == 0).all(axis=0)
    is_rule = ~fused.table.reads[:H] & (onto[:, :H] == 0).all(axis=1) & (np.arange(H) >= first)
    is_rule &= (onto[~straight, :H] == 0).all(axis=0) & (np.count_nonzero(onto[:, :H], axis=0) <= MOST)
    read = onto != 0
    is_cut = read[:, :H][:, is_rule].any(axis=1)
    only_cut = is_cut & ~read[:, :H][:, ~is_rule].any(axis=1) & ~read[:, H:].any(axis=1)
    if not is_rule.any() or only_cut.sum() * len(fused.table.weight) + is_rule.sum() * H < WORTH:
        return fused, None
    return _without(fused, ~is_rule & ~only_cut), _apart(fused, np.flatnonzero(is_rule), np.flatnonzero(is_cut))


def _without(fused: Fused, kept: np.ndarray) -> Fused:
    """Only the neurons that are kept; depths of which none are left go."""
    widths = [int(kept[start:stop].sum()) for start, stop in zip(fused.edges[:-1], fused.edges[1:], strict=True)]
    columns = np.concatenate([np.flatnonzero(kept), np.arange(len(kept), len(fused.table.bias))])
    return replace(
        fused,
        table=fused.table.of(columns),
        edges=np.concatenate([[0], np.cumsum([width for width in widths if width])]).astype(int),
        onto=fused.onto[kept][:, columns],
    )


def _apart(fused: Fused, rules: np.ndarray, cuts: np.ndarray) -> Rules:
    H, zero, onto = int(fused.edges[-1]), len(cuts), fused.onto
    place = np.full(H, -1)
    place[cuts] = np.arange(zero)
    count = np.count_nonzero(onto[:, rules], axis=0)
    rules = rules[np.argsort(count, kind="stable")]
    groups = []
    for some in np.split(rules, _ends(np.sort(count))):
        inputs, numbers = gathered(onto[:, some].T)
        groups.append(Group(np.where(numbers == 0, zero, place[inputs]).T, numbers.T))
    read = fused.table.of(cuts)
    padded = (np.pad(matrix, [(0, 0)] * (matrix.ndim - 1) + [(0, 1)]) for matrix in (read.weight, read.codes, read.flags, read.bias))
    return Rules(Reading(*padded), groups, fused.table.bias[rules], onto[rules, H:])


def _ends(count: np.ndarray) -> list[int]:
    """Where to part rules in order of their number of cuts, so that short ones are not filled up to the longest."""
    ends = np.flatnonzero(np.diff(count)) + 1
    if not len(ends):
        return []
    spared = ends * (count[-1] - count[ends - 1])
    if spared.max() < A_GROUP:
        return []
    end = int(ends[spared.argmax()])
    return [*_ends(count[:end]), end, *(end + e for e in _ends(count[end:]))]
