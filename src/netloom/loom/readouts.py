"""The readout of networks woven in one pass: its penalty by leave-one-out. Small tasks are solved many at once, large ones one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from netloom.loom.assemble import solve
from netloom.loom.compare import losses, readout_targets
from netloom.loom.families import Selection
from netloom.loom.rows import Rows
from netloom.target.calibration import interval_quantiles
from netloom.target.heads import HEADS, Path
from netloom.target.heads.kernel import SOLVERS
from netloom.target.solve import compress

__all__ = ["APART", "FEW_ROWS", "PENALTIES", "ROUGHLY", "Question", "Readout", "left_out_intervals", "readouts"]

PENALTIES = {"logistic": (0.3, 0.1, 0.03, 0.01), "gaussian": (16.0, 8.0, 4.0, 1.0)}  # in units of the penalty that the loom gives
SMALL = 250**3  # systems of rows^3 a Newton step takes, up to which tasks are solved together
AT_ONCE = 400_000  # numbers in the kernels that are solved together: more leave the processor's cache
ROUGHLY: dict[str, dict[str, Any]] = {"logistic": {"tolerance": 1e-4}}  # how well readouts that are only compared are solved
APART: dict[str, dict[str, Any]] = {"logistic": {"together": 0}}  # leave-one-out class by class: a quarter of the time
FEW_ROWS = 20  # from which on values have intervals
JUDGED = 2000  # rows of a large task that are left out one by one


class Question(Protocol):
    """What a readout is solved from: the rows, and blocks (n_i, all) of their features of which ``chosen`` selects and scales."""

    @property
    def rows(self) -> Rows: ...
    @property
    def head(self) -> str: ...
    @property
    def blocks(self) -> list[np.ndarray]: ...
    @property
    def chosen(self) -> Selection: ...


@dataclass(frozen=True, eq=False)
class Readout:
    """coef (p, O) of scaled features, intercept (O,), and the outputs (n, O) of the first n rows, each without itself."""

    penalty: float
    coef: np.ndarray
    intercept: np.ndarray
    left_out: np.ndarray


def readouts(questions: Sequence[Question]) -> list[Readout]:
    """A readout for each, in their order."""
    found: dict[int, Readout] = {}
    for group in _groups(questions):
        if _is_small(questions[group[0]]):
            found |= zip(group, _together([questions[i] for i in group]), strict=True)
        else:
            found |= {i: _alone(questions[i]) for i in group}
    return [found[i] for i in range(len(questions))]


def _groups(questions: Sequence[Question]) -> Iterator[list[int]]:
    """Questions of one head and number of outputs, of similar size, as many as fit at once."""

    def kind(i: int) -> tuple[str, int, int]:
        return questions[i].head, questions[i].rows.head_targets.shape[1], questions[i].rows.n

    group: list[int] = []
    for i in sorted(range(len(questions)), key=kind):
        head, outputs, n = kind(i)
        if group and (kind(group[0])[:2] != (head, outputs) or not _is_small(questions[i]) or (len(group) + 1) * outputs * n**2 > AT_ONCE):
            yield group
            group = []
        group.append(i)
    if group:
        yield group


def _is_small(question: Question) -> bool:
    """Whether a batch of kernels is faster than the head of one task; softmax takes a system per class and one that ties them."""
    outputs = question.rows.head_targets.shape[1]
    systems = outputs + 1 if question.head == "logistic" and outputs > 1 else 1
    return systems * question.rows.n**3 <= SMALL


def _together(questions: Sequence[Question]) -> list[Readout]:
    """All at once through the kernels of their rows, padded with rows of weight 0."""
    head, n = questions[0].head, max(q.rows.n for q in questions)
    features = [q.chosen.of(q.blocks[0]) for q in questions]
    K, weight = torch.zeros(len(questions), n, n, dtype=torch.float64), torch.zeros(len(questions), n, dtype=torch.float64)
    Y = torch.zeros(len(questions), n, questions[0].rows.head_targets.shape[1], dtype=torch.float64)
    for b, (q, F) in enumerate(zip(questions, features, strict=True)):
        own = q.rows.n
        K[b, :own, :own] = torch.as_tensor(F @ F.T)
        Y[b, :own], weight[b, :own] = torch.as_tensor(q.rows.head_targets), torch.as_tensor(q.rows.weight)
    solved = SOLVERS[head](K, Y, PENALTIES[head], weight)
    dual, intercept, left_out = solved.dual.numpy(), solved.intercept.numpy(), solved.left_out.numpy()
    found = []
    for b, (q, F) in enumerate(zip(questions, features, strict=True)):
        best = _best(left_out[:, b, : q.rows.n], q.rows, head)
        found.append(Readout(PENALTIES[head][best], F.T @ dual[best, b, : q.rows.n], intercept[best, b], left_out[best, b, : q.rows.n]))
    return found


def _alone(question: Question) -> Readout:
    """The penalty from the first rows, the readout from all."""
    head, blocks = question.head, question.blocks
    rows, features = question.rows.take(np.arange(min(question.rows.n, JUDGED))), blocks[0][:JUDGED]
    packed = compress(torch.as_tensor(question.chosen.of(features)))
    F = packed.features
    Y = readout_targets(rows, np.arange(rows.head_targets.shape[1]), head)
    weight = torch.as_tensor(rows.weight)
    path = HEADS[head].fit_path(F, Y, PENALTIES[head], weight, **ROUGHLY.get(head, {}))
    left_out = HEADS[head].leave_one_out(F, Y, path, PENALTIES[head], weight, **APART.get(head, {})).numpy()
    best = _best(left_out, rows, head)
    penalty = PENALTIES[head][best]
    if question.rows.n > JUDGED:
        return Readout(penalty, *solve(question.chosen, blocks, question.rows, head, penalty), left_out[best])
    near = Path(path.coef[[best]], path.intercept[[best]])  # the same rows: go on from there
    exact = HEADS[head].fit_path(F, Y, [penalty], weight, near)
    return Readout(penalty, packed.expand(exact.coef[0]).numpy(), exact.intercept[0].numpy(), left_out[best])


def _best(left_out: np.ndarray, rows: Rows, head: str) -> int:
    """Which of the outputs (L, n, O) has the lowest loss."""
    return int(np.argmin([np.average(losses(outputs, rows, head), weights=rows.weight) for outputs in left_out]))


def left_out_intervals(left_out: np.ndarray, rows: Rows) -> dict[str, np.ndarray]:
    """What intervals need, from outputs (n, O) of the first n rows without themselves; nothing for classes and for few rows."""
    if rows.codes is not None or rows.n < FEW_ROWS:
        return {}
    n = len(left_out)
    return {"interval_quantiles": interval_quantiles((rows.targets[:n] - left_out) * rows.scale, rows.weight[:n])}
