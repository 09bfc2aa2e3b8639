"""Gradients are finite where numbers degenerate, right where they do not, and the last block counts most."""

import pytest
import torch

from netloom.loom.hypernetwork import Hypernetwork
from netloom.tasks.priors import Draw, Sizes, sample
from netloom.training.feed import feed
from netloom.training.loss import deep_loss, identities, query_losses


def small(outputs=3, seed=0):
    torch.manual_seed(0)
    draw = Draw(seed, 0, 0)
    fed = feed(sample(draw, Sizes(2, 20, 10, 4, outputs, 1)))
    loom = Hypernetwork(16, 2, 2)
    return loom, fed, identities(fed, loom.D, draw.generator)


@pytest.mark.parametrize("outputs", [0, 3])
def test_silent_neurons_have_finite_gradients(outputs):
    loom, fed, names = small(outputs)
    with torch.no_grad():
        loom.gain_bias_relevance.bias[1] = -1e3  # no neuron is ever active
    losses = query_losses(loom, fed, *names, 3)
    gradient = torch.autograd.grad(deep_loss(losses), list(loom.parameters()), allow_unused=True)
    assert all(torch.isfinite(part).all() for part in gradient if part is not None)


@pytest.mark.parametrize("outputs", [0, 3])
def test_the_gradient_is_that_of_finite_differences(outputs):
    loom, fed, names = small(outputs)
    loom = loom.double()
    fed = type(fed)(type(fed.batch)(*(getattr(fed.batch, f).double() if getattr(fed.batch, f).is_floating_point() else getattr(fed.batch, f)
        for f in ("cells", "weight", "columns", "targets", "outputs", "kind"))), fed.cells.double(),
        fed.targets if outputs else fed.targets.double(), fed.outputs)  # fmt: skip
    names = [name.double() for name in names]

    def loss():
        return deep_loss(query_losses(loom, fed, *names, 2))

    weight = loom.gain_bias_relevance.weight
    (gradient,) = torch.autograd.grad(loss(), [weight])
    for place in [(0, 3), (1, 5), (2, 7)]:
        with torch.no_grad():
            size = 1e-6
            weight[place] += size
            up = loss()
            weight[place] -= 2 * size
            down = loss()
            weight[place] += size
        assert float(gradient[place]) == pytest.approx(float((up - down) / (2 * size)), rel=1e-3, abs=1e-7)


def test_the_last_block_counts_one_and_each_earlier_its_share():
    assert float(deep_loss(torch.tensor([2.0, 4.0, 1.0]), 0.5)) == pytest.approx((1 + 0.5 * 6) / 2)
    assert float(deep_loss(torch.tensor([2.0]), 0.5)) == 2.0


def test_where_nothing_is_known_the_loss_is_that_of_the_shares_of_the_classes():
    loom, fed, names = small(3)
    with torch.no_grad():
        loom.penalty.bias[0] = 50.0  # a readout that is all penalty
    shares = fed.batch.targets.double().mean(1)  # (B, classes) of the support rows
    expected = -torch.gather(shares, 1, fed.targets).log().mean() / torch.log(torch.tensor(3.0))
    assert query_losses(loom, fed, *names, 2)[-1].item() == pytest.approx(expected.item(), abs=0.02)
