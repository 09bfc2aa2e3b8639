"""Time of the logistic head for a whole path of penalties, beside plain Newton, scipy's L-BFGS and scikit-learn, on one thread.

    python benchmarks/profile_heads.py [--rows 700] [--features 600] [--json]

Features are standardised and divided by sqrt(p), as the readout gets them: random ReLU neurons of 20 columns, or Gaussian noise
(``--gauss``). Seconds are of the processor, so that other programs disturb them less. ``gap`` is the largest mean objective above the
best one found. ``times`` is how many times our time the other takes.
"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import json
import sys
import time
import warnings

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit, log_softmax
from sklearn.linear_model import LogisticRegression

from netloom.target.heads import logistic

PENALTIES = [1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0]


def table(n: int, p: int, outputs: int, gauss: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, p) and one-hot classes (n, O), or (n, 1) for two classes."""
    rng = np.random.default_rng(seed)
    if gauss:
        F = rng.normal(size=(n, p))
        columns = F
    else:
        columns = rng.normal(size=(n, 20))
        F = np.maximum(columns @ (rng.normal(size=(20, p)) * (rng.random((20, p)) < 0.15)) + rng.normal(size=p), 0)
    F = (F - F.mean(0)) / (F.std(0) + 1e-2) / np.sqrt(p)
    scores = 3 * np.sin(columns[:, :5] @ rng.normal(size=(5, max(outputs, 2)))) + rng.gumbel(size=(n, max(outputs, 2)))
    Y = np.eye(max(outputs, 2))[scores.argmax(1)]
    return F, Y[:, 1:] if outputs == 1 else Y


def objective(F: np.ndarray, Y: np.ndarray, penalty: float, flat: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean objective of flat (p + 1, O) numbers, and its gradient."""
    b = flat.reshape(F.shape[1] + 1, -1)
    M = F @ b[:-1] + b[-1]
    if Y.shape[1] == 1:
        loss, chances = (np.logaddexp(0, M) - Y * M).sum(), expit(M)
    else:
        logs = log_softmax(M, 1)
        loss, chances = -(Y * logs).sum(), np.exp(logs)
    gradient = np.vstack([F.T @ (chances - Y) + penalty * b[:-1], (chances - Y).sum(0)])
    return (loss + 0.5 * penalty * (b[:-1] ** 2).sum()) / len(F), gradient.ravel() / len(F)


def ours(F: np.ndarray, Y: np.ndarray) -> list[np.ndarray]:
    path = logistic.fit_path(torch.from_numpy(F), torch.from_numpy(Y), PENALTIES)
    return [np.vstack([coef, intercept]) for coef, intercept in zip(path.coef.numpy(), path.intercept.numpy(), strict=True)]


def newton(F: np.ndarray, Y: np.ndarray) -> list[np.ndarray]:
    """Two classes: float64 Hessian and Cholesky in every step, each penalty from the last one's solution."""
    A = torch.from_numpy(np.hstack([F, np.ones((len(F), 1))]))
    T, b, found = torch.from_numpy(Y[:, 0]), torch.zeros(A.shape[1], dtype=torch.float64), {}
    for penalty in sorted(PENALTIES, reverse=True):
        ridge = torch.full((A.shape[1],), penalty, dtype=torch.float64)
        ridge[-1] = 1e-12
        for _ in range(50):
            chances = torch.sigmoid(A @ b)
            gradient = A.T @ (chances - T) + ridge * b
            hessian = (A * (chances * (1 - chances))[:, None]).T @ A + torch.diag(ridge)
            step = torch.cholesky_solve(gradient[:, None], torch.linalg.cholesky(hessian))[:, 0]
            b = b - step
            if gradient @ step < 2e-5 * len(F):
                break
        found[penalty] = b.numpy()[:, None]
    return [found[penalty] for penalty in PENALTIES]


def lbfgs(F: np.ndarray, Y: np.ndarray) -> list[np.ndarray]:
    """scipy's L-BFGS-B, each penalty from the last one's solution."""
    flat, found = np.zeros((F.shape[1] + 1) * Y.shape[1]), {}
    for penalty in sorted(PENALTIES, reverse=True):
        result = minimize(
            lambda x, penalty=penalty: objective(F, Y, penalty, x),
            flat,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 5000, "gtol": 1e-5},
        )
        flat = found[penalty] = result.x
    return [found[penalty].reshape(F.shape[1] + 1, -1) for penalty in PENALTIES]


def sklearn(F: np.ndarray, Y: np.ndarray) -> list[np.ndarray]:
    codes = Y[:, 0] if Y.shape[1] == 1 else Y.argmax(1)
    found = []
    for penalty in PENALTIES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LogisticRegression(C=1 / penalty, max_iter=5000, tol=1e-5).fit(F, codes)
        found.append(np.vstack([model.coef_.T, model.intercept_]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=700)
    parser.add_argument("--features", type=int, default=600)
    parser.add_argument("--gauss", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = []
    for outputs in (1, 3, 10):
        F, Y = table(options.rows, options.features, outputs, options.gauss)
        seconds, solutions = {}, {}
        for solver in (ours, newton, lbfgs, sklearn) if outputs == 1 else (ours, lbfgs, sklearn):
            taken = []
            for _ in range(options.repeats):
                before = time.process_time()
                solutions[solver.__name__] = solver(F, Y)
                taken.append(time.process_time() - before)
            seconds[solver.__name__] = min(taken)
        values = {
            name: np.array([objective(F, Y, penalty, b.ravel())[0] for penalty, b in zip(PENALTIES, found, strict=True)])
            for name, found in solutions.items()
        }
        best = np.min(list(values.values()), axis=0)
        for name, taken in seconds.items():
            gap = float((values[name] - best).max())
            line = {"outputs": outputs, "solver": name, "seconds": taken, "times": taken / seconds["ours"], "gap": gap}
            lines.append(line)
            if not options.json:
                print(f"O = {outputs:2d}  {name:8s} {taken:7.3f} s  {line['times']:6.1f} times  gap {gap:.1e}", flush=True)
    if options.json:
        json.dump(lines, sys.stdout)
        print()


if __name__ == "__main__":
    main()
