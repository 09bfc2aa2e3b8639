"""The hypernetwork. It reads a task and weaves a network block by block: every neuron is a token, every weight the inner product of two,
and every neuron turns from there toward what is still wrong where it fires (`aim.py`).

After each block the readout is solved, ridge for values and softmax for classes, and what is wrong with each row, left out of it (PRESS,
Allen 1974), is fed back: the next block is aimed at that (cascade-correlation, Fahlman & Lebiere 1990). Read `Hypernetwork.forward`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netloom.loom.aim import Aim
from netloom.loom.batch import Batch
from netloom.loom.block import Block
from netloom.loom.softmax import softmax_dual
from netloom.target.cells import K
from netloom.target.solve import RidgeInverse
from netloom.toolkit.generators.neurons import inner_products, normalise_rows

__all__ = ["Hypernetwork", "Woven", "WovenBlock", "shape_of"]

STEPS_KNOWN = 8  # later blocks share the last step vector


@dataclass(frozen=True, eq=False)
class WovenBlock:
    """H new neurons of each of B networks, in units of standardised cells and standardised earlier neurons.

    weight (B, d * K, H), onto (B, H before, H) or None, bias (B, H), centre and scale (B, H) of their activations, relevance (B, H).
    """

    weight: Tensor
    onto: Tensor | None
    bias: Tensor
    centre: Tensor
    scale: Tensor
    relevance: Tensor

    def activations(self, Z: Tensor, hidden: list[Tensor]) -> Tensor:
        """Standardised activations (B, rows, H) from standardised cells Z (B, rows, d * K) and those of earlier blocks."""
        a = Z @ self.weight + self.bias[:, None]
        if self.onto is not None:
            a = a + torch.cat(hidden, -1) @ self.onto
        return (torch.relu(a) - self.centre[:, None]) / self.scale[:, None]


@dataclass(frozen=True, eq=False)
class Woven:
    """B woven networks without their readout. centre, scale (B, d * K) of the cells; relevance (B, d * K) of the cells in the readout;
    penalty (B,) of the readout; residual (B, n, O) leave-one-out after the last block; readouts (B, p, O) with intercepts (B, 1, O) after
    each block, for training and for looking.
    """

    centre: Tensor
    scale: Tensor
    relevance: Tensor
    penalty: Tensor
    blocks: tuple[WovenBlock, ...]
    residual: Tensor
    readouts: tuple[Tensor, ...]
    intercepts: tuple[Tensor, ...]

    def outputs(self, cells: Tensor, beside: Tensor | None = None) -> list[Tensor]:
        """Outputs (B, rows, O) after every block for rows given by cells (B, rows, d, K), and by ``beside`` if the batch had it:
        logits or z-scored values.
        """
        Z = (cells.flatten(2) - self.centre[:, None]) / self.scale[:, None]
        features, given = [Z * self.relevance[:, None]], []
        if beside is not None:
            features.append(beside)
        hidden: list[Tensor] = []
        for block, readout, intercept in zip(self.blocks, self.readouts, self.intercepts, strict=True):
            hidden.append(block.activations(Z, hidden))
            features.append(hidden[-1] * block.relevance[:, None])
            given.append(intercept + torch.cat(features, -1) @ readout)
        return given


class Hypernetwork(nn.Module):
    """The hypernetwork: D token width, H neuron tokens per block, each giving ``copies`` neurons; before each block of neurons the tokens
    talk ``rounds`` times, every round with weights of its own, which all blocks share.

    One set of weights for classification and regression, any number of rows, columns, outputs and blocks.
    """

    def __init__(self, D: int = 64, H: int = 12, copies: int = 8, rounds: int = 1) -> None:
        super().__init__()
        self.D, self.H, self.copies, self.rounds = D, H, copies, rounds
        self.mixed = False  # in training on a GPU: tokens talk in bfloat16, everything that is solved stays float32
        self.block = Block(D)  # shared by all steps
        self.further = nn.ModuleList(Block(D) for _ in range(rounds - 1))
        self.step = nn.Parameter(torch.randn(STEPS_KNOWN, D) * 0.02)
        self.column0 = nn.Parameter(torch.randn(D) * 0.02)
        self.output0 = nn.Parameter(torch.randn(2, D) * 0.02)  # classes, regression targets
        self.neuron0 = nn.Parameter(torch.randn(H, D) * 0.5)
        self.kind = nn.Parameter(torch.randn(2, D) * 0.02)
        self.row_from_columns, self.row_from_outputs = nn.Linear(D, D, bias=False), nn.Linear(D, D, bias=False)
        self.neuron_key = nn.Linear(D, copies * D)
        self.column_key = nn.Linear(D, K * D, bias=False)
        self.onto_earlier, self.earlier_key = nn.Linear(D, D), nn.Linear(D, D)
        self.gain_bias_relevance = nn.Linear(D, 3)
        self.cell_relevance = nn.Linear(D, K)
        self.aim = Aim(D)
        self.norm_neuron, self.norm_column, self.norm_output = nn.LayerNorm(D), nn.LayerNorm(D), nn.LayerNorm(D)
        self.penalty = nn.Linear(2 * D, 1)
        for layer in (self.cell_relevance, self.penalty):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, batch: Batch, columns: Tensor, outputs: Tensor, blocks: int = 3, *, readouts_too: bool = True) -> Woven:
        """Weave ``blocks`` blocks for every task of the batch, given the identities of columns (B, d, D) and outputs (B, O, D).

        Without ``readouts_too`` there are none, and the residual is the one before the last block: enough for who solves another readout.
        """
        P, T, weight = batch.cells, batch.targets, batch.weight
        B, n, d, _ = P.shape
        D = self.D
        rows = weight[..., None]  # (B, n, 1)
        classes = batch.kind.eq(0)[:, None, None]  # (B, 1, 1)
        count = weight.gt(0).sum(1)[:, None, None]  # (B, 1, 1)
        width = batch.columns.sum(1)[:, None, None]  # (B, 1, 1)
        rest = torch.cat([batch.columns.log(), batch.outputs.log(), torch.zeros(B, self.H, device=P.device)], 1)
        c = columns * 0.5 + self.column0
        o = outputs * 0.5 + self.output0[batch.kind][:, None]
        heard = torch.einsum("bndk,bdkw->bnkw", P, self.row_from_columns(c).view(B, d, K, -1)).reshape(B, n, D)
        r = heard / width.sqrt() + T @ self.row_from_outputs(o)
        Z = P.flatten(2)  # (B, n, d * K)
        centre = (Z * rows).sum(1, keepdim=True) / count
        real = weight.gt(0)[..., None]  # (B, n, 1)
        scale = (((Z - centre).square() * rows).sum(1, keepdim=True) / (count - 1).clamp(min=1)).sqrt() + 1e-2
        Z = (Z - centre) / scale * real
        mean = (T * rows).sum(1, keepdim=True) / count  # (B, 1, O)
        root = weight.sqrt()[..., None]  # (B, n, 1): weighted least squares = least squares on rows times sqrt(weight)
        Y = (T - mean) * root * batch.outputs[:, None]
        residual = Y / root.clamp(min=1e-12)
        hidden: list[Tensor] = []
        keys_before: list[Tensor] = []
        features: list[Tensor] = []
        woven: list[WovenBlock] = []
        readouts: list[Tensor] = []
        intercepts: list[Tensor] = []
        penalty = cells_relevance = Z.new_zeros(0)
        inverse = RidgeInverse(penalty, Z)  # solved with the first block
        for t in range(blocks):
            u = (self.neuron0 + self.step[min(t, STEPS_KNOWN - 1)]) + self.kind[batch.kind][:, None]  # (B, H, D)
            with torch.autocast(P.device.type, torch.bfloat16, enabled=self.mixed):
                for block in (self.block, *self.further):
                    r, c, o, u = block(P, weight, residual, width.sqrt(), rest, r, c, o, u)
            if self.mixed:
                r, c, o, u = r.float(), c.float(), o.float(), u.float()
            cn, un, on = self.norm_column(c), self.norm_neuron(u), self.norm_output(o)
            if t == 0:  # the cells themselves enter the readout, each with a generated prior scale
                relevance = torch.exp(self.cell_relevance(cn).clamp(-4, 4)) * batch.columns[..., None]  # (B, d, K)
                cells_relevance = relevance.flatten(1) / (width[:, 0] * K).sqrt()
                o_mean = (on * batch.outputs[..., None]).sum(1) / batch.outputs.sum(1, keepdim=True)
                penalty = torch.exp(self.penalty(torch.cat([un.mean(1), o_mean], -1))[:, 0].clamp(-5, 6))
                features.append(Z * cells_relevance[:, None])
                if batch.beside is not None:
                    features.append(batch.beside)
                inverse = RidgeInverse.of(torch.cat(features, -1) * root, penalty)
            keys = self.neuron_key(un).view(B, self.H * self.copies, D)
            W = torch.einsum("bhw,bdkw->bhdk", keys, self.column_key(cn).view(B, d, K, D)) * batch.columns[:, None, :, None]
            gain, bias, rho = self.gain_bias_relevance(keys).unbind(-1)  # (B, H) each
            onto, beyond = None, Z.new_zeros(())
            if hidden:
                V = inner_products(self.onto_earlier(keys), self.earlier_key(torch.cat(keys_before, 1)))  # (B, H, H before)
                onto = normalise_rows(V).transpose(1, 2)
                beyond = torch.cat(hidden, -1) @ onto
            errors = self.aim.errors(keys, on * batch.outputs[..., None], residual)
            W, bias = self.aim(keys, errors, rows, count[:, 0], Z, W.flatten(2), gain, bias, beyond)  # (B, H, d * K), (B, H)
            h = torch.relu(Z @ W.transpose(1, 2) + bias[:, None] + beyond)
            h_centre = (h * rows).sum(1, keepdim=True) / count
            h_variance = ((h - h_centre).square() * rows).sum(1, keepdim=True) / (count - 1).clamp(min=1)
            h_scale = h_variance.clamp(min=1e-12).sqrt() + 5e-2  # clamped: the root of a silent neuron's 0 has no gradient
            h = (h - h_centre) / h_scale * real
            rho = rho + self.aim.relevance(h, errors, rows, count[:, 0])
            h_relevance = torch.exp(rho.clamp(-4, 4)) / math.sqrt(h.shape[-1])
            woven.append(WovenBlock(W.transpose(1, 2), onto, bias, h_centre[:, 0], h_scale[:, 0], h_relevance))
            hidden.append(h)
            keys_before.append(keys)
            features.append(h * h_relevance[:, None])
            if not readouts_too and t == blocks - 1:
                break
            inverse = inverse.beside(features[-1] * root)
            dual, intercept = inverse @ Y, mean  # (B, n, O)
            out_of_row = dual / inverse.diagonal()[..., None].clamp(min=1e-5)  # leave-one-out, given the neurons
            residual = (out_of_row / root.clamp(min=1e-12)).clamp(-4, 4) * real
            if bool(classes.any()):
                softmax = softmax_dual(inverse, penalty, T, batch.outputs, weight)
                dual, intercept = torch.where(classes, softmax.dual, dual), torch.where(classes, softmax.intercept, mean)
                residual = torch.where(classes, softmax.wrong, residual)
            if readouts_too:
                readouts.append((torch.cat(features, -1) * root).transpose(1, 2) @ dual)
                intercepts.append(intercept)
        return Woven(centre[:, 0], scale[:, 0], cells_relevance, penalty, tuple(woven), residual, tuple(readouts), tuple(intercepts))


def shape_of(state: dict[str, Tensor]) -> tuple[int, int, int, int]:
    """D, H, copies and rounds of the hypernetwork whose weights these are; KeyError or ValueError if they are of none."""
    H, D = state["neuron0"].shape
    rounds = 1 + len({name.split(".")[1] for name in state if name.startswith("further.")})
    return D, H, state["neuron_key.weight"].shape[0] // D, rounds
