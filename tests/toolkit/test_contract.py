"""Every generator x every supported layer x {1, 3} tasks: B generated networks are B plain modules, in outputs, gradients and buffers."""

import copy

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from netloom.errors import ToolkitError
from netloom.toolkit import hypernetize
from netloom.toolkit.generators import GENERATORS

CLOSE = dict(rtol=1e-6, atol=1e-6)


class Tied(nn.Module):
    """A token model whose readout is its embedding."""

    def __init__(self):
        super().__init__()
        self.embed, self.middle, self.readout = nn.Embedding(7, 4), nn.Linear(4, 4), nn.Linear(4, 7, bias=False)
        self.readout.weight = self.embed.weight

    def forward(self, tokens):
        return self.readout(torch.tanh(self.middle(self.embed(tokens))))


class Sequence(nn.Module):
    """The usual way to use a recurrent layer."""

    def __init__(self):
        super().__init__()
        self.recurrent, self.readout = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x):
        return self.readout(self.recurrent(x)[0][:, -1])


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x):
        return x + self.second(torch.relu(self.norm(self.first(x))))


def floats(*shape):
    return (torch.randn(*shape),)


LAYERS = {
    "linear": lambda: (nn.Linear(3, 2), floats(5, 3)),
    "linear without bias": lambda: (nn.Linear(3, 2, bias=False), floats(5, 4, 3)),
    "chain": lambda: (nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2, bias=False), nn.Tanh()), floats(5, 3)),
    "mlp": lambda: (nn.Sequential(nn.Linear(3, 6), nn.PReLU(6), nn.Linear(6, 2)), floats(5, 3)),
    "conv1d": lambda: (nn.Conv1d(2, 4, 3, stride=2, padding=1), floats(5, 2, 9)),
    "conv2d": lambda: (nn.Conv2d(2, 4, 3, groups=2, padding="same", dilation=2), floats(5, 2, 6, 6)),
    "conv2d reflect": lambda: (nn.Conv2d(2, 3, (3, 1), padding=(2, 0), padding_mode="reflect", bias=False), floats(5, 2, 6, 6)),
    "conv3d": lambda: (nn.Conv3d(2, 3, 2), floats(4, 2, 4, 4, 4)),
    "embedding": lambda: (nn.Embedding(7, 3, padding_idx=2), (torch.randint(0, 7, (5, 4)),)),
    "batchnorm1d": lambda: (nn.BatchNorm1d(3), floats(5, 3)),
    "batchnorm1d sequence": lambda: (nn.BatchNorm1d(3, momentum=None), floats(5, 3, 4)),
    "batchnorm2d": lambda: (nn.BatchNorm2d(3, affine=True, track_running_stats=False), floats(5, 3, 4, 4)),
    "batchnorm3d": lambda: (nn.BatchNorm3d(2), floats(5, 2, 3, 3, 3)),
    "instancenorm1d": lambda: (nn.InstanceNorm1d(3, affine=True, track_running_stats=True), floats(5, 3, 6)),
    "instancenorm2d": lambda: (nn.InstanceNorm2d(3, affine=True), floats(5, 3, 4, 4)),
    "instancenorm3d": lambda: (nn.InstanceNorm3d(3, affine=True), floats(5, 3, 3, 3, 3)),
    "layernorm": lambda: (nn.LayerNorm((2, 3)), floats(5, 4, 2, 3)),
    "groupnorm": lambda: (nn.GroupNorm(2, 4), floats(5, 4, 6)),
    "rmsnorm": lambda: (nn.RMSNorm(4), floats(5, 3, 4)),
    "attention": lambda: (nn.MultiheadAttention(4, 2, batch_first=True), floats(5, 3, 4) * 3),
    "attention time first": lambda: (nn.MultiheadAttention(4, 2, bias=False), floats(3, 5, 4) * 3),
    "attention other sizes": lambda: (
        nn.MultiheadAttention(4, 1, kdim=3, vdim=2, batch_first=True),
        (*floats(5, 3, 4), *floats(5, 6, 3), *floats(5, 6, 2)),
    ),
    "rnn": lambda: (nn.RNN(3, 4, nonlinearity="relu", batch_first=True), floats(5, 6, 3)),
    "gru": lambda: (nn.GRU(3, 4, num_layers=2), floats(6, 5, 3)),
    "gru with state": lambda: (nn.GRU(3, 4, batch_first=True), (*floats(5, 6, 3), *floats(1, 5, 4))),
    "lstm": lambda: (nn.LSTM(3, 4, bidirectional=True, batch_first=True, bias=False), floats(5, 6, 3)),
    "sequence": lambda: (Sequence(), floats(5, 6, 3)),
    "tied": lambda: (Tied(), (torch.randint(0, 7, (5, 3)),)),
    "residual": lambda: (Residual(), floats(5, 2, 5, 5)),
    "transformer": lambda: (nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True), floats(5, 3, 4)),
}


