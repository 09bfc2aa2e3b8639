"""Implicit representations of small images (Trans-INR, Chen & Wang 2022): a transformer reads an image and emits a network x, y -> grey.

    python examples/implicit_images.py [--iterations 1000] [--out FOLDER]

The generated network knows no pixels: it can be asked at any place, so an image of 8 x 8 comes back at 48 x 48.
"""

import argparse
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn

from netloom.toolkit import generators, hypernetize


def grid(size: int) -> torch.Tensor:
    """Fourier features (size * size, 18) of places in [-1, 1]^2."""
    line = (torch.arange(size) + 0.5) / size * 2 - 1
    place = torch.cartesian_prod(line, line)
    turns = torch.cat([place * f for f in (1, 2, 3, 4)], 1) * torch.pi / 2
    return torch.cat([place, turns.sin(), turns.cos()], 1)


target = hypernetize(nn.Sequential(nn.Linear(18, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1)))
read = nn.Linear(4 + 2, 32)  # a patch of 2 x 2 pixels and where it is -> one token


def tokens(images: torch.Tensor) -> torch.Tensor:
    """Sets (B, 16, 32) of patches of images (B, 8, 8)."""
    patches = images.unfold(1, 2, 2).unfold(2, 2, 2).reshape(len(images), 16, 4)
    line = torch.linspace(-1, 1, 4)
    return read(torch.cat([patches, torch.cartesian_prod(line, line).expand(len(images), 16, 2)], -1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    options = parser.parse_args()
    torch.manual_seed(0)
    images = torch.tensor(load_digits().images / 8 - 1).float()
    generate = generators.Tokens(target.shapes, 32, width=64, depth=2, groups=8, start=target.initial())
    learned = [*read.parameters(), *generate.parameters()]
    optimizer = torch.optim.Adam(learned, lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=options.iterations, cycle_momentum=False)
    train, test, places = images[:1500], images[1500:], grid(8)
    for _ in range(options.iterations):
        shown = train[torch.randint(len(train), (32,))]
        out = target(generate(tokens(shown)), places.expand(32, *places.shape))  # (32, 64, 1)
        loss = (out.view(-1, 8, 8) - shown).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        parameters = generate(tokens(test))
        out = target(parameters, places.expand(len(test), *places.shape)).view(-1, 8, 8)
        error = (out - test).square().mean()
        print(f"new images: mean squared error {error:.4f}, variance explained {1 - error / test.var():.3f}; {target.count} weights each")
        few = {name: tensor[:8] for name, tensor in parameters.items()}
        fine = target(few, grid(48).expand(8, -1, -1)).view(-1, 48, 48)
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(3, 8, figsize=(8, 3.2), layout="constrained")
    for i in range(8):
        for row, picture in zip(axes[:, i], (test[i], out[i], fine[i]), strict=True):
            row.imshow(picture, cmap="gray_r", vmin=-1, vmax=1)
            row.set(xticks=[], yticks=[])
    for row, name in zip(axes[:, 0], ("image", "network, 8 x 8", "network, 48 x 48"), strict=True):
        row.set_ylabel(name, rotation=0, ha="right", fontsize=8)
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "implicit_images.png", dpi=120)


if __name__ == "__main__":
    main()
