"""Fused convolutions, with their channels last in memory or not: the same numbers as a loop, and an output that view() takes."""

import pytest
import torch
from torch import nn

from netloom.toolkit import hypernetize

LAYERS = {
    "1d": (nn.Conv1d(2, 3, 3, stride=2, padding=1), (2, 9)),
    "2d, sides differ": (nn.Conv2d(3, 5, (3, 2), stride=(2, 2), padding=(1, 0)), (3, 7, 8)),
    "2d, rest at the edge": (nn.Conv2d(3, 5, 3, stride=2), (3, 8, 8)),
    "2d, points": (nn.Conv2d(3, 5, 1), (3, 4, 4)),
    "2d, reflected": (nn.Conv2d(3, 5, 3, stride=2, padding=1, padding_mode="reflect"), (3, 7, 8)),
    "2d, gaps": (nn.Conv2d(3, 5, 2, stride=2, dilation=2), (3, 7, 8)),
    "2d, groups": (nn.Conv2d(4, 6, 2, stride=2, groups=2), (4, 6, 6)),
    "2d, many channels": (nn.Conv2d(20, 3, 3), (20, 6, 6)),
    "3d, no bias": (nn.Conv3d(2, 4, 2, stride=2, bias=False), (2, 4, 6, 5)),
}


class Own(nn.Module):
    """A forward of its own, which may ask for the usual order in memory."""

    def __init__(self, layer, view):
        super().__init__()
        self.layer, self.view = layer, view

    def forward(self, x):
        y = torch.relu(self.layer(x))
        return y.view(len(y), -1) if self.view else y.flatten(1)


@pytest.mark.parametrize("view", [False, True])
@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("name", list(LAYERS))
def test_convolutions_equal_a_loop(name, tasks, view):
    layer, shape = LAYERS[name]
    net = Own(layer, view).double()
    target = hypernetize(net, path="fused")
    g = torch.Generator().manual_seed(0)
    parameters = {key: torch.randn(tasks, *size, generator=g, dtype=torch.float64) for key, size in target.shapes.items()}
    x = torch.randn(tasks, 6, *shape, generator=g, dtype=torch.float64)
    with torch.no_grad():
        got = target(parameters, x)
        truth = [torch.func.functional_call(net, {key: t[b] for key, t in parameters.items()}, (x[b],)) for b in range(tasks)]
    torch.testing.assert_close(got, torch.stack(truth), rtol=0, atol=1e-12)
    assert got.is_contiguous() and target.path == "fused"
    assert target.plan.last == (name.startswith("2d") and "many" not in name and not (view and tasks > 1))
    with_graph = target({key: t.requires_grad_() for key, t in parameters.items()}, x)
    torch.testing.assert_close(with_graph.detach(), got, rtol=0, atol=1e-12)
