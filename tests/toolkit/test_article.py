"""The article's example: with the original way no gradient reaches the hypernetwork; the stateless way it does, and the loop learns."""

import sys
from pathlib import Path

import pytest
import torch

ARTICLE = Path(__file__).parents[2] / "examples" / "article"


@pytest.fixture
def article(monkeypatch):
    monkeypatch.syspath_prepend(str(ARTICLE))
    yield
    for name in ("article_tasks", "with_torch", "with_keras"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["sigma", "mlp", "svm"])
def test_in_torch_the_gradient_reaches_every_weight_of_the_hypernetwork(article, name):
    import with_torch
    from article_tasks import loss_of, rows_to_read, sample_task

    torch.manual_seed(0)
    hypernet = with_torch.build(name)
    for seed in range(4):  # both kinds of task
        task = sample_task(torch.Generator().manual_seed(seed))
        hypernet.zero_grad()
        out = hypernet(rows_to_read([task]), task.x[None])
        loss_of(name, [task], out).backward()
        learned = [*hypernet.read.parameters(), *hypernet.generate.parameters()]
        assert all(p.grad is not None and bool(p.grad.any()) for p in learned)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sigma", "mlp", "svm"])
def test_in_keras_only_the_stateless_call_lets_the_gradient_through(article, name, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "torch":
        pytest.skip("keras was already imported with another backend")
    import with_keras

    assert not with_keras.gradients_reach(name, "set_weights")
    assert with_keras.gradients_reach(name, "stateless_call")


@pytest.mark.slow
def test_later_tasks_need_fewer_steps(article):
    import with_torch

    steps = with_torch.loop("sigma", tasks=100)
    assert sum(steps[-30:]) < sum(steps[:30]) / 2
