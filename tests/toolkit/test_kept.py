"""A network that comes again unchanged is not checked again; everything that changes it is noticed."""

import copy
import gc
import weakref

import pytest
import torch
from torch import nn

from netloom.errors import ToolkitError
from netloom.toolkit import hypernetize


@pytest.fixture(params=[1, 3], ids=["one task", "three tasks"])
def again(request):
    """A target, weights that it has seen three times, and an input."""
    torch.manual_seed(0)
    target = hypernetize(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    parameters = {name: torch.randn(request.param, *shape) for name, shape in target.shapes.items()}
    x = torch.randn(request.param, 5, 3)
    for _ in range(3):
        target(parameters, x)
    return target, parameters, x


def truth(target, parameters, x):
    return torch.stack(
        [torch.func.functional_call(target.module, {k: t[b] for k, t in parameters.items()}, (x[b],)) for b in range(len(x))]
    )


def test_what_is_known_is_not_looked_at_again(again, monkeypatch):
    target, parameters, x = again
    monkeypatch.setattr("netloom.toolkit.target.check_tensors", None)  # would fail if it were called
    monkeypatch.setattr("netloom.toolkit.target.check_finite", None)
    monkeypatch.setattr("netloom.toolkit.target.looks_finite", None)
    torch.testing.assert_close(target(parameters, x), truth(target, parameters, x))


@pytest.mark.parametrize("through", ["the tensor", "a view of it", "its base"])
def test_numbers_changed_in_place_are_used_and_checked(again, through):
    target, parameters, x = again
    flat = torch.zeros(len(x), 8)
    if through == "its base":
        parameters = parameters | {"2.weight": flat.view(-1, 2, 4)}
        for _ in range(3):
            target(parameters, x)
    part = {"the tensor": parameters["2.weight"], "a view of it": parameters["2.weight"][0], "its base": flat}[through]
    part.fill_(2.0)
    torch.testing.assert_close(target(parameters, x), truth(target, parameters, x))
    part.fill_(float("nan"))
    with pytest.raises(ToolkitError, match="'2.weight' holds NaN"):
        target(parameters, x)


def test_other_tensors_names_and_types_are_noticed(again):
    target, parameters, x = again
    with pytest.raises(ToolkitError, match="holds NaN"):
        target(parameters | {"2.bias": parameters["2.bias"] * torch.nan}, x)
    with pytest.raises(ToolkitError, match="unknown parameter 'more'"):
        target(parameters | {"more": x}, x)
    parameters["2.bias"] = parameters["2.bias"].double()  # in the dict that is known
    with pytest.raises(ToolkitError, match="'2.bias' is float64"):
        target(parameters, x)
    with pytest.raises(ToolkitError, match="first dimension must be the"):
        target(parameters | {"2.bias": parameters["2.bias"].float()}, torch.cat([x, x]))


def renewed(parameters):
    """Tensors like those of the last calls, as a generator makes them for each."""
    return {name: tensor + 1 for name, tensor in parameters.items()}


def test_new_tensors_like_the_last_are_compared_alone(again, monkeypatch):
    target, parameters, x = again
    monkeypatch.setattr("netloom.toolkit.target.check_tensors", None)  # would fail if it were called
    for _ in range(2):
        parameters = renewed(parameters)
        torch.testing.assert_close(target(parameters, x), truth(target, parameters, x))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda tensor: tensor[0], "the first dimension is the tasks"),
        (lambda tensor: tensor[:, :-1], "has shape"),
        (lambda tensor: torch.cat([tensor, tensor]), "tasks"),
        (lambda tensor: tensor.half(), "is float16"),
        (lambda tensor: tensor.to("meta"), "is on meta"),
        (lambda tensor: tensor.numpy(), "must be a tensor"),
        (lambda tensor: None, "must be a tensor"),
    ],
)
@pytest.mark.parametrize("name", ["0.weight", "0.bias", "2.bias"])
def test_new_tensors_unlike_the_last_are_noticed(again, name, change, message):
    target, parameters, x = again
    new = renewed(parameters)
    with pytest.raises(ToolkitError, match=message):
        target(new | {name: change(new[name])}, x)
    torch.testing.assert_close(target(new, x), truth(target, new, x))


def test_another_number_of_tasks_that_fails_is_forgotten(again):
    target, parameters, x = again
    twice = {name: torch.cat([tensor, tensor]) for name, tensor in parameters.items()}
    with pytest.raises(ToolkitError, match="first dimension must be the"):
        target(twice, x)
    torch.testing.assert_close(target(parameters, x), truth(target, parameters, x))
    with pytest.raises(ToolkitError, match="first dimension must be the"):
        target(parameters, torch.cat([x, x]))


@pytest.mark.parametrize("at", [0, 2])
@pytest.mark.parametrize("to, message", [(torch.float64, "the module's is float64"), ("meta", "the module on meta")])
def test_a_part_that_was_moved_is_noticed(again, at, to, message):
    target, parameters, x = again
    target.module[at].to(to)
    with pytest.raises(ToolkitError, match=message):
        target(renewed(parameters), x)


@pytest.mark.parametrize("at", [0, 2])
def test_a_layer_that_got_other_weights_is_noticed(again, at):
    target, parameters, x = again
    target.module[at].weight = nn.Parameter(torch.zeros(7, 7))
    with pytest.raises(ToolkitError, match=f"'{at}.weight' has shape"):
        target(renewed(parameters), x)


def test_a_module_that_was_moved_is_noticed_by_new_tensors(again):
    target, parameters, x = again
    target.double()
    with pytest.raises(ToolkitError, match="is float32, but the module's is float64"):
        target(renewed(parameters), x)
    new = {name: tensor.double() for name, tensor in parameters.items()}
    torch.testing.assert_close(target(new, x.double()), truth(target, new, x.double()))


def test_a_module_that_was_moved_is_noticed(again):
    target, parameters, x = again
    target.double()
    with pytest.raises(ToolkitError, match="'0.weight' is float32, but the module's is float64"):
        target(parameters, x)


def test_a_gradient_asked_for_later_arrives(again):
    target, parameters, x = again
    with torch.no_grad():
        target(parameters, x)
    for tensor in parameters.values():
        tensor.requires_grad_()
    with torch.no_grad():
        target(parameters, x)
        target(parameters, x)
    target(parameters, x).sum().backward()
    assert all(tensor.grad is not None and bool(tensor.grad.any()) for tensor in (parameters["0.weight"], parameters["2.bias"]))


def test_no_graph_and_no_dead_weights_are_held(again):
    target, parameters, x = again
    leaf = parameters["0.weight"].clone().requires_grad_()
    given = parameters | {"0.weight": leaf * 2}
    target(given, x)
    target(given, x)
    gone = weakref.ref(given["0.weight"])
    del given
    gc.collect()
    assert gone() is None


def test_tensors_of_inference_mode_and_copies_of_a_target(again):
    target, parameters, x = again
    with torch.inference_mode():
        made = {name: tensor * 2 for name, tensor in parameters.items()}
        for _ in range(3):
            out = target(made, x)
        torch.testing.assert_close(out, truth(target, made, x))
    other = copy.deepcopy(target)
    nn.init.zeros_(other.module[0].weight)
    torch.testing.assert_close(other(parameters, x), target(parameters, x))
    assert bool(target.module[0].weight.any()), "the copy has a module of its own"