def make(name, tasks, seed=0):
    """The module in float64 and its inputs, stacked over tasks."""
    torch.manual_seed(seed)
    module, _ = LAYERS[name]()
    inputs = zip(*(LAYERS[name]()[1] for _ in range(tasks)), strict=True)
    args = tuple(torch.stack(parts) for parts in inputs)
    return module.double(), tuple(x.double().requires_grad_() if x.is_floating_point() else x for x in args)


def plain_modules(module, parameters, args, outputs_weight):
    """The slow truth: a copy of the module per task (buffers walk from one to the next), ordinary parameters, ordinary backward."""
    tasks = len(args[0])
    outputs, gradients, inputs = [], {name: [] for name in parameters}, []
    buffers = {name: tensor.clone() for name, tensor in module.named_buffers()}
    for b in range(tasks):
        one = copy.deepcopy(module)
        for name, parameter in one.named_parameters():
            parameter.data = parameters[name][b].detach().clone()
        for name, tensor in one.named_buffers():
            tensor.copy_(buffers[name])
        given = [x[b].detach().clone().requires_grad_(x.is_floating_point()) for x in args]
        out = one(*given)
        leaves = [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
        sum((leaf * w[b]).sum() for leaf, w in zip(leaves, outputs_weight, strict=True)).backward()
        outputs.append([leaf.detach() for leaf in leaves])
        inputs.append([x.grad for x in given])
        for name, parameter in one.named_parameters():
            gradients[name].append(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
        buffers = {name: tensor.clone() for name, tensor in one.named_buffers()}
    stack = {name: torch.stack(parts) for name, parts in gradients.items()}
    return [torch.stack(parts) for parts in zip(*outputs, strict=True)], stack, inputs, buffers


@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("layer", list(LAYERS))
@pytest.mark.parametrize("kind", list(GENERATORS))
def test_generated_networks_equal_plain_modules(kind, layer, tasks):
    module, args = make(layer, tasks)
    target = hypernetize(module)
    torch.manual_seed(1)
    generate = GENERATORS[kind](target.shapes, 5, spread=1.0).double()
    condition = torch.randn(tasks, 5, dtype=torch.float64, requires_grad=True)
    parameters = generate(condition)
    for tensor in parameters.values():
        tensor.retain_grad()
    before = copy.deepcopy(module)
    out = [leaf for leaf in tree_leaves(target(parameters, *args)) if isinstance(leaf, torch.Tensor)]
    weight = [torch.randn_like(leaf) for leaf in out]
    outputs, gradients, inputs, buffers = plain_modules(before, parameters, args, weight)

    assert target.path == ("single" if tasks == 1 else "fused"), target.reason
    for ours, theirs in zip(out, outputs, strict=True):
        torch.testing.assert_close(ours.detach(), theirs, **CLOSE)
    sum((leaf * w).sum() for leaf, w in zip(out, weight, strict=True)).backward()
    for name, tensor in parameters.items():
        torch.testing.assert_close(tensor.grad, gradients[name], **CLOSE, msg=name)
    for i, x in enumerate(args):
        if x.grad is not None:
            torch.testing.assert_close(x.grad, torch.stack([g[i] for g in inputs]), **CLOSE)
    for name, tensor in module.named_buffers():
        torch.testing.assert_close(tensor, buffers[name], **CLOSE, msg=name)
    for name, tensor in module.named_parameters():
        assert torch.equal(tensor, dict(before.named_parameters())[name]) and tensor.grad is None
    assert condition.grad is not None and bool((condition.grad != 0).any()), "the loss does not reach the condition"


RECURRENT = {"rnn", "gru", "gru with state", "lstm", "sequence"}  # torch has no batching rule for them


@pytest.mark.parametrize("path", ["fused", "vmap", "loop"])
@pytest.mark.parametrize("layer", list(LAYERS))
def test_paths_agree_in_evaluation_mode(layer, path):
    module, args = make(layer, 3)
    module.eval()
    truth, tried = hypernetize(module, path="loop"), hypernetize(module, path=path)
    parameters = {name: torch.randn(3, *shape, dtype=torch.float64) for name, shape in truth.shapes.items()}
    with torch.no_grad():
        expected = tree_leaves(truth(parameters, *args))
        if path == "vmap" and layer in RECURRENT:
            with pytest.raises(ToolkitError, match="path = 'vmap' cannot be taken: no vmap: .*gru|rnn|lstm"):
                tried(parameters, *args)
            return
        got = tree_leaves(tried(parameters, *args))
    assert tried.path == path
    for ours, theirs in zip(got, expected, strict=True):
        if isinstance(ours, torch.Tensor):
            torch.testing.assert_close(ours, theirs, **CLOSE)
