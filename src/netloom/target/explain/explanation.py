"""What `TargetNetwork.explain` returns: rows explained column by column, and the network as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.target.explain.contributions import contributions
from netloom.target.explain.pairs import pair_strengths
from netloom.target.explain.reading import Reading, Said
from netloom.target.explain.shapes import Shape, shape_of
from netloom.target.explain.unlike import unlike_rows
from netloom.target.reference import Reference, learn_reference
from netloom.tasks.frames import as_frame

if TYPE_CHECKING:
    import pandas as pd

    from netloom.target.network import TargetNetwork

__all__ = ["Explanation", "Pair", "explain"]

BACKGROUND = 64  # rows to compare with
MANY = 32  # columns that neurons read, from where fewer rows are compared with
HELD = 8_000_000  # numbers held per chunk of rows


@dataclass(frozen=True)
class Pair:
    """Two columns that act together; ``strength`` in units of the output, ``relative`` to the output's deviation."""

    first: str
    second: str
    strength: float
    relative: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """Rows explained: for each of n rows and O outputs, base + the contributions of its C columns = the output, exactly.

    Attributes
    ----------
    columns : C names, in the order of the schema
    outputs : O names: targets, or classes; of two classes one output, the log odds of the second
    unit : of outputs and contributions: "log odds", "logit" or the target itself
    base : (O,), the mean output of the background
    contributions : (n, C, O)
    direct : (n, C, O), the part of them that is exactly additive; the rest is of the neurons
    predictions : (n, O), the network's outputs before softmax
    unlike : per row, why it is unlike the training rows; empty if it is like them
    synthetic : whether the rows are made up from the network's summary of its training rows, as none were given
    """

    columns: tuple[str, ...]
    outputs: tuple[str, ...]
    unit: str
    base: np.ndarray
    contributions: np.ndarray
    direct: np.ndarray
    predictions: np.ndarray
    unlike: tuple[tuple[str, ...], ...]
    synthetic: bool
    _reading: Reading = field(repr=False)
    _X: np.ndarray = field(repr=False)  # of the background
    _said: Said = field(repr=False)
    _reference: Reference = field(repr=False)

    @cached_property
    def moves(self) -> np.ndarray:
        """How far each column moves the output of these rows, the mean of |contribution| over rows and outputs (C,)."""
        return np.abs(self._compared(self.contributions)).mean(axis=(0, 2)) if len(self.contributions) else np.zeros(len(self.columns))

    @cached_property
    def shares(self) -> np.ndarray:
        """The columns' shares in what moves the output (C,), adding up to 1 (or all 0 where nothing moves)."""
        return self.moves / total if (total := self.moves.sum()) > 0 else self.moves

    @cached_property
    def additive(self) -> float:
        """How much of what moves the outputs is exactly additive, 0 to 1: the rest is of neurons."""
        if not len(self.direct):
            return 1.0
        direct, woven = (np.abs(self._compared(part)).sum() for part in (self.direct, self.contributions - self.direct))
        return float(direct / (direct + woven)) if direct + woven > 0 else 1.0

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """What each column does by itself, the one that moves most first; columns that are not read are left out."""
        found = []
        for j in np.argsort(-self.moves, kind="stable"):
            shape = shape_of(self._reading, int(j), self._X, self._said, self._reference) if j < len(self._reading.schema.columns) else None
            if shape is not None:
                found.append(shape)
        return tuple(found)

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Columns that act together, from the strongest; ``relative`` compares with the deviation of the background's outputs."""
        out = self._compared(self._reading.outputs(self._said)[:, None])[:, 0]
        scale = float(np.sqrt(out.var(axis=0).sum())) or 1.0
        found = pair_strengths(self._reading, self._said, self._centred)
        return tuple(Pair(self.columns[a], self.columns[b], s, s / scale) for a, b, s in found if s > 1e-9 * scale)

    def to_frame(self) -> pd.DataFrame:
        """One line per row and output: row, output, prediction, base, a column per column of the table, why unlike."""
        import pandas as pd

        lines = []
        for i in range(len(self.predictions)):
            for o, name in enumerate(self.outputs):
                parts = dict(zip(self.columns, self.contributions[i, :, o].tolist(), strict=True))
                said = {"row": i, "output": name, "prediction": self.predictions[i, o], "base": self.base[o]}
                said |= {f"contribution of {column}": part for column, part in parts.items()}
                lines.append(said | {"unlike": "; ".join(self.unlike[i])})
        return pd.DataFrame(lines)

    @property
    def _centred(self) -> bool:
        return self.unit == "logit"

    def _compared(self, parts: np.ndarray) -> np.ndarray:
        """Of several classes only differences between logits mean something."""
        return parts - parts.mean(axis=-1, keepdims=True) if self._centred else parts


def explain(network: TargetNetwork, table: Any = None, background: Any = None, seed: int = 0) -> Explanation:
    """Explain the rows of a table, and the network on the way.

    Parameters
    ----------
    network : TargetNetwork
    table : rows to explain; None for rows made up from the network's summary of its training rows
    background : rows to compare with, of which `BACKGROUND` evenly spaced ones are used; None for made-up ones
    seed : of the orders in which columns are put in place

    Raises
    ------
    DataError : if the network holds no summary of its training rows and no background is given
    """
    schema, reading = network.schema, Reading(network.schema, network.weights)
    room = max(16, HELD // max(1, reading.C * max(reading.H, 1)))
    size = min(BACKGROUND if reading.heard_by_neurons.sum() <= MANY else BACKGROUND // 4, room)
    X_background, reference = _background(network, background, size)
    said = reading.say(X_background)
    frame = None if table is None else as_frame(table)[0]
    X = reference.sample(schema, 4 * BACKGROUND, seed=1) if table is None else schema.encode(table)
    parts = [contributions(reading, reading.say(X[i : i + room]), said, seed) for i in range(0, len(X), room)]
    if not parts:
        parts = [contributions(reading, reading.say(X), said, seed)]
    base = parts[0][0]
    direct, woven = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
    predictions = network.weights.forward(X)
    total = direct + woven
    _settle(total, predictions - base)
    if network.classes is None:
        outputs, unit = network.target_names, "value"
    elif predictions.shape[1] == 1:
        outputs, unit = (str(network.classes[1]),), "log odds"
    else:
        outputs, unit = tuple(str(label) for label in network.classes), "logit"
    names = tuple(column.name for column in schema.columns) or ("(nothing)",)
    unlike = tuple(unlike_rows(schema, reference, X, frame)) if table is not None else ((),) * len(X)
    made_up = table is None
    return Explanation(names, outputs, unit, base, total, direct, predictions, unlike, made_up, reading, X_background, said, reference)


def _background(network: TargetNetwork, background: Any, size: int) -> tuple[np.ndarray, Reference]:
    from netloom.target.reference import need_reference

    if background is None:
        reference = need_reference(network.reference)
        return reference.sample(network.schema, size), reference
    X = network.schema.encode(background)
    some = X[np.linspace(0, len(X) - 1, min(size, len(X))).astype(int)]
    return some, network.reference or learn_reference(network.schema, X)


def _settle(total: np.ndarray, wanted: np.ndarray) -> None:
    """The network computes in single precision; the difference (a millionth) goes to the largest contribution, so that sums are exact."""
    n, C, O = total.shape
    for _ in range(3):  # the addition itself rounds
        gap = wanted - total.sum(axis=1)  # (n, O)
        largest = np.abs(total).argmax(axis=1)  # (n, O)
        i, o = np.meshgrid(np.arange(n), np.arange(O), indexing="ij")
        total[i, largest, o] += gap
