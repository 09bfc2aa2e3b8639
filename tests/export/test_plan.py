"""The plan, computed by plain loops over rows, gives what the network gives."""

import numpy as np


def outputs_of(plan, numbers, codes):
    """One row, slowly: as the words of plan.py say."""
    x = np.array([slot.fill if np.isnan(v) else v for slot, v in zip(plan.slots, numbers, strict=True)])
    x = np.array(
        [(slot.high if v > 0 else slot.low) if np.isinf(v) else np.clip(v, -1e30, 1e30) for slot, v in zip(plan.slots, x, strict=True)]
    )
    features = []
    for view in plan.views:
        z = (x[view.slots] - view.centre) / view.scale
        for position, knots, heights in zip(view.ranked, view.knots, view.heights, strict=True):
            z[position] = np.interp(z[position], knots, heights)
        z = np.clip(z, -6, 6)
        bent = z[view.many]
        features += [z, np.tanh(2 * bent), np.cos(2 * bent), np.clip(bent**2 - 1, -3, 6) / 2]
        features += [np.tanh(3 * (bent[:, None] - view.thresholds)).ravel()]
    features = np.concatenate(features)
    rows = [offset + code for offset, code in zip(plan.offsets[:-1], codes, strict=True)]
    missing = [i for i, slot in enumerate(plan.flags) if np.isnan(numbers[slot])]
    hidden = []
    for part in [*plan.layers, plan.readout]:
        seen = np.concatenate([features[part.start : part.stop], *[hidden[e] for e in part.earlier]])
        a = seen @ np.concatenate([part.weight, part.onto]) + part.bias + part.codes[rows].sum(0) + part.flags[missing].sum(0)
        hidden.append(np.maximum(a, 0))
    return a


def test_the_plan_of_every_table_is_the_network(case, prepared):
    from netloom.export.plan import make_plan

    plan = make_plan(case.network)
    found = np.array([outputs_of(plan, numbers, codes) for numbers, codes in zip(*prepared(case), strict=True)])
    if case.network.classes is not None:
        found = np.concatenate([np.zeros_like(found), found], axis=1) if found.shape[1] == 1 else found
        found = np.exp(found - found.max(1, keepdims=True))
        found /= found.sum(1, keepdims=True)
    np.testing.assert_allclose(found, case.expected(), rtol=1e-5, atol=1e-6 * np.abs(case.expected()).max())


def test_one_row_is_what_the_table_gives(case):
    """`predict_row` has its own plan: the same numbers for every table and row."""
    found = np.array([case.network.predict_row(row) for row in case.rows]).reshape(len(case.rows), -1)
    np.testing.assert_allclose(found, case.expected(), rtol=1e-5, atol=1e-6 * np.abs(case.expected()).max())
