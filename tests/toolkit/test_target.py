"""What a target accepts, which path it takes and why, what happens to buffers, and what bad input says."""

import copy

import pytest
import torch
from torch import nn

from netloom.errors import NetloomError, ToolkitError
from netloom.toolkit import hypernetize


def mlp():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def drawn(target, tasks=3, **options):
    return {name: torch.randn(tasks, *shape, **options) for name, shape in target.shapes.items()}


class Custom(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.layer, self.code = nn.Linear(3, 3), forward
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        return self.code(self, x)


def counted(self, x):
    self.calls += 1
    return self.layer(x) * self.calls


def rebound(self, x):
    self.calls = self.calls + x.mean()
    return self.layer(x) + self.calls


FORWARDS = {  # name: forward, the path it must take
    "rows alike": (lambda self, x: torch.tanh(self.layer(x)), "fused"),
    "mixes rows": (lambda self, x: self.layer(x - x.mean(0)), "vmap"),
    "mixes rows before a layer that all tasks share": (lambda self, x: self.layer(x / (1 + x.abs().max())), "vmap"),
    "counts rows": (lambda self, x: self.layer(x) / x.shape[0], "vmap"),
    "reads a weight outside its layer": (lambda self, x: self.layer(x) @ self.layer.weight, "vmap"),
    "decides by numbers": (lambda self, x: self.layer(x) if x.sum() > 0 else -self.layer(x), "loop"),
    "turns rows around": (lambda self, x: self.layer(x).flip(0), "vmap"),
    "one output per task": (lambda self, x: self.layer(x).sum(0), "vmap"),
    "counts its calls": (counted, "loop"),
    "binds a new buffer": (rebound, "loop"),
    "several outputs": (lambda self, x: {"a": self.layer(x), "b": (x, 3)}, "fused"),
}


@pytest.mark.parametrize("name", list(FORWARDS))
def test_the_path_is_one_that_equals_a_loop(name):
    forward, path = FORWARDS[name]
    module = Custom(forward).double()
    before = copy.deepcopy(module.state_dict())
    target = hypernetize(module)
    parameters = drawn(target, dtype=torch.float64)
    same = {key: tensor[:1].expand_as(tensor) for key, tensor in parameters.items()}  # all tasks alike, as at the start of training
    x = torch.randn(3, 5, 3, dtype=torch.float64)
    target(same, x[:1].expand(3, 5, 3))
    assert target.path == path, target.reason
    module.load_state_dict(before)
    got = torch.utils._pytree.tree_leaves(target(parameters, x))
    module.load_state_dict(before)
    for i, leaf in enumerate(got):
        if not isinstance(leaf, torch.Tensor):
            continue
        module.load_state_dict(before)
        for b in range(3):
            one = {key: tensor[b] for key, tensor in parameters.items()}
            truth = torch.utils._pytree.tree_leaves(torch.func.functional_call(module, one, (x[b],)))[i]
            torch.testing.assert_close(leaf[b], truth)


def test_mixing_in_shared_layers_is_noticed_with_equal_integer_inputs():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.out = nn.Embedding(9, 4), nn.Linear(4, 2)

        def forward(self, tokens):
            e = self.embed(tokens)
            return self.out(e - e.mean(0))

    target = hypernetize(Words(), "out.*")
    tokens = torch.randint(0, 9, (1, 5)).expand(3, 5)
    target(drawn(target), tokens)
    assert target.path == "vmap"


@pytest.mark.parametrize(
    "select, exclude, names",
    [
        ("*.weight", None, ["0.weight", "2.weight"]),
        (["0.*", "2.bias"], None, ["0.weight", "0.bias", "2.bias"]),
        (nn.Linear, "0.*", ["2.weight", "2.bias"]),
        (lambda name, parameter, owner: parameter.ndim == 1, None, ["0.bias", "2.bias"]),
        (None, lambda name, parameter, owner: owner.out_features == 2, ["0.weight", "0.bias"]),
    ],
)
def test_selection(select, exclude, names):
    target = hypernetize(mlp(), select, exclude)
    assert list(target.shapes) == names
    assert set(target.shared()) == {"0.weight", "0.bias", "2.weight", "2.bias"} - set(names)
    x = torch.randn(3, 5, 3)
    target(drawn(target), x).sum().backward()
    assert all(parameter.grad is not None for parameter in target.shared().values()), "what is shared is trained"


def test_tied_weights_are_one_slot_and_stay_tied():
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 4, bias=False))
    net[2].weight = net[0].weight
    target = hypernetize(net, "2.weight")
    assert list(target.shapes) == ["0.weight"]
    W, x = torch.randn(1, 4, 4), torch.randn(1, 5, 4)
    torch.testing.assert_close(target({"0.weight": W}, x), torch.tanh(x @ W.mT) @ W.mT)
    assert net[2].weight is net[0].weight


