"""Rows unlike the training rows are named with their reasons; rows like them are not."""

import pandas as pd


def test_training_rows_are_like_themselves(make_network):
    network, table = make_network(n=1000)
    flagged = sum(map(bool, network.explain(table).unlike))
    assert flagged <= 0.01 * len(table)


def test_reasons(make_network):
    network, table = make_network()
    usual = table.iloc[[0]]
    rows = pd.concat([usual.assign(size=900.0), usual.assign(colour="purple"), usual.assign(size=30.0, weight=140.0), usual])
    out, level, odd, none = network.explain(rows).unlike
    assert out[0].startswith("size = 900, training had ") and level == ("colour = 'purple': not seen in training",)
    assert "odd combination" in odd[0] and ("size" in odd[0] or "weight" in odd[0]) and none == ()
