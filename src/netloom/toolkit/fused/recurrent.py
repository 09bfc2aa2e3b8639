"""Recurrent layers of B tasks: inputs of all steps in one batched product, then one small batched product per step."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netloom.toolkit.fused.lent import Lent, NotFusable
from netloom.toolkit.fused.linear import product

__all__ = ["recurrent"]

State = tuple[Tensor, ...]


def recurrent(lent: Lent, input: Tensor, hx: Tensor | State | None = None) -> tuple[Tensor, Tensor | State]:
    layer, B = lent.layer, lent.tasks
    assert isinstance(layer, nn.RNNBase)
    if not isinstance(input, Tensor) or input.ndim != 3 or layer.proj_size:
        raise NotFusable(f"{type(layer).__name__} with packed or unbatched sequences or a projection")
    cell = _CELLS[type(layer)] if not isinstance(layer, nn.RNN) else (_tanh if layer.nonlinearity == "tanh" else _relu)
    steps = input.transpose(0, 1) if layer.batch_first else input  # (T, B*n, I)
    T, N, _ = steps.shape
    directions, H = 2 if layer.bidirectional else 1, layer.hidden_size
    parts = 2 if isinstance(layer, nn.LSTM) else 1
    if hx is None:
        start: State = (steps.new_zeros(layer.num_layers * directions, N, H),) * parts
    else:
        start = hx if isinstance(hx, tuple) else (hx,)
    ends: list[State] = []
    x = steps.unflatten(1, (B, -1)).transpose(0, 1)  # (B, T, n, I)
    for depth in range(layer.num_layers):
        outputs = []
        for direction in range(directions):
            index, suffix = depth * directions + direction, f"_l{depth}" + ("_reverse" if direction else "")
            state = tuple(part[index].unflatten(0, (B, -1)) for part in start)  # (B, n, H) each
            output, state = _run(lent, cell, x.flip(1) if direction else x, state, suffix)
            outputs.append(output.flip(1) if direction else output)
            ends.append(state)
        x = torch.cat(outputs, -1) if directions == 2 else outputs[0]
        if layer.dropout and depth < layer.num_layers - 1:
            x = F.dropout(x, layer.dropout, layer.training)
    out = x.transpose(1, 2).flatten(0, 1)  # (B*n, T, directions * H)
    final = tuple(torch.stack([end[i].flatten(0, 1) for end in ends]) for i in range(parts))  # (layers * directions, B*n, H)
    return out if layer.batch_first else out.transpose(0, 1), final if parts == 2 else final[0]


def _run(lent: Lent, cell: Callable[..., State], x: Tensor, state: State, suffix: str) -> tuple[Tensor, State]:
    """One direction of one layer over the steps of x (B, T, n, I)."""
    B, T, n, size = x.shape
    W, U = lent.weight("weight_ih" + suffix), lent.weight("weight_hh" + suffix)
    assert W is not None and U is not None
    c = lent.weight("bias_hh" + suffix)
    heard = product(x.reshape(B, T * n, size), W, lent.weight("bias_ih" + suffix)).view(B, T, n, -1)
    outputs = []
    for t in range(T):
        state = cell(heard[:, t], product(state[0], U, c), state)
        outputs.append(state[0])
    return torch.stack(outputs, 1), state


def _gru(heard: Tensor, own: Tensor, state: State) -> State:
    hr, hz, hn = heard.chunk(3, -1)
    r, z, n = own.chunk(3, -1)
    reset, update = torch.sigmoid(hr + r), torch.sigmoid(hz + z)
    new = torch.tanh(hn + reset * n)
    return (new + update * (state[0] - new),)


def _lstm(heard: Tensor, own: Tensor, state: State) -> State:
    i, f, g, o = (heard + own).chunk(4, -1)
    memory = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(memory), memory


def _tanh(heard: Tensor, own: Tensor, state: State) -> State:
    return (torch.tanh(heard + own),)


def _relu(heard: Tensor, own: Tensor, state: State) -> State:
    return (torch.relu(heard + own),)


_CELLS: dict[type, Callable[..., State]] = {nn.GRU: _gru, nn.LSTM: _lstm}
