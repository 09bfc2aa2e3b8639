"""Which family, how strongly regularised: compared by folds whose neurons are woven anew, averaged by evidence.

Woven neurons have seen the labels of the rows they were woven from, so leave-one-out of the readout would flatter them. Families race
(Maron & Moore 1994): what is behind beyond doubt after a fold is not made again for the next.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from netloom.loom.families import select
from netloom.loom.hypernetwork import Hypernetwork
from netloom.loom.pool import Pool, weave_pool
from netloom.loom.rows import Rows, folds_of
from netloom.target.calibration import class_losses, temperature_of
from netloom.target.heads import HEADS
from netloom.threads import Each, in_turn

__all__ = ["PENALTIES", "Candidate", "compare", "moments", "weigh"]

PENALTIES = {  # walked from strong to weak, until held-out rows say that it has gone too far
    "logistic": (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003),
    "svm": (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003),
    "ridge": (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001),
    "gaussian": (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001),
}
EVIDENCE, PER_ROW = 60.0, 0.2  # members weigh exp(-sharpness * held-out loss), the sharper the more rows there are; see docs/decisions/0066
ROUGHLY = {"tolerance": 2e-4, "forcing": 0.3}  # how well readouts that are only compared are solved; see docs/decisions/0080
TOO_FAR = 1.01  # a held-out loss this many times the best so far ends the walk
SMALLEST = 0.03  # members that weigh less are left out
IN_CACHE = 128  # rows whose features are looked at in double precision at once
DOUBT = 3.0  # standard errors by which a family must be behind to be given up


@dataclass(eq=False)
class Candidate:
    """A family on its way through the folds: held-out outputs (n, O) per penalty, and once all folds are in, its best penalty."""

    family: str
    outputs: dict[float, np.ndarray] = field(default_factory=dict)
    folds: dict[float, int] = field(default_factory=dict)
    penalty: float = np.nan
    loss: float = np.inf
    rows: np.ndarray | None = None  # (n,) held-out loss of every judged row at the best penalty

    @property
    def held_out(self) -> np.ndarray:
        return self.outputs[self.penalty]

    def judge(self, seen: Rows, judged: np.ndarray, folds: int, head: str) -> None:
        """The best of the penalties that were solved in all ``folds`` so far, by the rows ``seen`` in these, which are number ``judged`` of
        all; none if there is none.
        """
        self.penalty, self.loss, self.rows = np.nan, np.inf, None
        for penalty in (p for p, count in self.folds.items() if count == folds):
            row = losses(self.outputs[penalty][judged], seen, head)
            loss = float(np.average(row, weights=seen.weight))
            if loss < self.loss:
                self.penalty, self.loss, self.rows = penalty, loss, row


def compare(
    loom: Hypernetwork,
    rows: Rows,
    families: dict[str, tuple[str, ...]],
    head: str,
    *,
    folds: int = 3,
    seed: int = 0,
    control: str | None = None,
    progress: Callable[[float, str], None] | None = None,
    late: Callable[[], bool] = lambda: False,
    doubt: float = DOUBT,
    each: Each = in_turn,
) -> list[Candidate]:
    """Held-out outputs of every family and penalty, best first; without the families that were given up on the way.

    Parameters
    ----------
    head : name of the readout, of `netloom.target.heads.HEADS`
    late : asked before each family; once True, only the first family of each further fold is still solved
    doubt : standard errors by which a family must be behind to be given up; inf keeps all
    each : how parts are made and families solved, see `netloom.threads`
    """
    candidates = {name: Candidate(name) for name in families}
    outputs = rows.head_targets.shape[1]
    splits = folds_of(rows, folds)
    for k, (train, test) in enumerate(splits):
        wanted = {part for name in candidates for part in families[name]}
        inside = rows.take(train)
        pool = weave_pool(loom, inside, parts=wanted, seed=seed, control=control, each=each)
        F = pool.weights.features(rows.X)
        names = [name for name, c in candidates.items() if not c.folds or max(c.folds.values()) == k]  # the others already miss a fold
        alive = {name: families[name] for name in names}
        walked = _walk_all(pool, alive, inside, F[train], rows.take(test), F[test], head, late, each)
        for f, (name, walk) in enumerate(zip(names, walked, strict=True)):
            for penalty, held_out in walk:
                candidates[name].outputs.setdefault(penalty, np.zeros((rows.n, outputs)))[test] = held_out
                candidates[name].folds[penalty] = candidates[name].folds.get(penalty, 0) + 1
            if progress:
                progress((k + (f + 1) / len(names)) / folds, f"fold {k + 1} of {folds}: {name}")
        judged = np.sort(np.concatenate([held_out for _, held_out in splits[: k + 1]]))
        seen = rows.take(judged)
        for candidate in candidates.values():
            candidate.judge(seen, judged, k + 1, head)
        if k + 1 < folds:
            for name in _behind(candidates, rows, judged, doubt):
                del candidates[name]
    complete = [c for c in candidates.values() if folds in c.folds.values()]
    return sorted(complete, key=lambda c: evidence_loss(c, rows))


def _behind(candidates: dict[str, Candidate], rows: Rows, judged: np.ndarray, doubt: float) -> list[str]:
    """Families that would be left out of the average beyond doubt, given their losses of the ``judged`` rows; never the first one."""
    weight = rows.weight[judged]
    tried = {name: c.rows for name, c in candidates.items() if c.rows is not None}
    if not tried or np.isinf(doubt):
        return []
    ahead = min(tried.values(), key=lambda row: np.average(row, weights=weight))
    limit = -np.log(SMALLEST) / _sharpness(rows)  # in nats per row
    first, found = next(iter(candidates)), []
    for name, row in tried.items():
        gap = row - ahead
        least = float(np.average(gap, weights=weight) - doubt * gap.std() / np.sqrt(len(gap)))
        if rows.codes is None:  # as `evidence_loss` has it
            least = 0.5 * float(np.log1p(max(least, 0.0) / max(np.average(ahead, weights=weight), 1e-12)))
        if name != first and least > limit:
            found.append(name)
    return found


def _walk_all(
    pool: Pool,
    families: dict[str, tuple[str, ...]],
    inside: Rows,
    learned: np.ndarray,
    held_out: Rows,
    asked: np.ndarray,
    head: str,
    late: Callable[[], bool],
    each: Each,
) -> Iterator[list[tuple[float, np.ndarray]]]:
    """`_walk` of every family, given the pool's features of both rows; nothing where the table has nothing to read, or it is too late."""
    mean, deviation = moments([learned], inside.weight)
    first = next(iter(families), None)

    def walk(name: str) -> list[tuple[float, np.ndarray]]:
        if name != first and late():
            return []
        chosen = select(pool, families[name], mean, deviation)
        return [] if chosen is None else list(_walk(torch.as_tensor(chosen.of(learned)), inside, chosen.of(asked), held_out, head))

    return each(walk, list(families))


