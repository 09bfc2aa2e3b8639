"""What every generator promises, and what each one is."""

import pytest
import torch
from torch import nn

from netloom.errors import ToolkitError
from netloom.toolkit import generators, hypernetize
from netloom.toolkit.generators import GENERATORS, Masks

SHAPES = {"0.weight": (8, 3), "0.bias": (8,), "1.weight": (4, 8, 3, 3), "1.bias": (4,), "scale": (), "norm.weight": (5,)}


@pytest.mark.parametrize("kind", list(GENERATORS))
def test_shapes_and_the_task_dimension(kind):
    generate = GENERATORS[kind](SHAPES, 6)
    for tasks in (1, 3):
        out = generate(torch.randn(tasks, 6))
        assert {name: tuple(t.shape) for name, t in out.items()} == {name: (tasks, *shape) for name, shape in SHAPES.items()}
    assert generate.count == 8 * 3 + 8 + 4 * 8 * 9 + 4 + 1 + 5


@pytest.mark.parametrize("kind", list(GENERATORS))
def test_a_task_does_not_depend_on_the_others_of_its_batch(kind):
    generate = GENERATORS[kind](SHAPES, 6, spread=1.0).double().eval()
    z = torch.randn(3, 6, dtype=torch.float64)
    together = generate(z)
    for b in range(3):
        for name, tensor in generate(z[b : b + 1]).items():
            torch.testing.assert_close(tensor[0], together[name][b])


