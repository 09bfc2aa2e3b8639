"""Two pictures of a suite: mean ranks with the distance that matters (Demsar 2006), and ours against each other model, table by table."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import studentized_range

from netloom.evaluate.scores import higher_is_better

__all__ = ["plot_paired", "plot_ranks"]

INK, OURS_COLOUR, GREY = "#222222", "#0b6e99", "#9a9a9a"
STYLE: Any = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": INK}


def plot_ranks(values: pd.DataFrame, name: str, path: Path, *, ours: str = "netloom") -> Path:
    """Mean rank of each model as a dot, with a bar as long as the critical difference of Nemenyi's test (5 %) below.

    Parameters
    ----------
    values : frame of tables x models
    name : the score
    path : PNG to write
    """
    rank = values.rank(axis=1, ascending=not higher_is_better(name)).mean().sort_values()
    tables, models = values.shape
    critical = studentized_range.ppf(0.95, models, np.inf) / 2**0.5 * (models * (models + 1) / (6 * tables)) ** 0.5
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 0.9 + 0.26 * models), layout="constrained")
        axes = figure.subplots()
        places = np.arange(models)
        colours = [OURS_COLOUR if model == ours else INK for model in rank.index]
        axes.axvspan(rank.iloc[0], rank.iloc[0] + critical, color=OURS_COLOUR, alpha=0.08, lw=0)
        axes.hlines(places, 1, rank, color="#dddddd", lw=1, zorder=1)
        axes.scatter(rank, places, color=colours, s=36, zorder=3)
        for place, value in enumerate(rank):
            axes.annotate(f"{value:.2f}", (value, place), (7, 0), textcoords="offset points", va="center", color=colours[place])
        axes.set_yticks(places, list(rank.index))
        for label, colour in zip(axes.get_yticklabels(), colours, strict=True):
            label.set_color(colour)
            label.set_fontweight("bold" if colour == OURS_COLOUR else "normal")
        axes.invert_yaxis()
        axes.set_xlim(1, max(rank.iloc[-1], rank.iloc[0] + critical) + 0.6)
        axes.tick_params(axis="y", length=0)
        said = f"mean rank by {name.replace('_', ' ')} over {tables} tables (1 is best)"
        axes.set_xlabel(f"{said}; shaded: critical difference {critical:.2f}")
        figure.savefig(path, dpi=150)
    return path


def plot_paired(values: pd.DataFrame, name: str, path: Path, *, ours: str = "netloom") -> Path:
    """A small square per other model: its score against ours, a dot per table; those above the line ours wins.

    Parameters
    ----------
    values : frame of tables x models, one of them `ours`
    name : the score; where less is better both axes are turned round, so above the line is good either way
    path : PNG to write
    """
    up = higher_is_better(name)
    others = [model for model in values if model != ours]
    across = min(4, len(others))
    down = -(-len(others) // across)
    if up:  # all of ours are shown; the worst twentieth of the others may lie on the edge
        low, high = min(values[ours].min(), np.quantile(values, 0.05)), values.to_numpy().max()
    else:
        low, high = values.to_numpy().min(), max(values[ours].max(), np.quantile(values, 0.95))
    margin = 0.03 * (high - low or 1.0)
    limits = (low - margin, high + margin) if up else (high + margin, low - margin)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.3 * across + 0.4, 2.7 * down + 0.3), layout="constrained")
        grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
        for axes in grid.flat[len(others) :]:
            axes.remove()
        for axes, model in zip(grid.flat, others, strict=False):
            ahead = values[ours] > values[model] if up else values[ours] < values[model]
            theirs, mine = (np.clip(values[m], min(limits), max(limits)) for m in (model, ours))
            axes.plot(limits, limits, color=GREY, lw=0.8, zorder=1)
            axes.scatter(theirs, mine, s=12, color=np.where(ahead, OURS_COLOUR, INK), alpha=0.75, lw=0, zorder=2)
            axes.set(xlim=limits, ylim=limits, aspect="equal")
            axes.tick_params(labelbottom=True)
            axes.set_title(f"{model}: ahead on {ahead.sum()} of {len(values)}", fontsize=9)
        figure.supxlabel(f"{name.replace('_', ' ')} of the other", fontsize=9)
        figure.supylabel(f"{name.replace('_', ' ')} of {ours}", fontsize=9)
        figure.savefig(path, dpi=150)
    return path
