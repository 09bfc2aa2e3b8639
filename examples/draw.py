"""The picture of the demo: for each table its network, what its most telling columns do, and the held-out error block by block."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from netloom.target.weights import read_rows

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"]  # told apart by the colour-blind (Okabe and Ito)
GREY, PALE = "#555555", "#dddddd"
ASKED = {"penguins": "penguins: which species?", "moneyball": "moneyball: how many runs in a season?"}
CURVES = 4  # columns whose effect is drawn
ROWS = 300  # over which a curve is averaged


def draw(stories, path):
    """Write the picture of some stories (see demo.py), one below the other."""
    figure = Figure(figsize=(20, 7.6 * len(stories)), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    figure.suptitle("Generated networks: what each looks like, what its columns do, and what every woven block brings", fontsize=21)
    figure.get_layout_engine().set(h_pad=0.15, w_pad=0.15)
    for part, story in zip(figure.subfigures(len(stories), 1, squeeze=False)[:, 0], stories, strict=True):
        left, middle, right = part.subfigures(1, 3, width_ratios=[7.4, 6.4, 5.4])
        draw_network(left.subplots(), story)
        draw_curves(middle, story)
        draw_blocks(right.subplots(), story)
    figure.savefig(path)


def draw_network(axes, story):
    """Columns -> views -> woven layers -> readout, with their real widths; bars are as high as the logarithm of their width."""
    network = story.network
    weights = network.weights
    lanes = _lanes(weights.layers)
    depth = max((len(lane) for lane in lanes), default=0)
    axes.set(xlim=(-0.55, depth + 3.6), ylim=(-0.75, max(len(lanes), 2) + 0.1))
    axes.axis("off")
    axes.invert_yaxis()
    middle = (max(len(lanes), 2) - 1) / 2
    size = f"{network.n_parameters:,} parameters, {network.n_bytes / 1000:.0f} kB"
    axes.set_title(f"{ASKED.get(story.name, story.name)}\n{size}", fontsize=16, loc="left")
    readout, end = depth + 2, depth + 3
    _box(axes, 0, middle, f"{len(network.schema.columns)}\ncolumns\n\nas {len(network.schema.features)}\nnumbers", "#f2f2f2", height=1.5)
    for v, view in enumerate(weights.views):
        mine = [y for y, lane in enumerate(lanes) if weights.layers[lane[0]].view == v]
        y = float(np.mean(mine)) if mine else middle
        kind = "scaled" if view.knots is None else "ranked"
        cells = f"\n{len(view.columns)} values" + (f"\n{view.width - len(view.columns)} cells" if view.cells else "")
        _arrow(axes, (0.36, middle), (0.64, y))
        _arrow(axes, (1.36, y), (readout - 0.33, middle), curve=0.12 if y > middle else -0.12, style=":")
        _box(axes, 1, y, kind + cells, "#e3eef8", height=0.95, width=0.8)
        for lane in mine:
            _arrow(axes, (1.36, y), (1.8, lane))
    for y, lane in enumerate(lanes):
        for x, layer in enumerate(lane, start=2):
            width = weights.layers[layer].width
            woven = len(weights.layers[layer].weight) > len(weights.views[weights.layers[layer].view].columns)  # random ones read no cells
            colour = COLOURS[min(x - 2, 4)] if woven else GREY
            if x > 2:
                _arrow(axes, (x - 0.8, y), (x - 0.2, y))
            height = 0.16 + 0.13 * np.log2(width)
            _box(axes, x, y, str(width), colour, height=min(height, 0.92), width=0.38, text="white")
        _arrow(axes, (1 + len(lane) + 0.2, y), (readout - 0.33, middle))
    p = int(read_rows(weights.readout).sum())
    _box(axes, readout, middle, f"{network.architecture['head']}\nreadout\n\n{p:,}\nfeatures", "#fdf1dc", height=1.5)
    _arrow(axes, (readout + 0.36, middle), (end - 0.36, middle))
    asked = f"{len(network.classes)}\nchances" if network.classes is not None else "\n".join(network.target_names)
    _box(axes, end, middle, asked, "#f2f2f2", height=0.7)
    for x in range(depth):
        axes.text(x + 2, -0.62, f"block {x + 1}", ha="center", fontsize=12, color=COLOURS[min(x, 4)])
    note = (
        "Numbers in bars count neurons. Each row of coloured bars is one weaving, whose later\n"
        "blocks also read its earlier ones; grey bars are random neurons, or cuts and\n"
        "their rules. All bars, and the values and cells themselves (dotted), feed the one\n"
        "readout, which is solved."
    )
    below = axes.text(-0.4, max(len(lanes), 2) - 0.2, note, fontsize=12, color=GREY, va="center")
    below.set_in_layout(False)


def draw_curves(figure, story):
    """Partial dependence of the columns that move the prediction most."""
    frame, network = story.task.frame, story.network
    rows = frame.iloc[np.random.default_rng(0).permutation(len(frame))[:ROWS]]
    curves = sorted((_curve(network, rows, name) for name in frame.columns), key=lambda curve: -curve[3])[:CURVES]
    classes = network.classes
    what = "mean predicted chance" if classes is not None else f"mean predicted {network.target_names[0]}"
    said = f"What its {len(curves)} most telling columns do:\n{what} as one is changed and the others stay"
    figure.suptitle(said, fontsize=15)
    low, high = min(c[2].min() for c in curves), max(c[2].max() for c in curves)
    all_axes = figure.subplots(2, 2, sharey=True).ravel()
    for axes, (name, grid, mean, _, ticks) in zip(all_axes, curves, strict=False):
        for o in range(mean.shape[1]):
            label = str(classes[o]) if classes is not None else None
            if ticks is None:
                axes.plot(grid, mean[:, o], color=COLOURS[o % 5], lw=2.5, label=label)
            else:
                axes.plot(grid, mean[:, o], "o", ms=9, color=COLOURS[o % 5], label=label)
        if ticks is None:
            values = frame[name].dropna().to_numpy(dtype=float)
            axes.plot(values, np.full(len(values), low - 0.09 * (high - low)), "|", color=GREY, alpha=0.15, ms=8)
        else:
            axes.set_xticks(grid, ticks, rotation=25 if len(ticks) > 3 else 0)
            axes.set_xlim(-0.5, len(ticks) - 0.5)
        axes.set_ylim(low - 0.16 * (high - low), high + 0.08 * (high - low))
        axes.set_xlabel(name, fontsize=13)
        _clean(axes)
    if classes is not None:
        figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(classes), fontsize=12, frameon=False)


def draw_blocks(axes, story):
    """Held-out error of the cells alone and after one, two, three woven blocks, beside others."""
    errors = story.errors
    values, spread = zip(*(errors[str(blocks)] for blocks in range(4)), strict=True)
    axes.errorbar(range(4), values, yerr=spread, fmt="o-", color=COLOURS[0], lw=2.5, ms=8, capsize=5)
    for place, (name, colour) in enumerate({"netloom": COLOURS[0], "linear": GREY, "histgb": GREY}.items(), start=4):
        value, error = errors[name]
        axes.errorbar([place], [value], yerr=[error], fmt="s", color=colour, ms=9, lw=2.5, capsize=5)
        axes.axhline(value, color=PALE, lw=1, zorder=0)
    axes.axvline(3.5, color=PALE, lw=1.5)
    names = ["cells\nonly", "1\nblock", "2\nblocks", "3\nblocks", "whole\nfit", "linear\nmodel", "boosted\ntrees"]
    axes.set_xticks(range(7), names)
    axes.set_ylim(0 if story.task.kind == "classification" else None)
    what = "log loss" if story.task.kind == "classification" else f"RMSE of {story.network.target_names[0]}"
    axes.set_ylabel(f"held-out {what} (less is better)", fontsize=13)
    axes.set_title("Held-out error block by block,\nand of others (bars: standard error)", fontsize=15)
    _clean(axes)


def _lanes(layers):
    """Layers that were woven together, one list per weaving."""
    lanes, lane_of = [], {}
    for t, layer in enumerate(layers):
        if not layer.earlier:
            lanes.append([])
        lane_of[t] = lane_of[layer.earlier[0]] if layer.earlier else len(lanes) - 1
        lanes[lane_of[t]].append(t)
    return lanes


def _curve(network, rows, name):
    """(name, grid, mean prediction (steps, O), how far it moves, tick labels or None) of one column."""
    column = rows[name].dropna()
    numeric = column.dtype.kind in "fi" and column.nunique() > 5
    if numeric:
        values = np.quantile(column.to_numpy(dtype=float), np.linspace(0.01, 0.99, 25))
        share = np.full(25, 1 / 25)
    else:
        counts = column.value_counts().head(6).sort_index()
        values, share = counts.index.tolist(), counts.to_numpy() / counts.sum()
    mean = []
    for value in values:
        changed = rows.copy()
        changed[name] = value
        predicted = network.predict_proba(changed) if network.classes is not None else network.predict(changed)
        mean.append(predicted.reshape(len(rows), -1).mean(axis=0))
    mean = np.array(mean)
    moves = float(np.sqrt(share @ np.square(mean - share @ mean)).mean()) if len(values) else 0.0
    return name, np.array(values) if numeric else np.arange(len(values)), mean, moves, None if numeric else [str(value) for value in values]


def _box(axes, x, y, label, colour, *, height, width=0.72, text="black"):
    corners = "round,pad=0,rounding_size=0.06"
    axes.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, boxstyle=corners, fc=colour, ec="none", zorder=2))
    axes.text(x, y, label, ha="center", va="center", fontsize=11.5, color=text, zorder=3, linespacing=1.1)


def _arrow(axes, start, end, *, curve=0.0, style="-"):
    shape = {"arrowstyle": "-", "connectionstyle": f"arc3,rad={curve}", "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=end, xytext=start, arrowprops=shape | {"color": "#9a9a9a", "lw": 1.2, "ls": style}, zorder=1)


def _clean(axes):
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=11)
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
