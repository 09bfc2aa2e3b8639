"""From the lines of a suite to what they say: means, mean ranks, wins, and paired differences with bootstrap intervals over tables.

Seeds are averaged first; only splits that every model finished count, so all means are over the same tables. Differences are ours minus
theirs. With `plot`, ranks and paired scores are drawn (needs matplotlib).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from netloom.errors import DataError
from netloom.evaluate.scores import MAIN_SCORE, SCORES, higher_is_better

__all__ = ["Summary", "summarise"]

OURS = "netloom"


@dataclass(frozen=True)
class Summary:
    """What a suite's lines say.

    Attributes
    ----------
    table : one line per (kind, score, model): mean (RMSE: in standard deviations of the test rows, which makes tables comparable),
        rank (mean over tables, 1 is best), wins (tables where best; ties are shared), difference (ours minus theirs, mean over tables),
        low and high (95 % interval of it, resampling tables), ahead (tables where ours is better), tables
    costs : one line per (kind, model): median seconds to fit and to predict, median bytes and parameters, runs, failed
    values : per (kind, score) a frame of tables x models, seeds averaged
    ours : the model that the others are compared to
    """

    table: pd.DataFrame
    costs: pd.DataFrame
    values: dict[tuple[str, str], pd.DataFrame]
    ours: str

    def to_markdown(self) -> str:
        """Sections per kind of task: means with ranks, then paired differences, then costs."""
        parts = []
        for kind in self.costs["kind"].unique():
            here = self.table[self.table["kind"] == kind]
            if here.empty:
                parts.append(f"## {kind.capitalize()}\n\nNo split was finished by every model.\n")
                continue
            names = list(here["score"].unique())
            costs = self.costs[self.costs["kind"] == kind].set_index("model")
            parts.append(f"## {kind.capitalize()}: {here['tables'].iloc[0]} tables\n")
            parts.append("Mean over tables (mean rank; tables won). ↑ more is better, ↓ less.\n")
            main = here[here["score"] == MAIN_SCORE[kind]].set_index("model")
            order = main["rank"].sort_values().index
            parts.append(_markdown(["model", *map(_headed, names)], [[m, *(_mean_cell(here, n, m) for n in names)] for m in order]))
            if self.ours in order:
                said = f"{self.ours} minus the other [95 % interval over tables], and tables where {self.ours} is better"
                parts.append(f"\n{said}; bold: 0 is outside.\n")
                others = [m for m in order if m != self.ours]
                parts.append(_markdown(["model", *map(_headed, names)], [[m, *(_gap_cell(here, n, m) for n in names)] for m in others]))
            parts.append("\nMedian cost of a run (one thread; compare within this run only).\n")
            head = ["model", "fit s", "predict s", "kB", "parameters", "runs", "failed"]
            parts.append(_markdown(head, [[m, *_cost_cells(costs.loc[m])] for m in order]))
            parts.append("")
        return "\n".join(parts)

    def write(self, folder: str | os.PathLike, *, plots: bool = True) -> list[Path]:
        """Write summary.md, summary.csv, costs.csv and, with matplotlib, ranks_*.png and paired_*.png; returns what was written."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written = [folder / name for name in ("summary.md", "summary.csv", "costs.csv")]
        written[0].write_text(self.to_markdown(), encoding="utf-8")
        self.table.to_csv(written[1], index=False, float_format="%.5g")
        self.costs.to_csv(written[2], index=False, float_format="%.5g")
        if plots and find_spec("matplotlib") is not None:
            from netloom.evaluate.plots import plot_paired, plot_ranks

            for kind, name in (("classification", "auc"), ("classification", "log_loss"), ("regression", "r2")):
                values = self.values.get((kind, name))
                if values is not None and values.shape[1] > 1:
                    written.append(plot_ranks(values, name, folder / f"ranks_{kind}_{name}.png", ours=self.ours))
                    if self.ours in values:
                        written.append(plot_paired(values, name, folder / f"paired_{kind}_{name}.png", ours=self.ours))
        return written