@pytest.mark.parametrize("kind", list(GENERATORS))
def test_a_start_without_spread_is_generated_for_every_task(kind):
    target = hypernetize(nn.Sequential(nn.Linear(3, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2)))
    options = dict(units=()) if kind == "masks" else {}
    generate = GENERATORS[kind](target.shapes, 6, start=target.initial(), spread=0.0, **options)
    x = torch.randn(5, 3)
    out = target(generate(torch.randn(3, 6)), x.expand(3, 5, 3))
    torch.testing.assert_close(out, target.module(x).expand(3, 5, 2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", list(GENERATORS))
def test_spread_is_the_size_of_the_differences_between_tasks(kind):
    torch.manual_seed(0)
    shapes = {"0.weight": (40, 30), "0.bias": (40,), "1.weight": (20, 40)}

    def differences(spread):
        options = dict(units=()) if kind == "masks" else {}
        out = GENERATORS[kind](shapes, 16, spread=spread, **options)(torch.randn(400, 16))
        return float(out["0.weight"].detach().std(0).square().mean().sqrt() * 90**0.5)  # in units of an ordinary weight

    assert differences(0.0) < 1e-6
    assert 0.02 < differences(0.1) < 0.25
    assert 0.2 < differences(1.0) < 2.5


@pytest.mark.parametrize("kind", list(GENERATORS))
def test_state_dict_is_all_there_is(kind):
    a, b = (GENERATORS[kind](SHAPES, 6, spread=1.0) for _ in range(2))
    b.load_state_dict(a.state_dict())
    z = torch.randn(2, 6)
    for name, tensor in a.eval()(z).items():
        assert torch.equal(tensor, b.eval()(z)[name])


@pytest.mark.parametrize("kind", list(GENERATORS))
@pytest.mark.parametrize(
    "condition, message",
    [
        (torch.zeros(3, 5), r"condition has shape \(3, 5\), but must be \(B, 6\)"),
        (torch.zeros(6), "condition has shape"),
        (torch.zeros(0, 6), "0 tasks"),
        (torch.zeros(3, 6).double(), "float64, but the generator"),
        (torch.zeros(3, 6, device="meta"), "on meta"),
    ],
)
def test_a_wrong_condition_is_one_line(kind, condition, message):
    with pytest.raises(ToolkitError, match=message):
        GENERATORS[kind](SHAPES, 6)(condition)


@pytest.mark.parametrize("kind", list(GENERATORS))
@pytest.mark.parametrize(
    "shapes, size, options, message",
    [
        ({}, 6, {}, "nothing to generate"),
        (SHAPES, 0, {}, "condition_size = 0"),
        (SHAPES, 6, {"spread": -1.0}, "spread = -1.0"),
        (SHAPES, 6, {"start": {"0.weight": torch.zeros(8, 3)}}, "start must hold"),
    ],
)
def test_a_wrong_generator_is_one_line(kind, shapes, size, options, message):
    with pytest.raises(ToolkitError, match=message):
        GENERATORS[kind](shapes, size, **options)


def test_low_rank_differences_have_low_rank():
    generate = generators.LowRank({"w": (20, 30)}, 6, rank=3, spread=1.0)
    difference = (generate(torch.randn(2, 6))["w"] - generate.start.view(20, 30)).detach()
    assert torch.linalg.matrix_rank(difference, rtol=1e-4).tolist() == [3, 3]


def test_film_scales_and_shifts_units():
    net = nn.Linear(3, 4)
    target = hypernetize(net)
    generate = generators.FiLM(target.shapes, 6, start=target.initial(), spread=1.0)
    z, x = torch.randn(2, 6), torch.randn(2, 50, 3)
    plain, got = net(x), target(generate(z), x)
    for b in range(2):
        for unit in range(4):  # got = gain * plain + shift, exactly
            A = torch.stack([plain[b, :, unit], torch.ones(50)], 1).detach()
            fit = torch.linalg.lstsq(A, got[b, :, unit : unit + 1].detach()).solution
            torch.testing.assert_close(A @ fit, got[b, :, unit : unit + 1].detach(), rtol=1e-4, atol=1e-5)


def test_chunked_can_be_smaller_than_what_it_generates():
    generate = generators.Chunked({"w": (300, 300)}, 8, chunk=500, hidden=32)
    assert sum(p.numel() for name, p in generate.named_parameters() if name != "start") < 90_000 / 2


def test_tokens_read_sets_in_any_order():
    generate = generators.Tokens(SHAPES, 6, spread=1.0).double()
    sets = torch.randn(2, 5, 6, dtype=torch.float64)
    for a, b in zip(generate(sets).values(), generate(sets[:, torch.randperm(5)]).values(), strict=True):
        torch.testing.assert_close(a, b)


def test_inner_products_and_normalised_rows():
    keys, values = torch.randn(2, 4, 3), torch.randn(2, 5, 3)
    W = generators.neurons.inner_products(keys, values)
    assert W[1, 2, 3] == pytest.approx(float(keys[1, 2] @ values[1, 3]), rel=1e-5)
    rows = generators.neurons.normalise_rows(W, torch.full((2, 4), 0.5))
    torch.testing.assert_close(rows.norm(dim=-1), torch.full((2, 4), 0.5).exp(), rtol=1e-2, atol=0)


@pytest.mark.parametrize("mode", ["straight-through", "evidence"])
def test_masks_drop_units_and_say_which(mode):
    torch.manual_seed(0)
    target = hypernetize(nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2)))
    generate = Masks(target.shapes, 6, mode=mode, layers="2.weight").eval()
    with torch.no_grad():
        generate.gates.weight.mul_(4)
    z = torch.randn(64, 6)
    kept, out = generate.kept(z), generate(z)
    assert set(kept) == {"0.weight", "2.weight"}, "the outputs are not gated"
    for name, units in kept.items():
        assert torch.equal((out[name] != 0).any(-1), units)
        assert bool((out[name.replace("weight", "bias")][~units] == 0).all())
    assert 0.05 < float((~kept["0.weight"]).float().mean()) < 0.95
    assert bool((~kept["2.weight"]).all(1).any()), "some task has no second layer"


@pytest.mark.parametrize("mode", ["straight-through", "evidence"])
def test_masks_learn_which_units_a_task_needs(mode):
    """Half of the tasks want feature 0 of a fixed layer, the other half feature 1: with a price, the rest goes."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 1, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(4)), net[1].weight.fill_(1.0)
    target = hypernetize(net)
    generate = Masks(target.shapes, 2, mode=mode, start=target.initial(), spread=0.0)
    generate.start.requires_grad_(False)
    optimizer = torch.optim.Adam(generate.gates.parameters(), lr=0.05)
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    for _ in range(300):
        x = torch.randn(2, 32, 4)
        y = torch.stack([x[0, :, :1], x[1, :, 1:2]])
        loss = (target(generate(z), x) - y).square().mean() + 0.03 * generate.price(z).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert generate.eval().kept(z)["0.weight"].tolist() == [[True, False, False, False], [False, True, False, False]]


def test_masks_name_what_does_not_exist():
    with pytest.raises(ToolkitError, match="mode = 'soft'"):
        Masks(SHAPES, 6, mode="soft")
    with pytest.raises(ToolkitError, match="'7.*' matches no layer; there are '0.weight'"):
        Masks(SHAPES, 6, units="7.*")
