"""The article's example in Keras 3 on torch: the gradient reaches the hypernetwork because the target is called without state.

    python examples/article/with_keras.py [--out FOLDER]          # needs: pip install netloom[keras]

``model.set_weights(generated)`` copies numbers: what was generated is no longer part of the computation, and nothing is learned.
``model.stateless_call(generated, ...)`` runs the model on the generated tensors themselves. `gradients_reach` shows both.
"""

import argparse
import os
import random
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import torch
from article_tasks import LIMIT, TASKS, D, Task, draw, loss_of, rows_to_read, sample_task, satisfactory, summary

REPEAT = 7  # earlier tasks repeated in every step
TARGETS = {
    "sigma": lambda: [keras.layers.Dense(1, activation="sigmoid")],
    "mlp": lambda: [keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(1, activation="sigmoid")],
    "svm": lambda: [keras.layers.Dense(1)],
}


def build(name: str) -> tuple[keras.Model, keras.Model, keras.Model]:
    """The target, and the two halves of the hypernetwork: what each row says, and from their mean to all parameters."""
    target = keras.Sequential([keras.Input((D,)), *TARGETS[name]()])
    count = sum(int(torch.Size(v.shape).numel()) for v in target.trainable_variables)
    read = keras.Sequential([keras.Input((None, D + 2)), keras.layers.Dense(128, activation="gelu"), keras.layers.Dense(128)])
    layers = keras.layers
    write = keras.Sequential([keras.Input((128,)), layers.LayerNormalization(), layers.Dense(128, activation="gelu"), layers.Dense(count)])
    return target, read, write


def generate(target: keras.Model, read: keras.Model, write: keras.Model, tasks: list[Task]) -> list[list[torch.Tensor]]:
    """The target's parameters for every task, as tensors that remember where they come from."""
    said = read(torch.cat(rows_to_read(tasks), -1)).mean(1)  # (B, 128)
    sizes = [torch.Size(v.shape) for v in target.trainable_variables]
    parts = write(said).split([size.numel() for size in sizes], 1)
    return [[part[b].view(size) for part, size in zip(parts, sizes, strict=True)] for b in range(len(tasks))]


def run(target: keras.Model, parameters: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    out, _ = target.stateless_call(parameters, target.non_trainable_variables, x)
    return out


def gradients_reach(name: str, way: str) -> bool:
    """Whether the loss of the target reaches the hypernetwork, by "stateless_call" or by the original "set_weights"."""
    target, read, write = build(name)
    task = sample_task(torch.Generator().manual_seed(0))
    (parameters,) = generate(target, read, write, [task])
    if way == "set_weights":
        target.set_weights(parameters)
        out = target(task.x)
    else:
        out = run(target, parameters, task.x)
    loss_of(name, [task], out[None]).backward()
    weights = [*read.trainable_variables, *write.trainable_variables]
    return all(v.value.grad is not None and bool(v.value.grad.any()) for v in weights)


def loop(name: str, tasks: int = TASKS, seed: int = 0) -> list[int]:
    """Steps until satisfactory, task by task."""
    keras.utils.set_random_seed(seed)  # Python's random too
    g = torch.Generator().manual_seed(seed)
    target, read, write = build(name)
    variables = [*read.trainable_variables, *write.trainable_variables]
    optimizer = keras.optimizers.Adam(1e-3)
    needed: list[int] = []
    known: list[Task] = []
    for _ in range(tasks):
        task = sample_task(g)
        known.append(task)
        for step in range(LIMIT + 1):
            with torch.no_grad():
                out = run(target, generate(target, read, write, [task])[0], task.query)
            if satisfactory(name, task.kind, out, task.answer) or step == LIMIT:
                break
            batch = [task, *random.sample(known[:-1], min(REPEAT, len(known) - 1))]
            generated = generate(target, read, write, batch)
            out = torch.stack([run(target, parameters, one.x) for parameters, one in zip(generated, batch, strict=True)])
            for v in variables:
                v.value.grad = None
            loss_of(name, batch, out).backward()
            with torch.no_grad():
                optimizer.apply([v.value.grad for v in variables], variables)
        needed.append(step)
    return needed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for way in ("set_weights", "stateless_call"):
        print(f"{way:15} gradient reaches the hypernetwork: {'yes' if gradients_reach('mlp', way) else 'no'}")
    curves = {}
    for name in TARGETS:
        curves[f"{name}, hypernetwork"] = loop(name, options.tasks)
        print(f"{name:6} hypernetwork  {summary(curves[f'{name}, hypernetwork'])}")
    draw(curves, options.out / "article_keras.png", "Keras 3: the later the task, the faster")


if __name__ == "__main__":
    main()
