# make demo | test | fuzz | lint | bench | profile | clean.  The first call makes .venv; later ones start at once.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: demo test fuzz lint bench profile clean

VENV := .venv
BIN  := $(VENV)/bin
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
SUITE ?= $(firstword $(wildcard ../shared/suite))
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
unexport PYTHONDONTWRITEBYTECODE  # packages come uncompiled: without their bytecode kept, each process compiles torch for seconds

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no Python >= 3.11 with venv found; set PYTHON=/path/to/python3"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt setuptools
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/python examples/demo.py

test: $(VENV)/.installed
	@$(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist worksteal

fuzz: $(VENV)/.installed
	@NETLOOM_FUZZ_SECONDS=$(or $(SECONDS_OF_FUZZ),60) $(BIN)/python -m pytest tests/hostile/test_fuzz.py -m slow -s

lint: $(VENV)/.installed
	@$(BIN)/ruff check .
	@$(BIN)/mypy src

bench: $(VENV)/.installed
	@test -n "$(SUITE)" || { echo "no suite found: make bench SUITE=folder (with index.csv, classification/, regression/)"; exit 1; }
	@$(BIN)/python benchmarks/suite.py --suite $(SUITE)

profile: $(VENV)/.installed
	@$(BIN)/python benchmarks/profile_weave.py

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
