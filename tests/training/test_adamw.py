"""AdamW is torch's AdamW."""

import numpy as np
import torch

from netloom.training.adamw import AdamW


def test_ten_steps_are_those_of_torch():
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(5, 3, generator=generator), torch.randn(4, generator=generator)]
    theirs = [w.clone().requires_grad_() for w in weights]
    reference = torch.optim.AdamW(theirs, betas=(0.9, 0.98), weight_decay=0.05)
    ours = AdamW(weights, (0.9, 0.98), 0.05)
    for step in range(10):
        rate = 0.01 * (step + 1)
        gradients = [torch.randn(w.shape, generator=generator) for w in weights]
        ours.step(gradients, rate)
        for w, gradient in zip(theirs, gradients, strict=True):
            w.grad = gradient.clone()
        reference.param_groups[0]["lr"] = rate
        reference.step()
    for w, other in zip(weights, theirs, strict=True):
        np.testing.assert_allclose(w, other.detach(), rtol=1e-5, atol=1e-6)
