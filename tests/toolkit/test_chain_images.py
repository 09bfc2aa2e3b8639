"""Convolutions, pooling and what follows `nn.Flatten` are a chain too: the same numbers and gradients as a loop of plain calls."""

import pytest
import torch
from torch import nn

from netloom.errors import ToolkitError
from netloom.toolkit import hypernetize
from netloom.toolkit.chain import find_chain

CHAINED = "one after the other"
NETWORKS = {
    "pooled": lambda: (
        nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(27, 2)
        ),
        (1, 8, 8),
    ),
    "strided, an MLP behind": lambda: (
        nn.Sequential(
            nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.ReLU(inplace=True)),
            nn.Flatten(1, 3),
            nn.Linear(36, 5),
            nn.ReLU(),
            nn.Linear(5, 2),
        ),
        (2, 7, 8),
    ),
    "images come out": lambda: (nn.Sequential(nn.Conv2d(2, 3, 3, padding="same"), nn.GELU()), (2, 5, 4)),
    "a layer alone": lambda: (nn.Conv2d(2, 4, (3, 1), groups=2, dilation=2, bias=False), (2, 7, 4)),
    "many channels": lambda: (
        nn.Sequential(nn.Conv2d(2, 20, 3), nn.MaxPool2d(2, padding=1), nn.ReLU(), nn.Conv2d(20, 2, 2), nn.Flatten()),
        (2, 6, 6),
    ),
    "other pools": lambda: (
        nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(3, 4, 2), nn.Sigmoid(), nn.AdaptiveMaxPool2d(2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        ),
        (3, 8, 8),
    ),
    "reflected": lambda: (
        nn.Sequential(
            nn.Conv2d(3, 2, 3, padding=1, padding_mode="reflect"),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=1, dilation=2, ceil_mode=True),
            nn.ELU(),
        ),
        (3, 6, 7),
    ),
    "in eights": lambda: (
        nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 2), nn.ReLU(), nn.SiLU(), nn.Flatten(), nn.Linear(32, 2)
        ),
        (1, 8, 8),
    ),
    "one place": lambda: (nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)), (3, 1, 1)),
}


def made(name, tasks, dtype=torch.float64, select=None, whole=False):
    torch.manual_seed(0)
    module, shape = NETWORKS[name]()
    target = hypernetize(module.to(dtype), select)
    parameters = {key: torch.randn(tasks, *size, dtype=dtype) for key, size in target.shapes.items()}
    x = torch.randint(-1, 2, (tasks, 5, *shape)).to(dtype) if whole else torch.randn(tasks, 5, *shape, dtype=dtype)
    return target, {key: tensor.requires_grad_() for key, tensor in parameters.items()}, x.requires_grad_()


def loop(target, parameters, x):
    one = [torch.func.functional_call(target.module, {k: v[b] for k, v in parameters.items()}, (x[b],)) for b in range(len(x))]
    return torch.stack(one)


@pytest.mark.parametrize("whole", [False, True])  # whole numbers: places are equal, and the gradient must go to the same one
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("name", list(NETWORKS))
def test_it_is_a_loop_of_plain_calls(name, tasks, dtype, whole):
    target, parameters, x = made(name, tasks, dtype, whole=whole)
    if whole:
        parameters = {key: tensor.detach().round().requires_grad_() for key, tensor in parameters.items()}
    out, truth = target(parameters, x), loop(target, parameters, x)
    assert target.path == ("single" if tasks == 1 else "fused") and target.reason.endswith(CHAINED)
    close = dict(rtol=1e-10, atol=1e-11) if dtype == torch.float64 else dict(rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(out, truth, **close)
    assert out.is_contiguous()
    back = torch.randn_like(truth)
    wanted = [x, *parameters.values()]
    for ours, theirs in zip(torch.autograd.grad(out, wanted, back), torch.autograd.grad(truth, wanted, back), strict=True):
        torch.testing.assert_close(ours, theirs, **close)
    with torch.no_grad():
        torch.testing.assert_close(target(parameters, x), truth.detach(), **close)


@pytest.mark.parametrize("select", ["*.weight", "*.bias", ["0.*", "3.weight"]])
def test_what_is_not_generated_is_shared_and_trained(select):
    target, parameters, x = made("pooled", 3, select=select)
    out, truth = target(parameters, x), loop(target, parameters, x)
    assert target.reason.endswith(CHAINED)
    torch.testing.assert_close(out, truth, rtol=1e-10, atol=1e-11)
    wanted = [*parameters.values(), *target.shared().values()]
    for ours, theirs in zip(torch.autograd.grad(out.sin().sum(), wanted), torch.autograd.grad(truth.sin().sum(), wanted), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def test_gradients_have_gradients():
    target, parameters, x = made("strided, an MLP behind", 2)
    names = list(parameters)

    def run(*weights):
        return target(dict(zip(names, weights, strict=True)), x[:, :2])

    assert torch.autograd.gradgradcheck(run, tuple(parameters.values()))


@pytest.mark.parametrize("tasks", [1, 3])
def test_what_it_is_given_stays_as_it_is(tasks):
    target, parameters, x = made("other pools", tasks)
    before = x.detach().clone(), {key: tensor.detach().clone() for key, tensor in parameters.items()}
    with torch.no_grad():
        first, again = target(parameters, x), target(parameters, x)
    assert (
        torch.equal(first, again) and torch.equal(x, before[0]) and all(torch.equal(parameters[key], before[1][key]) for key in parameters)
    )


@pytest.mark.parametrize("name", ["pooled", "images come out"])
def test_no_rows_are_no_rows(name):
    target, parameters, x = made(name, 3)
    with torch.no_grad():
        out, truth = target(parameters, x[:, :0]), loop(target, parameters, x[:, :0])
    assert out.shape == truth.shape and target.reason.endswith(CHAINED)


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)),
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(3, 3)),  # along the width of images
        nn.Sequential(nn.Flatten(), nn.Conv2d(1, 2, 3)),
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(2)),
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Flatten()),
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3)),
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2, return_indices=True)),
        nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 2)),
        nn.Conv1d(1, 2, 3),
    ],
)
def test_anything_else_is_none(module):
    assert find_chain(module, hypernetize(module, path="loop").slots) is None


def test_a_shared_convolution_goes_the_usual_way():
    target, parameters, x = made("pooled", 3, select="6.*")
    torch.testing.assert_close(target(parameters, x), loop(target, parameters, x))
    assert target.path == "fused" and not target.reason.endswith(CHAINED)


def test_images_of_other_channels_are_one_line():
    target, parameters, x = made("pooled", 3)
    with pytest.raises(ToolkitError, match="Sequential cannot take this input: [^\n]*channels[^\n]*$"):
        target(parameters, x.expand(3, 5, 2, 8, 8))
    with pytest.raises(ToolkitError, match="Sequential cannot take this input: [^\n]*$"):
        target(parameters, x[..., :5, :5])
