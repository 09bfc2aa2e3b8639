"""One step of weaving: rows hear their cells and what is still wrong, columns and outputs hear the rows, new neurons hear everybody.

The same block is used for every step, so any number of blocks can be woven. Cost n * d * D: messages between rows and columns are
weighted by the cell values themselves, there is never a token per cell.
"""

import math

import torch
from torch import Tensor, nn

from netloom.target.cells import K
from netloom.toolkit.attend import attend

__all__ = ["Attention", "Block"]


def mlp(D: int) -> nn.Sequential:
    last = nn.Linear(2 * D, D)
    nn.init.normal_(last.weight, std=0.02)
    return nn.Sequential(nn.Linear(D, 2 * D), nn.GELU(), last)


class Attention(nn.Module):
    """``x`` asks, ``y`` answers: multi-head attention with pre-norms; ``log_weight`` (B, b) is added to the scores (-inf leaves out).

    Few tokens meet many rows here, and the rows are most of the work. So the maps of the rows are moved to the few, where they are the same
    products in another order: q . (W r) = (W' q) . r, and sum_j p_j (W v_j) is a sum over few.
    """

    def __init__(self, D: int, heads: int = 4) -> None:
        super().__init__()
        self.query = nn.Linear(D, D, bias=False)
        self.key_value = nn.Linear(D, 2 * D, bias=False)
        self.out = nn.Linear(D, D, bias=False)
        self.heads, self.norm_x, self.norm_y = heads, nn.LayerNorm(D), nn.LayerNorm(D)
        nn.init.normal_(self.out.weight, std=0.02)

    def forward(self, x: Tensor, y: Tensor, log_weight: Tensor | None = None) -> Tensor:
        x, y = self.norm_x(x), self.norm_y(y)
        if self.heads * min(x.shape[1], y.shape[1]) >= x.shape[2]:  # nobody is few
            key, value = self.key_value(y).chunk(2, -1)
            return self.out(attend(self.query(x), key, value, self.heads, log_weight))
        return (self._few_ask if x.shape[1] <= y.shape[1] else self._few_answer)(x, y, log_weight)

    def _few_ask(self, x: Tensor, y: Tensor, log_weight: Tensor | None) -> Tensor:
        key, value = self.key_value.weight.unflatten(0, (2, self.heads, -1))  # (heads, D / heads, D) each
        query = self._per_head(self.query(x)) * math.sqrt(self.heads)  # `attend` divides by the root of D, not of D / heads
        asked = torch.einsum("bahe,hed->bhad", query, key).flatten(1, 2)  # (B, heads * a, D)
        heard = attend(asked, y, y, 1, log_weight).unflatten(1, (self.heads, -1))  # (B, heads, a, D)
        return self.out(torch.einsum("bhad,hed->bahe", heard, value).flatten(2))

    def _few_answer(self, x: Tensor, y: Tensor, log_weight: Tensor | None) -> Tensor:
        key, value = map(self._per_head, self.key_value(y).chunk(2, -1))  # (B, b, heads, D / heads) each
        known = torch.einsum("bche,hed->bhcd", key / math.sqrt(key.shape[3]), self.query.weight.unflatten(0, (self.heads, -1)))
        said = torch.einsum("bche,dhe->bhcd", value, self.out.weight.unflatten(1, (self.heads, -1)))
        scores = (x @ known.flatten(1, 2).mT).unflatten(-1, (self.heads, -1))  # (B, a, heads, b)
        if log_weight is not None:
            scores = scores + log_weight[:, None, None]
        return torch.softmax(scores, -1).flatten(2) @ said.flatten(1, 2)

    def _per_head(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1))


class Block(nn.Module):
    """Tokens of rows r, columns c, outputs o and the neurons to be woven u exchange what they know, once."""

    def __init__(self, D: int) -> None:
        super().__init__()

        def linear() -> nn.Linear:
            return nn.Linear(D, D, bias=False)

        self.row_value, self.column_value, self.output_value, self.residual_value = linear(), linear(), linear(), linear()
        self.to_column, self.to_row, self.to_output = linear(), linear(), linear()
        self.norm_row, self.norm_column, self.norm_output = nn.LayerNorm(D), nn.LayerNorm(D), nn.LayerNorm(D)
        self.norm_column_message, self.norm_output_message = nn.LayerNorm(D), nn.LayerNorm(D)
        self.norm_column_mlp, self.norm_output_mlp = nn.LayerNorm(D), nn.LayerNorm(D)
        self.norm_row_mlp, self.norm_neuron_mlp = nn.LayerNorm(D), nn.LayerNorm(D)
        self.mlp_column, self.mlp_row, self.mlp_output, self.mlp_neuron = mlp(D), mlp(D), mlp(D), mlp(D)
        self.neuron_rows, self.neuron_rest, self.row_neurons = Attention(D), Attention(D), Attention(D)

    def forward(
        self, P: Tensor, weight: Tensor, residual: Tensor, root_d: Tensor, rest: Tensor, r: Tensor, c: Tensor, o: Tensor, u: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """P (B, n, d, K) cells; weight (B, n) of rows, mean 1, 0 for padding; residual (B, n, O); root_d (B, 1, 1);
        rest (B, d + O + H) log weights of columns, outputs and neurons; r (B, n, D), c (B, d, D), o (B, O, D), u (B, H, D).
        """
        B, n, d, _ = P.shape
        D = r.shape[-1]
        root_n = weight.gt(0).sum(1).sqrt()[:, None, None]  # (B, 1, 1)
        keys = self.column_value(self.norm_column(c)).view(B, d, K, D // K)
        seen = torch.einsum("bndk,bdkw->bnkw", P, keys).reshape(B, n, D) / root_d  # the cells weigh the columns
        r = r + self.to_row(seen) + residual @ self.output_value(self.norm_output(o))
        r = r + self.mlp_row(self.norm_row_mlp(r))
        R = self.norm_row(r) * weight[..., None]
        heard = torch.einsum("bndk,bnkw->bdkw", P, self.row_value(R).view(B, n, K, D // K)).reshape(B, d, D) / root_n
        c = c + self.to_column(self.norm_column_message(heard))
        c = c + self.mlp_column(self.norm_column_mlp(c))
        o = o + self.to_output(self.norm_output_message(self.residual_value(residual.transpose(1, 2) @ R) / root_n))
        o = o + self.mlp_output(self.norm_output_mlp(o))
        u = u + self.neuron_rows(u, r, weight.log())
        u = u + self.neuron_rest(u, torch.cat([c, o, u], 1), rest)
        u = u + self.mlp_neuron(self.norm_neuron_mlp(u))
        return r + self.row_neurons(r, u), c, o, u
