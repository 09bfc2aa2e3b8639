"""The torch module and the .pt2 file predict as the network does, in a process that has torch and nothing of netloom."""

import json

import numpy as np
import pytest
import torch

from netloom.export import export
from netloom.export.torch import METADATA, to_torch

ALONE = """
import glob, json, numpy as np, torch
torch.set_num_threads(1)
for path in sorted(glob.glob("case*.pt2")):
    extra = {"netloom.json": ""}
    module = torch.export.load(path, extra_files=extra).module()
    given = np.load(path[:-4] + ".npz")
    numbers, codes = torch.tensor(given["numbers"]), torch.tensor(given["codes"])
    with torch.no_grad():
        answers = module(numbers, codes)
        one = torch.cat([module(numbers[i : i + 1], codes[i : i + 1]) for i in range(3)])
    document = json.loads(extra["netloom.json"])
    np.savez(path[:-4] + ".out.npz", answers=answers, one=one, kind=document["kind"], columns=len(document["schema"]["columns"]))
"""
QUICK = ["everything, 7 classes", "only missing varies"]


def test_the_module_of_every_table_is_the_network(case, prepared, agrees):
    module = to_torch(case.network)
    numbers, codes = prepared(case)
    with torch.no_grad():
        agrees(module(torch.tensor(numbers), torch.tensor(codes)).numpy(), case)


@pytest.mark.slow  # a minute: the runtime starts in a process of its own, where netloom is not
@pytest.mark.parametrize("names", [QUICK, None], ids=["two", "all"])
def test_pt2_is_predicted_by_torch_alone(make, all_cases, prepared, elsewhere, agrees, tmp_path, names):
    cases = {name: case for name, case in all_cases.items() if names is None or case.name in names}
    for name, case in cases.items():
        export(case.network, tmp_path / f"{name}.pt2")
        numbers, codes = prepared(case)
        np.savez(tmp_path / f"{name}.npz", numbers=numbers, codes=codes)
    elsewhere(ALONE, tmp_path)
    for name, case in cases.items():
        found = np.load(tmp_path / f"{name}.out.npz")
        agrees(found["answers"], case)
        np.testing.assert_allclose(found["one"], found["answers"][:3], rtol=1e-5, atol=1e-6)
        assert found["kind"] == case.network.kind and found["columns"] == len(case.network.schema.columns)


def test_the_module_is_saved_and_loaded_without_netloom(make, prepared, elsewhere, tmp_path):
    case = make("everything, 2 classes")
    module = to_torch(case.network)
    numbers, codes = prepared(case)
    torch.save(module, tmp_path / "module.pt")
    torch.save({"numbers": torch.tensor(numbers), "codes": torch.tensor(codes)}, tmp_path / "rows.pt")
    program = """
import torch
module, rows = torch.load("module.pt", weights_only=False), torch.load("rows.pt")
torch.save(module(rows["numbers"], rows["codes"]).detach(), "out.pt")
"""
    elsewhere(program, tmp_path)
    np.testing.assert_allclose(torch.load(tmp_path / "out.pt"), case.expected(), atol=1e-5)


def test_the_module_can_be_trained_further(make, prepared):
    case = make("everything, value")
    module = to_torch(case.network)
    numbers, codes = (torch.tensor(x) for x in prepared(case))
    wanted = module(numbers, codes).detach() + 1.0
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        loss = (module(numbers, codes) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_schema_classes_and_scores_travel_with_it(make, tmp_path):
    case = make("everything, 7 classes")
    document = to_torch(case.network).meta["netloom"]
    export(case.network, tmp_path / "m.pt2")
    extra = {METADATA: ""}
    torch.export.load(tmp_path / "m.pt2", extra_files=extra)
    assert json.loads(extra[METADATA]) == json.loads(json.dumps(document))
    assert document["schema"] == case.network.schema.to_json() and document["metrics"] == case.network.metrics
    assert [entry["levels"] for entry in document["codes"]][0] == ["no", "yes"]
