"""AdamW is torch's AdamW."""

import numpy as np
import pytest
import torch
from torch.optim._functional import adamw  # its class would import torch's compiler

from netloom.toolkit.adamw import AdamW

OPTIONS = {"beta1": 0.9, "beta2": 0.98, "weight_decay": 0.05, "eps": 1e-8, "amsgrad": False, "maximize": False, "foreach": False}


@pytest.mark.parametrize("shares", [None, (1.0, 0.1)])
def test_ten_steps_are_those_of_torch(shares):
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(5, 3, generator=generator), torch.randn(4, generator=generator)]
    theirs = [w.clone() for w in weights]
    moments = [([torch.zeros_like(w)], [torch.zeros_like(w)], [torch.tensor(0.0)]) for w in theirs]
    ours = AdamW(weights, (0.9, 0.98), 0.05)
    for step in range(10):
        rate = 0.01 * (step + 1)
        gradients = [torch.randn(w.shape, generator=generator) for w in weights]
        ours.step(gradients, rate if shares is None else [rate * share for share in shares])
        for w, gradient, (first, second, steps), share in zip(theirs, gradients, moments, shares or (1.0, 1.0), strict=True):
            adamw([w], [gradient.clone()], first, second, [], steps, lr=rate * share, **OPTIONS)
    for w, other in zip(weights, theirs, strict=True):
        np.testing.assert_allclose(w, other, rtol=1e-5, atol=1e-6)
