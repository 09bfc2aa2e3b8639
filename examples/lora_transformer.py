"""LoRA differences for a small transformer (Hu et al. 2021), generated: one shared model, and per cipher a low-rank change of its weights.

    python examples/lora_transformer.py [--iterations 800] [--out FOLDER]

Task: letters are shifted by a secret number, the model must write them back. The hypernetwork sees four enciphered sequences with their
solution and generates low-rank differences of attention and MLP weights; embeddings, norms and readout stay shared and are trained.
"""

import argparse
from pathlib import Path

import torch
from torch import nn

from netloom.toolkit import conditioning, generators, hypernetize

LETTERS, LENGTH, WIDTH, SHOWN, QUERY, TASKS = 8, 6, 32, 4, 8, 16


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.readout = nn.Embedding(LETTERS, WIDTH), nn.Linear(WIDTH, LETTERS)
        self.place = nn.Embedding(LENGTH, WIDTH)
        self.layer = nn.TransformerEncoderLayer(WIDTH, 2, 64, dropout=0.0, batch_first=True)

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        return self.readout(self.layer(self.embed(letters) + self.place(torch.arange(LENGTH).expand_as(letters))))


def sample() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Secrets (B,), ciphers and solutions (B, rows, LENGTH)."""
    secret = torch.randint(LETTERS, (TASKS,))
    plain = torch.randint(LETTERS, (TASKS, SHOWN + QUERY, LENGTH))
    return secret, (plain + secret[:, None, None]) % LETTERS, plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=800)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    options = parser.parse_args()
    torch.manual_seed(0)
    target = hypernetize(Transformer(), ["layer.self_attn.*weight", "layer.linear*.weight"])
    read = conditioning.DeepSet(LETTERS, LETTERS, 32)
    generate = generators.LowRank(target.shapes, 32, rank=4, start=target.initial(), spread=0.3)
    learned = [*read.parameters(), *generate.parameters(), *target.shared().values()]
    optimizer = torch.optim.Adam(learned, lr=2e-3)

    def one_hot(letters: torch.Tensor) -> torch.Tensor:
        return nn.functional.one_hot(letters[:, :SHOWN].flatten(1), LETTERS).float()  # (B, SHOWN * LENGTH, LETTERS)

    curve = []
    for i in range(options.iterations):
        _, cipher, plain = sample()
        out = target(generate(read(one_hot(cipher), one_hot(plain))), cipher[:, SHOWN:])  # (B, QUERY, LENGTH, LETTERS)
        loss = nn.functional.cross_entropy(out.flatten(0, 2), plain[:, SHOWN:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        if i % 10 == 0:
            curve.append((i, float((out.argmax(-1) == plain[:, SHOWN:]).float().mean())))
    with torch.no_grad():
        secret, cipher, plain = sample()
        right = (target(generate(read(one_hot(cipher), one_hot(plain))), cipher[:, SHOWN:]).argmax(-1) == plain[:, SHOWN:]).float().mean()
        mixed = generate(read(one_hot(cipher), one_hot(plain)))
        wrong = {name: tensor.roll(1, 0) for name, tensor in mixed.items()}  # every task gets its neighbour's difference
        lost = target(wrong, cipher[:, SHOWN:]).argmax(-1) == plain[:, SHOWN:]
        other = secret != secret.roll(1)
    print(
        f"letters right with its own weights: {right:.3f}; with another's: {lost[other].float().mean():.3f}; chance {1 / LETTERS:.3f}"
    )
    print(f"path: {target.path}; {target.count} weights changed by {sum(generate.widths)} generated numbers per task")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    axes.plot(*zip(*curve, strict=True))
    axes.set(xlabel="iteration", ylabel="letters right", title="One transformer, a generated LoRA difference per cipher", ylim=(0, 1.02))
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "lora_transformer.png", dpi=120)


if __name__ == "__main__":
    main()
