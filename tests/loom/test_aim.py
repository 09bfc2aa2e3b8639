"""Turning toward what is wrong: numpy says the same, rows of weight two are two rows, padding is none, a silent neuron stays whole."""

import numpy as np
import pytest
import torch

from netloom.loom.aim import FIRING, SATED, TINY, TURNS, Aim
from netloom.target.cells import K

D, H, O, COLUMNS = 8, 5, 3, 2


@pytest.fixture
def aim():
    torch.manual_seed(0)
    made = Aim(D)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return made.double()


def draw(n=30, seed=0):
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    Z = normal(1, n, COLUMNS * K)
    Z = Z - Z.mean(1, keepdim=True)
    return {
        "keys": normal(1, H, D),
        "outputs": normal(1, O, D),
        "wrong": normal(1, n, O),
        "Z": Z,
        "W": normal(1, H, COLUMNS * K),
        "gain": normal(1, H) * 0.3,
        "bias": normal(1, H),
        "beyond": normal(1, n, H),
        "weight": torch.ones(1, n, 1, dtype=torch.float64),
    }


def turned(aim, given):
    errors = aim.errors(given["keys"], given["outputs"], given["wrong"])
    count = given["weight"].sum(1)
    W, bias = aim(given["keys"], errors, given["weight"], count, *(given[name] for name in ("Z", "W", "gain", "bias", "beyond")))
    return W, bias, aim.relevance(given["beyond"], errors, given["weight"], count)


def test_numpy_says_the_same(aim):
    given = draw()
    W, bias, relevance = (part[0].detach().numpy() for part in turned(aim, given))
    one = {name: value[0].numpy() for name, value in given.items()}
    named = {name: value.detach().numpy() for name, value in aim.state_dict().items()}
    n = len(one["Z"])

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    for h, key in enumerate(one["keys"]):
        direction = one["outputs"] @ (named["output_key.weight"] @ key)
        e = one["wrong"] @ (direction / (np.linalg.norm(direction) + 1e-3))
        size = np.exp(np.clip(named["size.weight"] @ key + named["size.bias"], -4, 2))
        least, sharpness, push = (named["gate.weight"] @ key + named["gate.bias"]).reshape(3, TURNS)
        length, w, b = np.exp(one["gain"][h]), one["W"][h] / (np.linalg.norm(one["W"][h]) + 1e-3), one["bias"][h]
        for t in range(TURNS):
            felt = e * sigmoid(FIRING * (one["Z"] @ (w * length) + b + one["beyond"][:, h]))
            deviation = np.sqrt(np.square(felt - felt.mean()).sum() + TINY)
            correlation = np.array([felt @ z for z in one["Z"].T]) / deviation / np.sqrt(n)
            surprise = np.abs(correlation) * np.sqrt(n) - least[t] - np.tile(named["offset"][t], COLUMNS)
            step = correlation * sigmoid(np.exp(np.clip(sharpness[t], -2, 3)) * surprise)
            w = w + size[t] * step / (np.linalg.norm(step) + SATED)
            w = w / (np.linalg.norm(w) + 1e-3)
            b = b + push[t] * felt.sum() / np.sqrt(np.square(felt).sum() + TINY) / np.sqrt(n)
        np.testing.assert_allclose(W[h], w * length, rtol=1e-9)
        np.testing.assert_allclose(bias[h], b, rtol=1e-9)
        found = abs(one["beyond"][:, h] @ e) / np.sqrt(n * np.square(e).sum() + TINY)
        expected = named["worth"] @ [found, np.log1p(found * np.sqrt(n))]
        np.testing.assert_allclose(relevance[h], expected, rtol=1e-9)


def test_a_row_of_weight_two_is_two_rows_and_padding_is_none(aim):
    given = draw(n=20)
    twice = {**given, "weight": given["weight"].clone()}
    twice["weight"][0, :4] = 2
    rows = torch.cat([torch.arange(20), torch.arange(4)])
    repeated = {name: value[:, rows] if name in ("wrong", "Z", "beyond", "weight") else value for name, value in given.items()}
    padded = {**twice, **{name: torch.cat([twice[name], torch.ones_like(twice[name][:, :3])], 1) for name in ("wrong", "Z", "beyond")}}
    padded["weight"] = torch.cat([twice["weight"], torch.zeros(1, 3, 1, dtype=torch.float64)], 1)
    for one, other, third in zip(turned(aim, twice), turned(aim, repeated), turned(aim, padded), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(one, third, rtol=1e-9, atol=1e-9)


def test_a_turn_finds_the_column_that_goes_with_what_is_wrong_where_the_neuron_is_on(aim):
    """What is wrong follows the last cell, but only where the first is positive; neurons are on there. Other cells stay small."""
    g = torch.Generator().manual_seed(1)
    n = 400
    Z = torch.randn(1, n, COLUMNS * K, generator=g, dtype=torch.float64)
    wrong = ((Z[..., 0] > 0) * Z[..., -1])[..., None].expand(1, n, O).contiguous()
    given = draw(n) | {"Z": Z - Z.mean(1, keepdim=True), "wrong": wrong, "beyond": torch.zeros(1, n, H, dtype=torch.float64)}
    given |= {"W": torch.eye(COLUMNS * K, dtype=torch.float64)[0].expand(1, H, -1), "bias": torch.zeros(1, H, dtype=torch.float64)}
    with torch.no_grad():
        for parameter in (aim.size.weight, aim.gate.weight, aim.offset):
            parameter.zero_()
        aim.size.bias.fill_(0.0)
        aim.gate.bias.copy_(torch.tensor([4.0, 1.0, 0.0]).repeat_interleave(TURNS))
    W = turned(aim, given)[0][0].abs()
    assert bool((W[:, -1] > 0.3 * W.norm(dim=1)).all())
    assert bool((W[:, 1:-1].norm(dim=1) < 0.1 * W[:, -1]).all())


def test_a_neuron_that_is_never_on_has_finite_weights_and_gradients(aim):
    given = draw() | {"bias": torch.full((1, H), -1e4, dtype=torch.float64), "wrong": torch.zeros(1, 30, O, dtype=torch.float64)}
    given["W"] = given["W"].requires_grad_()
    parts = turned(aim, given)
    sum(part.sum() for part in parts).backward()
    assert all(bool(torch.isfinite(part).all()) for part in (*parts, given["W"].grad))
    assert all(bool(torch.isfinite(p.grad).all()) for p in aim.parameters() if p.grad is not None)