def summarise(
    lines: pd.DataFrame | str | os.PathLike,
    *,
    ours: str = OURS,
    models: Sequence[str] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Summary:
    """Summarise the lines that `netloom.evaluate.suite.run` wrote.

    Parameters
    ----------
    lines : frame, or path of the CSV
    ours : the model that the others are compared to
    models : only these (default: all in the file)
    resamples, seed : of the bootstrap over tables

    Raises
    ------
    DataError : no lines
    """
    frame = lines if isinstance(lines, pd.DataFrame) else pd.read_csv(lines)
    if models is not None:
        frame = frame[frame["model"].isin(models)]
    if frame.empty:
        raise DataError("no lines to summarise: run the suite first")
    failed = frame["error"].notna()
    table: list[dict[str, Any]] = []
    values = {}
    for kind, name in ((kind, name) for kind, scores in SCORES.items() for name in scores):
        if name not in frame:
            continue
        if name == "rmse":  # units differ between tables: in standard deviations of the test rows, which R2 knows
            frame = frame.assign(rmse=np.sqrt(1 - frame["r2"]))
        good = frame[~failed & (frame["kind"] == kind)]
        every = frame.loc[frame["kind"] == kind, "model"].unique()
        wide = good.pivot_table(index=["name", "seed"], columns="model", values=name).reindex(columns=every).dropna()
        if wide.empty:
            continue
        values[kind, name] = averaged = wide.groupby("name").mean()
        table += _compare(averaged, kind, name, ours, resamples, seed)
    costs = [_costs(group, kind, model) for (kind, model), group in frame.groupby(["kind", "model"], sort=False)]
    return Summary(pd.DataFrame(table, columns=_TABLE), pd.DataFrame(costs), values, ours)


_TABLE = ["kind", "score", "model", "mean", "rank", "wins", "difference", "low", "high", "ahead", "tables"]


def _compare(values: pd.DataFrame, kind: str, name: str, ours: str, resamples: int, seed: int) -> list[dict[str, Any]]:
    """Lines of the summary for one score: values is tables x models."""
    up = higher_is_better(name)
    rank = values.rank(axis=1, ascending=not up).mean()
    best = values.eq(values.max(axis=1) if up else values.min(axis=1), axis=0)
    wins = best.div(best.sum(axis=1), axis=0).sum()
    picked = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    lines = []
    for model in values:
        line = {"kind": kind, "score": name, "model": model, "mean": values[model].mean(), "rank": rank[model], "wins": wins[model]}
        if ours in values and model != ours:
            gap = (values[ours] - values[model]).to_numpy()
            low, high = np.quantile(gap[picked].mean(axis=1), [0.025, 0.975])
            line |= {"difference": gap.mean(), "low": low, "high": high, "ahead": int((gap > 0).sum() if up else (gap < 0).sum())}
        lines.append(line | {"tables": len(values)})
    return lines


def _costs(group: pd.DataFrame, kind: str, model: str) -> dict[str, Any]:
    medians = {name: group[name].median() for name in ("fit_s", "predict_s", "bytes", "parameters")}
    return {"kind": kind, "model": model, **medians, "runs": len(group), "failed": int(group["error"].notna().sum())}


def _headed(name: str) -> str:
    return f"{'rmse / std' if name == 'rmse' else name.replace('_', ' ')} {'↑' if higher_is_better(name) else '↓'}"


def _mean_cell(table: pd.DataFrame, name: str, model: str) -> str:
    here = table[table["score"] == name].set_index("model")
    if model not in here.index:
        return "-"
    line = here.loc[model]
    text = f"{line['mean']:.4g}" if abs(line["mean"]) >= 1 else f"{line['mean']:.4f}"
    top = here["mean"].max() if higher_is_better(name) else here["mean"].min()
    return f"{f'**{text}**' if line['mean'] == top else text} ({line['rank']:.2f}; {line['wins']:.3g})"


def _gap_cell(table: pd.DataFrame, name: str, model: str) -> str:
    here = table[table["score"] == name].set_index("model")
    if model not in here.index or np.isnan(here.loc[model, "difference"]):
        return "-"
    line = here.loc[model]
    text = f"{line['difference']:+.4g} [{line['low']:+.4g}, {line['high']:+.4g}]"
    return f"{text if line['low'] <= 0 <= line['high'] else f'**{text}**'} {line['ahead']:.0f}/{line['tables']}"


def _cost_cells(line: pd.Series) -> list[str]:
    def said(value: float, form: str) -> str:
        return "-" if np.isnan(value) else format(value, form)

    seconds = [said(line["fit_s"], ".3g"), said(line["predict_s"], ".2g")]
    sizes = [said(line["bytes"] / 1000, ".4g"), said(line["parameters"], ",.0f")]
    return [*seconds, *sizes, str(line["runs"]), str(line["failed"])]


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
