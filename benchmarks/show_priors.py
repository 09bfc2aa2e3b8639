"""A page of pictures per mechanism of the prior, and one of columns and targets: look before you tune.

    python benchmarks/show_priors.py [--out FOLDER] [--seed 0] [--only forest]

A mechanism's page: eight tasks of two columns, the latent target as colour, before it is cut or bent; then four whole tasks as a schema
encodes them: the table as an image (rows sorted by target, columns standardised) with the target beside it.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot as plt
from PIL import Image

from netloom.tasks.priors import MECHANISMS, Draw, Sizes, draw_sizes, sample
from netloom.tasks.priors.batch import standardise
from netloom.tasks.priors.inputs import inputs
from netloom.tasks.priors.sizes import Ranges
from netloom.tasks.priors.targets import to_values

WIDTH, CLASSES = 4, "tab10"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "priors")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[*MECHANISMS, "columns"])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in MECHANISMS:
        if options.only in (None, name):
            mechanism_page(name, options.seed, options.out / f"{name.replace(' ', '_')}.png")
    if options.only in (None, "columns"):
        columns_page(options.seed, options.out / "columns.png")


def mechanism_page(name: str, seed: int, path: Path) -> None:
    figure, axes = plt.subplots(3, WIDTH, figsize=(3.1 * WIDTH, 9.3), layout="constrained")
    figure.suptitle(name, fontsize=14)
    for i, ax in enumerate(axes[:2].flat):
        X, y = MECHANISMS[name].sample(Draw(seed, 0, i), 1, 800, 2, 1)
        X, y = X[0], standardise(y)[0, :, 0].clamp(-2.5, 2.5)
        jitter = 0.04 * torch.randn(X.shape, generator=torch.Generator().manual_seed(0)) * (X.round() == X).float()
        ax.scatter(*(X + jitter).T, c=y, s=5, cmap="coolwarm", linewidths=0)
        ax.set_title("latent target over two columns" if i == 0 else "", fontsize=9)
        ax.tick_params(labelsize=6)
    for i, ax in enumerate(axes[2]):
        task_image(ax, name, seed + 100 + i)
    save(figure, path)


def task_image(ax: plt.Axes, name: str, seed: int) -> None:
    """The encoded table of one whole task, rows sorted by target; the target is the strip on the right."""
    draw = Draw(seed, 0, 0)
    outputs = (0, 2, 3, 6)[seed % 4]
    tasks = sample(draw, Sizes(1, 120, 40, 24, outputs, 1), name)
    y = tasks.y[0] if outputs else tasks.y[0, :, 0]
    order = torch.argsort(y)
    ax.imshow(standardise(tasks.X)[0][order].clamp(-2.5, 2.5), aspect="auto", cmap="coolwarm", vmin=-2.5, vmax=2.5, interpolation="nearest")
    strip = ax.inset_axes((1.02, 0, 0.07, 1))
    colours = {"cmap": CLASSES, "vmax": 9} if outputs else {"cmap": "viridis"}
    strip.imshow(y[order][:, None], aspect="auto", interpolation="nearest", **colours)
    strip.set_axis_off()
    ax.set_title(f"a task: {f'{outputs} classes' if outputs else 'values'}", fontsize=9)
    ax.set_xlabel("features", fontsize=8)
    ax.set_xticks([])
    ax.set_yticks([])


def columns_page(seed: int, path: Path) -> None:
    """Pairs of input columns, encoded columns, targets, and sizes."""
    figure, axes = plt.subplots(4, WIDTH, figsize=(3.1 * WIDTH, 12), layout="constrained")
    for i, ax in enumerate(axes[0]):
        x = inputs(Draw(seed, 1, 3 * i), 1, 800, 2)[0]
        ax.scatter(*x.T, s=4, alpha=0.5, linewidths=0)
        ax.set_title("two input columns", fontsize=9)
    for i, ax in enumerate(axes[1]):
        tasks = sample(Draw(seed, 2, i), Sizes(1, 900, 96, 12, 2, 1))
        for j in range(6):
            column = standardise(tasks.X)[0, :, j].clamp(-4, 4)
            ax.hist(column, bins=40, histtype="step", lw=1)
        ax.set_title(f"six features of a task ({tasks.source})", fontsize=9)
    for i, ax in enumerate(axes[2]):
        for j in range(3):
            y = to_values(Draw(seed, 3, 3 * i + j), torch.randn(1, 2000, 1, generator=torch.Generator().manual_seed(j)))
            ax.hist(y.flatten().clamp(-4, 6), bins=60, histtype="step", lw=1)
        ax.set_title("three regression targets", fontsize=9)
    sizes = [draw_sizes(Draw(seed, 4, i), Ranges(), 16) for i in range(3000)]
    for ax, values, title in zip(
        axes[3], ([s.n for s in sizes], [s.d for s in sizes], [s.outputs for s in sizes], [s.B for s in sizes]),
        ("support rows", "features", "classes (0: values)", "tasks of a batch, work 16"), strict=True,
    ):  # fmt: skip
        ax.hist(values, bins=40 if max(values) > 20 else range(12), color="tab:gray")
        ax.set_title(title, fontsize=9)
    for ax in axes.flat:
        ax.tick_params(labelsize=6)
    save(figure, path)


def save(figure: plt.Figure, path: Path) -> None:
    """A PNG of few colours: a third of the bytes."""
    figure.savefig(path, dpi=75)
    plt.close(figure)
    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    main()
