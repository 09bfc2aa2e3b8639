"""What cannot be run is one line, what cannot be proven is not believed, and the module stays as it was."""

import numpy as np
import pytest
import torch
from torch import nn

from netloom.errors import ToolkitError
from netloom.toolkit import conditioning, generators, heads, hypernetize
from netloom.toolkit.generators import GENERATORS


class Mixing(nn.Module):
    """Looks across its rows, unless it is told not to."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x, mix=True):
        x = x["x"] if isinstance(x, dict) else x
        return self.linear(x - x.mean(0) if mix else x)


def made(module, tasks=3):
    target = hypernetize(module)
    g = torch.Generator().manual_seed(0)
    return target, {name: torch.randn(tasks, *shape, generator=g) for name, shape in target.shapes.items()}


def loop(target, parameters, x, **options):
    one = [torch.func.functional_call(target.module, {k: v[b] for k, v in parameters.items()}, (x[b],), options) for b in range(len(x))]
    return torch.stack(one)


def poisoned(target, parameters, x):
    bad = {name: torch.full_like(tensor, torch.nan) for name, tensor in parameters.items()}
    with pytest.raises(ToolkitError, match="NaN"):
        target(bad, x)


@pytest.mark.parametrize(
    "first",
    [
        poisoned,
        lambda target, parameters, x: target(parameters, torch.full_like(x, torch.nan)),
        lambda target, parameters, x: target(parameters, x[:, :0]),
    ],
    ids=["NaN weights", "NaN inputs", "no rows"],
)
def test_a_first_call_that_says_nothing_decides_nothing(first):
    target, parameters = made(Mixing())
    x = torch.randn(3, 5, 3)
    first(target, parameters, x)
    torch.testing.assert_close(target(parameters, x), loop(target, parameters, x))


def test_no_rows_prove_no_path_that_was_asked_for():
    target = hypernetize(Mixing(), path="fused")
    parameters = {name: torch.randn(3, *shape) for name, shape in target.shapes.items()}
    x = torch.randn(3, 5, 3)
    assert target(parameters, x[:, :0]).shape == (3, 0, 2)
    with pytest.raises(ToolkitError, match="path = 'fused' cannot be taken: not fused: the module mixes rows"):
        target(parameters, x)


@pytest.mark.parametrize("named", [True, False])
def test_a_flag_is_part_of_the_kind_of_call(named):
    target, parameters = made(Mixing())
    x = torch.randn(3, 5, 3)
    for mix in (False, True, False, True):
        out = target(parameters, x, mix=mix) if named else target(parameters, x, mix)
        torch.testing.assert_close(out, loop(target, parameters, x, mix=mix))


def test_an_option_that_changes_the_outputs():
    layer = nn.MultiheadAttention(4, 2, batch_first=True)
    target, parameters = made(layer)
    x = torch.randn(3, 5, 6, 4)
    assert target(parameters, x, x, x, need_weights=False)[1] is None
    assert target(parameters, x, x, x, need_weights=True)[1].shape == (3, 5, 6, 6)


@pytest.mark.parametrize("tasks", [1, 3])
def test_inputs_inside_others_are_checked_too(tasks):
    target, parameters = made(Mixing(), tasks)
    x = torch.randn(tasks, 5, 3)
    torch.testing.assert_close(target(parameters, {"x": x}), loop(target, parameters, x))
    with pytest.raises(ToolkitError, match=f"first dimension must be the {tasks} tasks"):
        target(parameters, {"x": torch.randn(2 * tasks, 5, 3)})


def batch_norm_first():
    return nn.Sequential(nn.BatchNorm1d(3), nn.Linear(4, 2))


@pytest.mark.parametrize("tasks", [1, 3])
def test_buffers_are_as_they_were_after_an_error(tasks):
    target, parameters = made(batch_norm_first(), tasks)
    before = {name: tensor.clone() for name, tensor in target.module.state_dict().items()}
    for _ in range(2):
        with pytest.raises(ToolkitError, match="cannot take this input"):
            target(parameters, torch.randn(tasks, 5, 3))
    for name, tensor in target.module.state_dict().items():
        assert torch.equal(tensor, before[name]), name


class Failing(nn.Module):
    """Takes a good call, then fails after its running statistics have moved."""

    def __init__(self, error):
        super().__init__()
        self.norm, self.linear, self.error = nn.BatchNorm1d(3), nn.Linear(3, 2), None
        self.raises = error

    def forward(self, x):
        x = self.norm(x)
        if self.error:
            raise self.raises
        return self.linear(x)


@pytest.mark.parametrize(
    "error, said", [(ValueError(), "ValueError"), (RuntimeError("\nabc\ndef"), "abc"), (AssertionError("odd"), "odd"), (KeyError("k"), "k")]
)
@pytest.mark.parametrize("tasks", [1, 3])
def test_a_module_that_fails_in_the_middle(tasks, error, said):
    target, parameters = made(Failing(error), tasks)
    x = torch.randn(tasks, 5, 3)
    target(parameters, x)
    target.module.error = True
    before = {name: tensor.clone() for name, tensor in target.module.state_dict().items()}
    held = {name: id(parameter) for name, parameter in target.module.named_parameters()}
    with pytest.raises(ToolkitError, match=f"Failing cannot take this input: [^\n]*{said}[^\n]*$"):
        target(parameters, x)
    assert {name: id(parameter) for name, parameter in target.module.named_parameters()} == held
    for name, tensor in target.module.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize(
    "call",
    [
        lambda target, p, x: target(p),
        lambda target, p, x: target(p, x, True, x),
        lambda target, p, x: target(p, x, mixed=True),
        lambda target, p, x: target(p, x.numpy()),
    ],
    ids=["no input", "one too many", "misspelt", "numpy"],
)
def test_calls_that_the_module_does_not_know(call, tasks):
    target, parameters = made(Mixing(), tasks)
    with pytest.raises(ToolkitError, match="Mixing cannot take this input: [^\n]+$"):
        call(target, parameters, torch.randn(tasks, 5, 3))


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        return x * self.gain


@pytest.mark.parametrize(
    "given, message",
    [
        (torch.tensor(1.0), r"'gain' has shape \(\), but must be \(B, \)"),
        (None, "must be a tensor .*, not NoneType"),
        ([1.0], "must be a tensor .*, not list"),
        (np.ones(1, np.float32), "must be a tensor .*, not ndarray"),
    ],
)
def test_parameters_that_are_none(given, message):
    target = hypernetize(Scaled())
    with pytest.raises(ToolkitError, match=message):
        target({"gain": given}, torch.randn(1, 5, 3))


def test_a_module_that_lost_a_parameter():
    module = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    target, parameters = made(module)
    nn.utils.parametrizations.weight_norm(module[0])
    with pytest.raises(ToolkitError, match="'0.weight' is no longer in the module"):
        target(parameters, torch.randn(3, 5, 3))


@pytest.mark.parametrize("options", [{"select": "0.*"}, {"select": "0.*", "task_buffers": "*"}])
def test_lazy_modules_are_run_first(options):
    with pytest.raises(ToolkitError, match="has no shape yet"):
        hypernetize(nn.Sequential(nn.Linear(3, 2), nn.LazyBatchNorm1d()), **options)


SHAPES = {"weight": (8, 8), "bias": (8,)}


@pytest.mark.parametrize(
    "kind, options, message",
    [
        ("chunked", {"chunk": 0}, "chunk = 0: must be a whole number of at least 1"),
        ("chunked", {"embedding": -1}, "embedding = -1"),
        ("chunked", {"hidden": 0}, "hidden = 0"),
        ("low-rank", {"rank": 0}, "rank = 0"),
        ("low-rank", {"rank": 1.5}, "rank = 1.5"),
        ("full", {"hidden": (8, 0)}, "hidden = 0"),
        ("tokens", {"groups": 0}, "groups = 0"),
        ("tokens", {"width": 64, "heads": 3}, "width = 64, heads = 3: the width must be a multiple"),
        ("tokens", {"depth": -1}, "depth = -1: must be a whole number of at least 0"),
        ("neurons", {"width": 0}, "width = 0"),
        ("masks", {"inner": "full"}, "inner = 'full': must be a class of generators"),
    ],
)
def test_generators_that_cannot_be(kind, options, message):
    with pytest.raises(ToolkitError, match=message):
        GENERATORS[kind](SHAPES, 4, **options)


@pytest.mark.parametrize("kind", list(GENERATORS))
def test_generators_ask_for_shapes_and_conditions(kind):
    with pytest.raises(ToolkitError, match="shapes must be a mapping name -> shape, such as target.shapes, not Target"):
        GENERATORS[kind](hypernetize(nn.Linear(3, 2)), 4)
    with pytest.raises(ToolkitError, match=r"condition must be a tensor \(B, 4\), not list"):
        GENERATORS[kind](SHAPES, 4)([[1.0] * 4])


X, Y = torch.zeros(2, 5, 3), torch.zeros(2, 5, 1)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: conditioning.DeepSet(3, 1, 4)(X[..., :2], Y), "x must be a tensor .* with 3 numbers in the last dimension"),
        (lambda: conditioning.DeepSet(3, 1, 4)(X, Y.expand(2, 5, 2)), "y must be a tensor .* with 1 numbers"),
        (lambda: conditioning.DeepSet(3, 1, 4)(X.double(), Y), r"x is torch.float64 on cpu, but the module torch.float32"),
        (lambda: conditioning.AttentionSet(3, 1, 4)(X, Y, torch.ones(5, dtype=torch.bool)), "mask has shape"),
        (lambda: conditioning.AttentionSet(3, 1, 4)(X, Y, torch.ones(2, 5)), "mask must be a tensor of True and False, not torch.float32"),
        (lambda: conditioning.TaskId(3, 4)([0, 1]), r"task numbers must be integers \(B,\), not list"),
        (lambda: conditioning.TaskId(3, 4)(torch.tensor([True])), r"task numbers must be integers \(B,\), not torch.bool"),
        (lambda: conditioning.Vector(3, 4)(torch.zeros(2, 2)), "vector must be a tensor .* with 3 numbers"),
        (lambda: conditioning.Series(3, 4)(torch.zeros(2, 6, 2)), "series must be a tensor .* with 3 numbers"),
        (lambda: heads.ridge(X, Y, torch.ones(3)), r"penalty has shape \(3,\), but must be \(2,\)"),
        (lambda: heads.ridge(X, Y, torch.ones(2, 1)), r"penalty has shape \(2, 1\)"),
        (lambda: heads.logistic(X, Y, weight=-torch.ones(2, 5)), "weight holds a number below 0"),
        (lambda: heads.svm(X, Y - 1), "targets of a support vector machine must be 0 and 1"),
    ],
)
def test_conditions_and_readouts_that_cannot_be(call, message):
    with pytest.raises(ToolkitError, match=message):
        call()


@pytest.mark.parametrize("make", [lambda: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2)), lambda: nn.GRU(3, 4)])
def test_a_first_call_inside_a_transformed_function(make):
    target, parameters = made(make(), 2)
    x = torch.randn(2, 5, 6, 3)

    def loss(given, target):
        out = target(given, x)
        return (out[0] if isinstance(out, tuple) else out).square().sum()

    inside = torch.func.grad(loss)(parameters, target)
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in parameters.items()}
    outside = torch.autograd.grad(loss(leaves, hypernetize(target.module)), list(leaves.values()))
    for name, gradient in zip(leaves, outside, strict=True):
        torch.testing.assert_close(inside[name], gradient)


def test_images_under_forward_derivatives():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 1)).double()
    target = hypernetize(net, "4.*", check=False)
    assert target.chain is None  # its convolution is shared; what follows has one that is not
    target = hypernetize(net, check=False)
    parameters = {name: torch.randn(2, *shape, dtype=torch.float64) for name, shape in target.shapes.items()}
    x = torch.randn(2, 3, 1, 6, 6, dtype=torch.float64)

    def run(weight):
        return target(parameters | {"0.weight": weight}, x)

    forward, backward = torch.func.jacfwd(run)(parameters["0.weight"]), torch.func.jacrev(run)(parameters["0.weight"])
    torch.testing.assert_close(forward, backward)


def test_autocast_is_a_kind_of_call_of_its_own():
    target, parameters = made(nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True))
    x = torch.randn(3, 5, 6, 4)
    with torch.autocast("cpu", torch.bfloat16):
        target(parameters, x)
    target(parameters, x)
    assert target.path == "fused"


def test_activations_in_place_after_a_pool():
    for last in (nn.ReLU(inplace=True), nn.LeakyReLU(0.1, inplace=True)):
        net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), last)
        target, parameters = made(net)
        leaves = {name: tensor.requires_grad_() for name, tensor in parameters.items()}
        x = torch.randn(3, 5, 1, 6, 6)
        ours = torch.autograd.grad(target(leaves, x).sum(), list(leaves.values()))
        theirs = torch.autograd.grad(loop(target, leaves, x).sum(), list(leaves.values()))
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_diagnose_where_gradients_are_off():
    from netloom.toolkit import HyperNetwork, diagnose

    target = hypernetize(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)))
    hypernet = HyperNetwork(target, generators.Full(target.shapes, 4))
    z, x, y = torch.randn(3, 4), torch.randn(3, 5, 3), torch.randn(3, 5, 1)
    with torch.no_grad():
        assert diagnose(hypernet, z, x, y).loss > 0
    with pytest.raises(ToolkitError, match=r"y has shape \(3, 5\), but the outputs \(3, 5, 1\)"):
        diagnose(hypernet, z, x, y[..., 0])
