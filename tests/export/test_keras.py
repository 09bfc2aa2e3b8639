"""The .keras file predicts as the network does, in a process that has Keras with the torch backend and nothing of netloom."""

import json
import os
import zipfile

import numpy as np
import pytest

from netloom.export import export

os.environ.setdefault("KERAS_BACKEND", "torch")  # what the exporter does
pytest.importorskip("keras")

ALONE = """
import glob, numpy as np, keras, torch
torch.set_num_threads(1)
for path in sorted(glob.glob("case*.keras")):
    model = keras.models.load_model(path)
    given = np.load(path[:-6] + ".npz")
    feeds = {one.name: given[one.name] for one in model.inputs}
    answers = keras.ops.convert_to_numpy(model(feeds))
    one = np.concatenate([keras.ops.convert_to_numpy(model({k: v[i : i + 1] for k, v in feeds.items()})) for i in range(3)])
    np.savez(path[:-6] + ".out.npz", answers=answers, one=one)
"""
QUICK = ["everything, 2 classes", "nothing varies"]


@pytest.mark.slow  # a minute: the runtime starts in a process of its own, where netloom is not
@pytest.mark.parametrize("names", [QUICK, None], ids=["two", "all"])
def test_keras_predicts_alone(all_cases, prepared, elsewhere, agrees, tmp_path, names):
    cases = {name: case for name, case in all_cases.items() if names is None or case.name in names}
    for name, case in cases.items():
        export(case.network, tmp_path / f"{name}.keras")
        document = json.loads(zipfile.ZipFile(tmp_path / f"{name}.keras").read("netloom.json"))
        assert document["schema"] == case.network.schema.to_json() and document["metrics"] == case.network.metrics
        numbers, codes = prepared(case)
        numbers = np.where(np.isinf(numbers), numbers, np.clip(numbers, -3e38, 3e38))  # Keras reads 32 bits: docs/export.md
        np.savez(tmp_path / f"{name}.npz", numbers=numbers if numbers.shape[1] else np.zeros((len(numbers), 1)), codes=codes)
    elsewhere(ALONE, tmp_path, KERAS_BACKEND="torch")
    for name, case in cases.items():
        found = np.load(tmp_path / f"{name}.out.npz")
        agrees(found["answers"], case)
        np.testing.assert_allclose(found["one"], found["answers"][:3], rtol=1e-5, atol=1e-6)