def test_running_statistics_belong_to_the_tasks_where_asked():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    own = copy.deepcopy(net.state_dict())
    target = hypernetize(net, task_buffers="*")
    x = torch.randn(3, 6, 3)
    parameters, buffers = drawn(target), target.new_buffers(3)
    copies = []
    for b in range(3):
        one = copy.deepcopy(net)
        one.load_state_dict({name: tensor[b] for name, tensor in parameters.items()}, strict=False)
        for _ in range(2):
            one(x[b])
        copies.append(one)
    for _ in range(2):
        target(parameters, x, buffers=buffers)
    assert target.path == "fused"
    for b, one in enumerate(copies):
        for name, tensor in one.named_buffers():
            torch.testing.assert_close(buffers[name][b], tensor)
    net.eval()
    got = target(parameters, x, buffers=buffers)
    torch.testing.assert_close(got, torch.stack([one.eval()(x[b]) for b, one in enumerate(copies)]))
    assert all(torch.equal(tensor, own[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("path", ["vmap", "loop"])
def test_other_buffers_belong_to_the_tasks_where_asked(path):
    target = hypernetize(Custom(counted), task_buffers="calls", path=path)
    buffers = {"calls": torch.tensor([0.0, 5.0, 9.0])}
    target(drawn(target), torch.randn(3, 5, 3), buffers=buffers)
    assert buffers["calls"].tolist() == [1.0, 6.0, 10.0]
    assert float(target.module.calls) == 0


def test_dropout_differs_between_tasks_and_rows():
    target = hypernetize(nn.Sequential(nn.Linear(3, 50), nn.Dropout(0.5)))
    parameters = {name: torch.ones(4, *shape) for name, shape in target.shapes.items()}
    zero = target(parameters, torch.ones(4, 6, 3)) == 0
    assert target.path == "fused"
    assert 0.3 < float(zero.float().mean()) < 0.7
    assert not torch.equal(zero[0], zero[1]) and not torch.equal(zero[0, 0], zero[0, 1])


def test_trying_paths_leaves_no_trace():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    one, two = copy.deepcopy(net), copy.deepcopy(net)
    parameters, x = drawn(hypernetize(net)), torch.randn(3, 6, 3)
    warm = hypernetize(one)
    warm(parameters, x)
    one.load_state_dict(net.state_dict())
    torch.manual_seed(7)
    known = warm(parameters, x)
    torch.manual_seed(7)
    fresh = hypernetize(two)(parameters, x)  # the first call of its kind
    assert torch.equal(known, fresh)
    assert all(torch.equal(tensor, two.state_dict()[name]) for name, tensor in one.state_dict().items())


def test_weights_are_given_back_when_the_module_fails():
    def fails(self, x):
        if self.layer.weight.shape == (3, 3) and not isinstance(self.layer.weight, nn.Parameter):
            raise RuntimeError("no luck")
        return x

    for tasks in (1, 3):
        module = Custom(fails)
        held = module.layer.weight
        with pytest.raises(ToolkitError, match="Custom cannot take this input: no luck"):
            hypernetize(module)(drawn(hypernetize(module), tasks), torch.randn(tasks, 5, 3))
        assert module.layer.weight is held and "forward" not in module.layer.__dict__


def test_recurrent_layers_are_as_they_were():
    net = nn.LSTM(3, 4, batch_first=True)
    x = torch.randn(2, 5, 6, 3)
    before = net(x[0])[0]
    target = hypernetize(net)
    target(drawn(target, 1), x[:1])
    target(drawn(target, 2), x)
    assert torch.equal(net(x[0])[0], before)
    assert all(a is b for a, b in zip(net._flat_weights, net.parameters(), strict=True))


def change(target, **changes):
    """Parameters with some replaced, dropped (None) or added."""
    given = drawn(target) | changes
    return {name: tensor for name, tensor in given.items() if tensor is not None}


BAD = {
    "misspelt": (
        lambda t: (change(t, **{"0.wieght": torch.zeros(3, 4, 3), "0.weight": None}), torch.randn(3, 5, 3)),
        "unknown parameter '0.wieght' .did you mean '0.weight'.*'2.bias'",
    ),
    "missing": (lambda t: (change(t, **{"2.bias": None}), torch.randn(3, 5, 3)), "'2.bias' is missing .1 of 4.*'0.weight'"),
    "shape": (
        lambda t: (change(t, **{"2.bias": torch.zeros(3, 5)}), torch.randn(3, 5, 3)),
        r"'2.bias' has shape \(3, 5\), but must be \(B, 2\)",
    ),
    "no task dimension": (
        lambda t: (change(t, **{"2.bias": torch.zeros(2)}), torch.randn(3, 5, 3)),
        r"'2.bias' has shape \(2,\).*first dimension is the tasks",
    ),
    "other number of tasks": (
        lambda t: (change(t, **{"2.bias": torch.zeros(2, 2)}), torch.randn(3, 5, 3)),
        "is for 2 tasks, but '0.weight' for 3",
    ),
    "dtype": (
        lambda t: (change(t, **{"2.bias": torch.zeros(3, 2).double()}), torch.randn(3, 5, 3)),
        "'2.bias' is float64, but the module's is float32",
    ),
    "device": (
        lambda t: (change(t, **{"2.bias": torch.zeros(3, 2, device="meta")}), torch.randn(3, 5, 3)),
        "'2.bias' is on meta, but the module on cpu",
    ),
    "NaN": (
        lambda t: (change(t, **{"2.bias": torch.tensor([[0, 0], [0, float("nan")], [0, 0]])}), torch.randn(3, 5, 3)),
        "'2.bias' holds NaN or infinite numbers for task 1",
    ),
    "no tasks": (lambda t: (drawn(t, 0), torch.randn(0, 5, 3)), "for 0 tasks"),
    "input without tasks": (
        lambda t: (drawn(t), torch.randn(5, 3)),
        r"input 0 has shape \(5, 3\): its first dimension must be the 3 tasks.*expand\(3",
    ),
    "input of another size": (lambda t: (drawn(t), torch.randn(3, 5, 4)), "Sequential cannot take this input"),
    "input of another dtype": (lambda t: (drawn(t), torch.randn(3, 5, 3).double()), "Sequential cannot take this input"),
    "no mapping": (lambda t: ([torch.zeros(3)], torch.randn(3, 5, 3)), "must be a mapping"),
}


@pytest.mark.parametrize("after_a_right_call", [False, True])
@pytest.mark.parametrize("name", list(BAD))
def test_bad_input_is_one_line_and_the_module_is_left_as_it_was(name, after_a_right_call):
    net = mlp()
    held = list(net.parameters())
    target = hypernetize(net)
    if after_a_right_call:
        target(drawn(target), torch.randn(3, 5, 3))
    make, message = BAD[name]
    with pytest.raises(ToolkitError, match=message) as caught:
        target(*make(target))
    assert "\n" not in str(caught.value) and isinstance(caught.value, NetloomError | ValueError)
    assert all(a is b for a, b in zip(net.parameters(), held, strict=True))
    assert all("forward" not in layer.__dict__ for layer in net.modules())


def test_a_module_that_was_moved_takes_what_it_is_now():
    net = mlp()
    target = hypernetize(net)
    x = torch.randn(3, 5, 3)
    before = target(drawn(target), x)
    net.double()
    with pytest.raises(ToolkitError, match="'0.weight' is float32, but the module's is float64"):
        target(drawn(target), x)
    after = target(drawn(target, dtype=torch.float64), x.double())
    assert before.dtype == torch.float32 and after.dtype == torch.float64


def test_a_part_that_was_moved_is_noticed():
    net = mlp()
    target = hypernetize(net)
    target(drawn(target), torch.randn(3, 5, 3))
    net[2].double()
    with pytest.raises(ToolkitError, match="'2.weight' is float32, but the module's is float64"):
        target(drawn(target), torch.randn(3, 5, 3))


class With(nn.Module):
    def __init__(self, tensor):
        super().__init__()
        self.weight = nn.Parameter(tensor, requires_grad=False)


@pytest.mark.parametrize(
    "make, options, message",
    [
        (lambda: nn.LazyLinear(3), {}, "'weight' has no shape yet .lazy module.*run the module once"),
        (lambda: With(torch.zeros(2, dtype=torch.complex64)), {}, "'weight' is complex64"),
        (lambda: With(torch.zeros(2, dtype=torch.int64)), {}, "'weight' is int64: only floating-point"),
        (lambda: nn.Embedding(3, 2, max_norm=1.0), {}, "max_norm"),
        (lambda: nn.ReLU(), {}, "ReLU has no parameters"),
        (lambda: mlp(), {"select": "1.*"}, "select = '1.\\*' matches no name.*'0.weight'"),
        (lambda: mlp(), {"select": nn.GRU}, "select = 'GRU' matches no"),
        (lambda: mlp(), {"select": 3}, "cannot select by 3"),
        (lambda: mlp(), {"select": "0.*", "exclude": nn.Linear}, "no parameter is selected"),
        (lambda: mlp(), {"path": "fast"}, "path = 'fast'"),
        (lambda: mlp(), {"task_buffers": "*"}, "has no buffers"),
        (lambda: len, {}, "takes a torch.nn.Module"),
    ],
)
def test_what_cannot_be_a_target_says_why(make, options, message):
    with pytest.raises(ToolkitError, match=message) as caught:
        hypernetize(make(), **options)
    assert "\n" not in str(caught.value)


def test_buffers_of_tasks_are_checked():
    target = hypernetize(nn.BatchNorm1d(3), task_buffers="running_*")
    x = torch.randn(2, 5, 3)
    with pytest.raises(ToolkitError, match=r"belong to the tasks: pass buffers=.*new_buffers\(2\)"):
        target(drawn(target, 2), x)
    with pytest.raises(ToolkitError, match="buffers are for 3 tasks, but parameters for 2"):
        target(drawn(target, 2), x, buffers=target.new_buffers(3))
    with pytest.raises(ToolkitError, match="all are shared"):
        hypernetize(nn.BatchNorm1d(3))(drawn(target, 2), x, buffers={"running_mean": torch.zeros(2, 3)})


def test_an_index_out_of_range_does_not_read_another_tasks_row():
    target = hypernetize(nn.Embedding(4, 2))
    target(drawn(target), torch.zeros(3, 5, dtype=torch.long))
    with pytest.raises(ToolkitError, match="Embedding cannot take this input: .*range"):
        target(drawn(target), torch.full((3, 5), 4))


def test_dtype_bfloat16_runs_fused():
    target = hypernetize(mlp().bfloat16())
    out = target(drawn(target, dtype=torch.bfloat16), torch.randn(3, 5, 3, dtype=torch.bfloat16))
    assert target.path == "fused" and out.dtype == torch.bfloat16


def test_an_overflowing_sum_is_not_mistaken_for_infinity():
    target = hypernetize(nn.Linear(3, 4, bias=False))
    target({"weight": torch.full((2, 4, 3), 3e38)}, torch.zeros(2, 5, 3))
