"""The same seed gives the same network: to the byte on one thread, up to rounding on two."""

import subprocess
import sys

import numpy as np
import pytest

CODE = """
import sys
threads = int(sys.argv[1])
import pandas as pd, torch
torch.set_num_threads(threads)
from netloom.loom.fit import fit
from netloom.tasks import Task
frame = pd.read_csv(sys.argv[2], parse_dates=["day"])
network = fit(Task.from_frame(frame[:40], target="y"), seed=3, families="cells")
network.save(sys.argv[3])
"""


@pytest.mark.slow
def test_a_seed_gives_one_network_on_one_and_two_threads(woven, tmp_path, monkeypatch):
    from dataclasses import replace

    import pandas as pd

    from netloom import TargetNetwork

    made = []
    for i, threads in enumerate((1, 1, 2)):
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            monkeypatch.setenv(name, str(threads))
        path = tmp_path / f"{i}.netloom"
        subprocess.run([sys.executable, "-c", CODE, str(threads), str(woven / "new.csv"), str(path)], check=True)
        network = TargetNetwork.load(path)
        made.append(replace(network, provenance={k: v for k, v in network.provenance.items() if k not in ("created", "seconds")}))
    frame = pd.read_csv(woven / "new.csv", parse_dates=["day"])
    first, same, two = (network.predict(frame) for network in made)
    np.testing.assert_array_equal(first, same)
    made[0].save(tmp_path / "a.netloom")
    made[1].save(tmp_path / "b.netloom")
    assert (tmp_path / "a.netloom").read_bytes() == (tmp_path / "b.netloom").read_bytes()
    assert made[0].schema == made[2].schema and made[0].weights.widths == made[2].weights.widths
    np.testing.assert_allclose(first, two, rtol=1e-4, atol=1e-3 * first.std())
