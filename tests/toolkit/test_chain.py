"""Linear layers and activations take a way of their own; whoever listens to one of them is still heard."""

import copy
import pickle

import pytest
import torch
from torch import nn

from netloom.errors import ToolkitError
from netloom.toolkit import hypernetize
from netloom.toolkit.chain import find_chain

CHAINED = "one after the other"


def network():
    return nn.Sequential(
        nn.Linear(3, 6), nn.ReLU(inplace=True), nn.Sequential(nn.Linear(6, 4, bias=False), nn.GELU()), nn.Linear(4, 2)
    ).double()


def drawn(target, tasks=3):
    return {name: torch.randn(tasks, *shape, dtype=torch.float64, requires_grad=True) for name, shape in target.shapes.items()}


@pytest.mark.parametrize("select", [None, "*.weight", "*.bias", "0.*", "3.bias"])
@pytest.mark.parametrize("tasks", [1, 3])
def test_it_is_a_loop_of_plain_calls(tasks, select):
    module = network()
    target = hypernetize(module, select)
    parameters, x = drawn(target, tasks), torch.randn(tasks, 5, 3, dtype=torch.float64, requires_grad=True)
    out = target(parameters, x)
    assert target.path == ("single" if tasks == 1 else "fused") and target.reason.endswith(CHAINED)
    truth = torch.stack([torch.func.functional_call(module, {k: v[b] for k, v in parameters.items()}, (x[b],)) for b in range(tasks)])
    torch.testing.assert_close(out, truth, rtol=1e-12, atol=1e-12)
    wanted = [x, *parameters.values(), *target.shared().values()]
    for ours, theirs in zip(torch.autograd.grad(out.sin().sum(), wanted), torch.autograd.grad(truth.sin().sum(), wanted), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_a_layer_that_comes_twice_has_one_weight():
    layer = nn.Linear(3, 3).double()
    target = hypernetize(nn.Sequential(layer, nn.Tanh(), layer))
    parameters, x = drawn(target), torch.randn(3, 5, 3, dtype=torch.float64)
    assert list(parameters) == ["0.weight", "0.bias"]
    once = hypernetize(nn.Sequential(layer, nn.Tanh()))
    torch.testing.assert_close(target(parameters, x), hypernetize(nn.Sequential(layer))(parameters, once(parameters, x)))


def heard(module, calls):
    module[2].register_forward_hook(lambda *_: calls.append("hook"))


def heard_before(module, calls):
    module.register_forward_pre_hook(lambda *_: calls.append("hook"))


def changed(module, calls):
    own = module[0].forward
    module[0].forward = lambda x: calls.append("hook") or own(x)


@pytest.mark.parametrize("listen", [heard, heard_before, changed])
@pytest.mark.parametrize("tasks", [1, 3])
def test_whoever_listens_is_heard(listen, tasks):
    module, calls = network(), []
    target = hypernetize(module)
    parameters, x = drawn(target, tasks), torch.randn(tasks, 5, 3, dtype=torch.float64)
    before = target(parameters, x)
    assert target.reason.endswith(CHAINED)
    listen(module, calls)
    after = target(parameters, x)
    assert calls and not target.reason.endswith(CHAINED)
    if listen is not changed or tasks == 1:  # a fused call puts its own forward in the place of one that was changed
        torch.testing.assert_close(after, before)


@pytest.mark.parametrize("tasks", [1, 3])
def test_a_layer_that_was_put_in_later_is_used(tasks):
    module = network()
    target = hypernetize(module)
    parameters, x = drawn(target, tasks), torch.randn(tasks, 5, 3, dtype=torch.float64)
    before = target(parameters, x)
    module[2][1] = nn.Tanh()
    after = target(parameters, x)
    assert not target.reason.endswith(CHAINED) and not torch.allclose(before, after)
    torch.testing.assert_close(after, hypernetize(module)(parameters, x))


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)),
        nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)),
        nn.Sequential(nn.Linear(3, 3), nn.Softmax(0)),
        nn.Sequential(nn.Linear(3, 3), nn.PReLU()),
        type("Own", (nn.Sequential,), {})(nn.Linear(3, 3)),
        nn.Sequential(type("Own", (nn.Linear,), {})(3, 3)),
        nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)),
    ],
)
def test_anything_else_is_none(module):
    assert find_chain(module, {}) is None


def test_other_inputs_and_paths_go_the_usual_way():
    target = hypernetize(network())
    parameters = drawn(target)
    for shape in ((3, 5, 4, 3), (3, 3)):  # rows of rows, and one row per task
        out = target(parameters, torch.randn(*shape, dtype=torch.float64))
        assert out.shape == (*shape[:-1], 2) and not target.reason.endswith(CHAINED)
    one = hypernetize(network(), path="fused")
    one(drawn(one, 1), torch.randn(1, 5, 3, dtype=torch.float64))
    assert one.path == "fused"
    for path in ("vmap", "loop"):
        other = hypernetize(network(), path=path)
        other(parameters, torch.randn(3, 5, 3, dtype=torch.float64))
        assert other.path == path


def test_complaints_are_one_line_and_nan_is_found():
    target = hypernetize(network())
    parameters = drawn(target)
    with pytest.raises(ToolkitError, match="Sequential cannot take this input: [^\n]*$"):
        target(parameters, torch.randn(3, 5, 4, dtype=torch.float64))
    with torch.no_grad():
        parameters["3.weight"][1, 0, 0] = torch.nan
    with pytest.raises(ToolkitError, match="'3.weight' holds NaN or infinite numbers for task 1"):
        target(parameters, torch.randn(3, 5, 3, dtype=torch.float64))


def test_copies_have_chains_of_their_own():
    target = hypernetize(network())
    parameters, x = drawn(target), torch.randn(3, 5, 3, dtype=torch.float64)
    for other in (copy.deepcopy(target), pickle.loads(pickle.dumps(target))):
        torch.testing.assert_close(other(parameters, x), target(parameters, x))
        assert other.chain.watched[0] is other.module and other.module is not target.module
