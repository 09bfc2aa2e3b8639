"""Multi-head attention of B tasks: projections are batched products, softmax is written out (torch's kernel is slow backward on CPU)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netloom.toolkit.fused.lent import Lent, NotFusable
from netloom.toolkit.fused.linear import product

__all__ = ["attention"]


def attention(
    lent: Lent,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    layer, B = lent.layer, lent.tasks
    assert isinstance(layer, nn.MultiheadAttention)
    if layer.bias_k is not None or layer.add_zero_attn:
        raise NotFusable("MultiheadAttention with add_bias_kv or add_zero_attn")
    if query.ndim != 3 or (is_causal and attn_mask is None):
        raise NotFusable("MultiheadAttention without a batch, or causal without a mask")
    if not layer.batch_first:
        query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
    N, L, E = query.shape  # N = B * n
    S, heads = key.shape[1], layer.num_heads
    joint, bias = lent.weight("in_proj_weight"), lent.weight("in_proj_bias")
    if joint is not None:
        weights = joint.chunk(3, 1)
    else:
        weights = tuple(lent.weight(name) for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"))  # type: ignore[assignment, misc]
    biases = (None, None, None) if bias is None else bias.chunk(3, 1)

    def project(x: Tensor, i: int) -> Tensor:  # (N, l, size) -> (N, heads, l, E / heads)
        flat = product(x.reshape(B, -1, x.shape[-1]), weights[i], biases[i])
        return flat.view(N, x.shape[1], heads, E // heads).transpose(1, 2)

    q, k, v = project(query, 0), project(key, 1), project(value, 2)
    scores = q @ k.mT / math.sqrt(E // heads)  # (N, heads, L, S)
    if attn_mask is not None:
        mask = _additive(attn_mask, scores)
        scores = scores + (mask if mask.ndim == 2 else mask.view(N, heads, L, S))
    if key_padding_mask is not None:
        scores = scores + _additive(key_padding_mask, scores)[:, None, None]
    shares = F.dropout(torch.softmax(scores, -1), layer.dropout, layer.training)
    mixed = (shares @ v).transpose(1, 2).reshape(B, -1, E)  # (B, n*L, E)
    out_weight = lent.weight("out_proj.weight")
    assert out_weight is not None
    out = product(mixed, out_weight, lent.weight("out_proj.bias")).view(N, L, E)
    out = out if layer.batch_first else out.transpose(0, 1)
    if not need_weights:
        return out, None
    return out, shares.mean(1) if average_attn_weights else shares


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    """True (leave out) as minus infinity; numbers as they are."""
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, -math.inf) if mask.dtype == torch.bool else mask.to(like.dtype)
