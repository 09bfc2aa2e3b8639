"""One thread for every test: fast on small machines, and the same numbers everywhere."""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # read when numpy and torch are first imported
    os.environ[name] = "1"