def _walk(A: torch.Tensor, inside: Rows, B: np.ndarray, held_out: Rows, head: str):  # noqa: ANN202
    """Solve from the strongest penalty down and yield (penalty, held-out outputs), until the held-out loss has clearly risen."""
    present = np.arange(inside.head_targets.shape[1])
    if inside.codes is not None and len(present) > 1:
        present = np.unique(inside.codes)
    Y = readout_targets(inside, present, head)
    weight = torch.as_tensor(inside.weight)
    options = ROUGHLY if head == "logistic" else {}
    best = np.inf
    for penalty, path in zip(PENALTIES[head], HEADS[head].walk(A, Y, PENALTIES[head], weight, **options), strict=True):
        given = B @ path.coef[0].numpy() + path.intercept[0].numpy()
        outputs = spread_outputs(given, present, inside)
        yield penalty, outputs
        loss = float(np.average(losses(outputs, held_out, head), weights=held_out.weight))
        if loss > best * TOO_FAR:
            return
        best = min(best, loss)


def readout_targets(rows: Rows, present: np.ndarray, head: str) -> torch.Tensor:
    """What a head is fitted to (n, O): one column for two classes; -1 and 1 for least squares on classes."""
    Y = torch.as_tensor(rows.head_targets[:, present], dtype=torch.float64)
    if rows.codes is None:
        return Y
    if Y.shape[1] == 2:
        Y = Y[:, 1:]
    return 2 * Y - 1 if head in ("ridge", "gaussian") else Y


def spread_outputs(given: np.ndarray, present: np.ndarray, inside: Rows) -> np.ndarray:
    """Outputs of the classes that a fold has seen as outputs of all classes; the others lie below by the log of the fold's rows."""
    O = inside.head_targets.shape[1]
    if len(present) == O:
        return given
    if len(present) == 2:
        given = np.concatenate([-given / 2, given / 2], axis=1)
    outputs = np.tile(given.min(axis=1, keepdims=True) - np.log(inside.n), (1, O))
    outputs[:, present] = given
    return outputs


def moments(blocks: list[np.ndarray], weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and deviation (p,) of all features over blocks of rows."""
    share, at = weight / weight.sum(), 0
    mean = square = np.zeros(blocks[0].shape[1])
    for part in (block[i : i + IN_CACHE] for block in blocks for i in range(0, len(block), IN_CACHE)):
        exact, own = part.astype(np.float64), share[at : at + len(part)]
        mean = mean + own @ exact
        exact *= exact
        square = square + own @ exact
        at += len(part)
    return mean, np.sqrt(np.maximum(square - np.square(mean), 0))


def losses(outputs: np.ndarray, rows: Rows, head: str) -> np.ndarray:
    """Held-out loss (n,) per row: squared error over the outputs, or log loss (of margins: at their best temperature)."""
    if rows.codes is None:
        return np.square(outputs - rows.targets).mean(axis=1)
    factor = 1.0 if head == "logistic" else temperature_of(outputs, rows.codes, rows.weight)
    return class_losses(outputs * factor, rows.codes)


def evidence_loss(candidate: Candidate, rows: Rows) -> float:
    """A loss in nats per row: the log loss of classes; half the log of the mean squared error of values (Gaussian noise)."""
    return candidate.loss if rows.codes is not None else 0.5 * float(np.log(max(candidate.loss, 1e-12)))


def _sharpness(rows: Rows) -> float:
    return min(EVIDENCE, PER_ROW * rows.n)


def weigh(candidates: list[Candidate], rows: Rows) -> list[tuple[Candidate, float]]:
    """The members of the final network with their weights, by evidence, largest first; the small ones are left out."""
    if not candidates:  # too few rows to compare
        return []
    loss = np.array([evidence_loss(c, rows) for c in candidates])
    weight = np.exp(-_sharpness(rows) * (loss - loss.min()))
    weight /= weight.sum()
    kept = [i for i in np.argsort(-weight, kind="stable") if weight[i] >= SMALLEST]
    total = weight[kept].sum()
    return [(candidates[i], float(weight[i] / total)) for i in kept]
