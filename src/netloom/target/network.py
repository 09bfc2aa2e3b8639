"""The woven network: a table in, predictions out, in plain numpy, and one small file to keep it in."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.errors import ConfigError, DataError
from netloom.target.calibration import log_chances
from netloom.target.row import RowPlan, row_chances
from netloom.target.weights import Weights
from netloom.tasks.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

    from netloom.target.explain import Explanation
    from netloom.target.reference import Reference

__all__ = ["TargetNetwork"]


@dataclass(frozen=True, eq=False)
class TargetNetwork:
    """One plain network with the preparation of its table: predict from frames, arrays or single rows, without torch.

    Attributes
    ----------
    schema : how columns become numbers, learned on the training rows
    weights : the numbers
    kind : "classification" or "regression"
    classes : labels in their own dtype, in the order of outputs; None for regression
    target_names : one name per target
    architecture : what was chosen and why: members with family, penalty, held-out score and weight, blocks, widths, head
    metrics : held-out scores with standard errors
    provenance : versions, fingerprint of the loom, seed, rows, date
    reference : what the training rows looked like, in summary; None in networks from before it was kept
    """

    schema: Schema
    weights: Weights
    kind: str
    classes: np.ndarray | None
    target_names: tuple[str, ...]
    architecture: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    reference: Reference | None = None

    def decision_function(self, table: Any) -> np.ndarray:
        """Outputs before softmax: log odds (n,) for two classes, logits (n, C) for more, values (n, O) for regression."""
        outputs = self.weights.forward(self.schema.encode(table))
        return outputs[:, 0] if self.kind == "classification" and outputs.shape[1] == 1 else outputs

    def predict(self, table: Any) -> np.ndarray:
        """Labels (n,), values (n,), or values (n, O) for several targets."""
        outputs = self.weights.forward(self.schema.encode(table))
        if self.classes is not None:
            return self.classes[(outputs[:, 0] > 0).astype(int) if outputs.shape[1] == 1 else outputs.argmax(axis=1)]
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def predict_proba(self, table: Any) -> np.ndarray:
        """Chances (n, C) of the classes, in the order of ``classes``.

        Raises
        ------
        ConfigError : for a regression network
        """
        if self.classes is None:
            raise ConfigError("predict_proba: this network predicts values, not classes; use predict or predict_interval")
        return np.exp(log_chances(self.weights.forward(self.schema.encode(table))))

    def predict_interval(self, table: Any, coverage: float = 0.9) -> np.ndarray:
        """Intervals (n, 2), or (n, O, 2) for several targets, that hold the value with chance ``coverage``.

        Their width is the quantile of held-out errors (split conformal), wider where the Bayesian readout knows less (its predictive
        variance, kept in a few directions).

        Raises
        ------
        ConfigError : for a classification network, or a coverage outside .01 to .99
        """
        if self.classes is not None:
            raise ConfigError("predict_interval: this network predicts classes; use predict_proba")
        if not 0.01 <= coverage <= 0.99:
            raise ConfigError(f"coverage = {coverage}: must be between 0.01 and 0.99")
        X = self.schema.encode(table)
        middle = self.weights.forward(X)  # (n, O)
        quantiles = self.weights.extra.get("interval_quantiles")
        if quantiles is None:
            raise ConfigError("predict_interval: this network was woven from too few rows to measure its errors; fit it on more")
        grid = np.arange(1, 100) / 100
        half = np.stack([np.interp(coverage, grid, quantiles[:, o]) for o in range(middle.shape[1])])  # (O,)
        width = half * self.weights.unsureness(X)[:, None]  # (n, O)
        intervals = np.stack([middle - width, middle + width], axis=-1)
        return intervals[:, 0] if middle.shape[1] == 1 else intervals

    @cached_property
    def _plan(self) -> RowPlan:
        return RowPlan(self.weights)

    def predict_row(self, values: Any) -> Any:
        """One row, fast: a sequence in the order of ``schema.columns``, or a mapping from column names.

        Returns chances (C,) for classes, a float or values (O,) for regression; tens of microseconds.
        """
        outputs = self._plan(self.schema.encode_row(values))
        if self.classes is not None:
            return row_chances(outputs)
        return float(outputs[0]) if len(outputs) == 1 else outputs

    def explain(self, table: Any = None, background: Any = None) -> Explanation:
        """Rows explained column by column, adding up to the outputs exactly; and what each column and pair of columns does.

        Parameters
        ----------
        table : rows to explain; None for rows made up from the summary of the training rows
        background : rows to compare with; None for made-up ones

        Raises
        ------
        DataError : if there is no summary of the training rows (an old file) and no background
        """
        from netloom.target.explain import explain

        return explain(self, table, background)

    def update(self, task: Any, memory: Any, **options: Any) -> Any:
        """Add the rows of ``task``, given what a `netloom.refine.Memory` keeps of the rows so far; see `netloom.update`."""
        return memory.update(self, task, **options)

    @property
    def n_parameters(self) -> int:
        """Numbers in the network."""
        return self.weights.n_parameters

    @cached_property
    def n_bytes(self) -> int:
        """Size of its file."""
        from netloom.target.store import size_of

        return size_of(self)

    def summary(self) -> str:
        """The architecture in a few lines of text."""
        from netloom.target.summary import summarise

        return summarise(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one ``.netloom`` file (safetensors with a JSON description, nothing executable), atomically."""
        from netloom.target.store import save

        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TargetNetwork:
        """Read a ``.netloom`` file; FileError in one line if it is cut, forged, oversized or newer."""
        from netloom.target.store import load

        return load(path)

    def to_onnx(self, path: str | os.PathLike[str], *, grouped: bool = False) -> None:
        """Write ONNX with the whole preparation inside: one input per column, or per kind of column (``grouped``), which is faster for one
        row; needs the packages of ``netloom[onnx]``."""
        from netloom.export import export

        export(self, path, ".onnx", grouped=grouped)

    def to_torch(self) -> Any:
        """A plain torch module of numbers and codes, ``forward(numbers, codes)``; see `netloom.export.torch`."""
        from netloom.export.torch import to_torch

        return to_torch(self)

    def to_keras(self) -> Any:
        """A Keras 3 model of numbers and codes; see `netloom.export.keras`; needs the package of ``netloom[keras]``."""
        from netloom.export.keras import to_keras

        return to_keras(self)

    def to_frame(self, table: Any, coverage: float | None = None) -> pd.DataFrame:
        """Predictions as a table: the label with a chance per class, or the value with its interval if ``coverage`` is given."""
        import pandas as pd

        predicted = self.predict(table)
        if self.classes is not None:
            columns = {self.target_names[0]: predicted}
            chances = self.predict_proba(table)
            return pd.DataFrame(columns | {f"chance of {label}": chances[:, c] for c, label in enumerate(self.classes)})
        values = predicted[:, None] if predicted.ndim == 1 else predicted  # (n, O), n may be 0
        frame = pd.DataFrame({name: values[:, o] for o, name in enumerate(self.target_names)})
        if coverage is not None:
            intervals = self.predict_interval(table, coverage).reshape(len(values), len(self.target_names), 2)
            for o, name in enumerate(self.target_names):
                frame[f"{name} low"], frame[f"{name} high"] = intervals[:, o, 0], intervals[:, o, 1]
        return frame

    def __post_init__(self) -> None:
        if not self.weights.views:
            raise DataError("a network needs at least one view of its columns")
