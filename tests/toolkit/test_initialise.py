"""Initialisations do what their papers say, measured on the target; diagnosis finds what was broken on purpose."""

import math
import re

import pytest
import torch
from torch import nn

from netloom.errors import ToolkitError
from netloom.toolkit import HyperNetwork, conditioning, diagnose, generators, hypernetize, initialise
from netloom.toolkit.generators import GENERATORS

INDEPENDENT = ["full", "low-rank", "chunked"]


def deep(width=64, depth=6):
    return hypernetize(nn.Sequential(*(layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU()))))


@pytest.mark.parametrize("kind", INDEPENDENT)
def test_hyperfan_in_keeps_activations_of_one_size(kind):
    torch.manual_seed(0)
    target = deep()
    generate = GENERATORS[kind](target.shapes, 16)
    z, x = torch.randn(200, 16), torch.randn(200, 20, 64)
    before = float(target(generate(z), x).square().mean())
    initialise.hyperfan_in(generate, z)
    after = float(target(generate(z), x).square().mean())
    assert 0.25 < after < 6, "mean square of the sixth layer's output, 1 at the input"
    assert before < 0.1 * after


def test_hyperfan_variances_are_those_of_the_paper():
    torch.manual_seed(0)
    generate = generators.Full({"a.weight": (50, 20), "a.bias": (50,), "b.weight": (10, 50)}, 16)
    z = torch.randn(500, 16)
    initialise.hyperfan_in(generate, z)
    out = generate(z)
    assert float(out["a.weight"].square().mean()) == pytest.approx(2 / (2 * 20), rel=0.05)
    assert float(out["a.bias"].square().mean()) == pytest.approx(1.0, rel=0.05)
    initialise.hyperfan_out(generate, z)
    out = generate(z)
    assert float(out["a.weight"].square().mean()) == pytest.approx(2 / 50, rel=0.05)
    assert float(out["a.bias"].square().mean()) == pytest.approx(2 * (1 - 20 / 50), rel=0.05)
    assert float(out["b.weight"].square().mean()) == pytest.approx(2 / 10, rel=0.05)


@pytest.mark.parametrize("kind", list(GENERATORS))
def test_bias_init_generates_the_start(kind):
    target = hypernetize(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)))
    options = dict(units=()) if kind == "masks" else {}
    spread = 0.0 if kind in ("film", "tokens") else 1.0  # those keep the spread they were made with
    generate = GENERATORS[kind](target.shapes, 6, spread=spread, **options)
    initialise.bias_init(generate, target.initial(), torch.randn(50, 6))
    for name, tensor in generate(torch.randn(3, 6)).items():
        torch.testing.assert_close(tensor, target.initial()[name].expand_as(tensor))


def test_bias_init_with_spread():
    torch.manual_seed(0)
    target = hypernetize(nn.Linear(30, 40, bias=False))
    generate = generators.Full(target.shapes, 6)
    z = torch.randn(500, 6) + 1
    initialise.bias_init(generate, target.initial(), z, spread=0.5)
    out = generate(z)["weight"]
    torch.testing.assert_close(out.mean(0), target.initial()["weight"], rtol=0, atol=1e-5)
    assert float(out.std(0).square().mean().sqrt()) == pytest.approx(0.5 / math.sqrt(3 * 30), rel=0.05)


def test_constant_magnitude_has_constant_length():
    read = initialise.ConstantMagnitude(-2, 2)
    z = torch.rand(50, 7) * 4 - 2
    torch.testing.assert_close(read(z).norm(dim=1), torch.full((50,), math.sqrt(7)))
    assert len(read(z).unique(dim=0)) == 50
    with pytest.raises(ToolkitError, match="high must be above low"):
        initialise.ConstantMagnitude(1, 1)


@pytest.mark.parametrize("kind", ["film", "tokens", "neurons"])
def test_rules_for_variances_need_independent_weights(kind):
    with pytest.raises(ToolkitError, match="modulates its start|are correlated"):
        initialise.hyperfan_in(GENERATORS[kind]({"w": (3, 3)}, 4), torch.randn(5, 4))


def healthy(spread=0.5, read=None, net=None):
    target = hypernetize(net or nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1)))
    return HyperNetwork(target, generators.Full(target.shapes, 8, start=target.initial(), spread=spread), read)


def batch():
    torch.manual_seed(0)
    return torch.randn(12, 8), torch.randn(12, 20, 3), torch.randn(12, 20, 1)


def test_diagnosis_of_a_healthy_hypernetwork():
    report = diagnose(healthy(), *batch())
    assert report.findings == () and "nothing looks wrong" in str(report)
    assert sum(p.gradient for p in report.parameters) == pytest.approx(1)
    assert {layer.name for layer in report.layers} == {"0", "1", "2", "3", "4"}


def broken_start():
    hypernet = healthy()
    with torch.no_grad():
        hypernet.generate.start[16 * 3 : 16 * 4] = -100.0  # biases of the first layer
    return hypernet


class Same(nn.Module):
    def forward(self, z):
        return torch.ones_like(z) + 1e-3 * z


FAULTS = {
    "exploding": (lambda: healthy(spread=100.0), "times the variance of the input: use initialise.hyperfan_in"),
    "vanishing": (
        lambda: healthy(net=nn.Sequential(*(nn.Linear(3, 3, bias=False) for _ in range(9)), nn.Linear(3, 1, bias=False))),
        "times the variance",
    ),
    "same networks": (
        lambda: healthy(spread=0.0),
        "different tasks get the same network .outputs differ by 0.00%.: raise the generator's spread",
    ),
    "same conditions": (lambda: healthy(read=Same()), "conditions of different tasks are the same.*the reader"),
    "dead units": (broken_start, "100% of the units of '1' never fire"),
    "unused parameter": (lambda: healthy(net=Unused()), "no gradient reaches 'unused.weight' and 1 more"),
    "greedy": (lambda: healthy(net=Greedy()), "'small.weight' takes .* of the gradient"),
}


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(3, 1), nn.Linear(3, 1)

    def forward(self, x):
        return self.used(x) + 0 * self.unused(x).detach()


class Greedy(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.small = nn.Linear(3, 1), nn.Linear(3, 1, bias=False)

    def forward(self, x):
        return 0.1 * self.first(x) + 10 * self.small(x)


@pytest.mark.parametrize("fault", list(FAULTS))
def test_diagnosis_finds_what_is_broken(fault):
    make, message = FAULTS[fault]
    torch.manual_seed(0)
    report = diagnose(make(), *batch())
    assert any(re.search(message, finding) for finding in report.findings), report


def test_diagnosis_changes_nothing():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    hypernet = healthy(net=net, read=conditioning.Vector(8, 8))
    before = {name: tensor.clone() for name, tensor in hypernet.state_dict().items()}
    diagnose(hypernet, *batch())
    assert all(torch.equal(tensor, before[name]) for name, tensor in hypernet.state_dict().items())
    assert all(p.grad is None for p in hypernet.parameters())


def test_diagnosis_needs_two_tasks():
    z, x, y = batch()
    with pytest.raises(ToolkitError, match="at least 2"):
        diagnose(healthy(), z[:1], x[:1], y[:1])
