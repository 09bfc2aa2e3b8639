"""Conditions: the order and number of examples, padding, and what cannot be read."""

import pytest
import torch

from netloom.errors import ToolkitError
from netloom.toolkit.conditioning import AttentionSet, DeepSet, Series, TaskId, Vector

SETS = {
    "deep set": lambda: DeepSet(2, 1, 8),
    "attention": lambda: AttentionSet(2, 1, 8),
    "tokens": lambda: AttentionSet(2, 1, 8, tokens=True),
}


@pytest.mark.parametrize("kind", list(SETS))
def test_order_and_padding_of_examples_never_matter(kind):
    read = SETS[kind]().double()
    x, y = torch.randn(3, 7, 2, dtype=torch.float64), torch.randn(3, 7, 1, dtype=torch.float64)
    known = read(x[:, :5], y[:, :5])
    assert known.shape == ((3, 4, 8) if kind == "tokens" else (3, 8))
    turn = torch.randperm(5)
    torch.testing.assert_close(read(x[:, turn], y[:, turn]), known)
    torch.testing.assert_close(read(x, y, torch.arange(7).expand(3, 7) < 5), known)
    assert not torch.allclose(read(x, y), known), "examples are read"


@pytest.mark.parametrize("kind", list(SETS))
def test_sets_that_cannot_be_read(kind):
    read, x, y = SETS[kind](), torch.randn(3, 5, 2), torch.randn(3, 5, 1)
    for args, message in (
        ((x[:, :0], y[:, :0]), "without examples"),
        ((x, y[:, :4]), "examples must be"),
        ((x, y, torch.zeros(3, 5, dtype=torch.bool)), "without examples"),
        ((x, y, torch.ones(3, 4, dtype=torch.bool)), "mask has shape"),
    ):
        with pytest.raises(ToolkitError, match=message):
            read(*args)


def test_padding_of_a_series_does_not_matter():
    read = Series(2, 8).double()
    x = torch.randn(3, 9, 2, dtype=torch.float64)
    lengths = torch.tensor([9, 4, 1])
    known = read(x, lengths)
    for b, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(read(x[b : b + 1, :length])[0], known[b])
    with pytest.raises(ToolkitError, match="lengths must be 3 numbers from 1 to 9"):
        read(x, torch.tensor([10, 1, 1]))
    with pytest.raises(ToolkitError, match="series must be"):
        read(x[:, :0])


def test_task_numbers():
    read = TaskId(4, 8)
    assert torch.equal(read(torch.tensor([2, 2]))[0], read.table[2])
    with pytest.raises(ToolkitError, match="task 4 is unknown: there are tasks 0 to 3"):
        read(torch.tensor([4]))
    with pytest.raises(ToolkitError, match="must be integers"):
        read(torch.tensor([1.0]))


def test_the_unit_of_a_vector_does_not_matter():
    torch.manual_seed(0)
    x = torch.randn(200, 3)
    a, b = Vector(3, 8), Vector(3, 8)
    b.load_state_dict(a.state_dict())
    torch.testing.assert_close(a(x), b(x * 1000 + 50), rtol=1e-3, atol=1e-3)
    assert a(x[:1]).shape == (1, 8)
