# Everything here needs Python 3.11 or newer, make and git, and installs into .venv. `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-all test-gpu bench lint format lock sbom vendor clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(STAMP) ## Install into .venv, in the versions of constraints.txt, checksums compared (two minutes, 2 GB)

# The lock holds the checksum of every file but torch's, whose files differ from device to device (.ci/lock says why).
$(STAMP): pyproject.toml constraints.txt locks/development.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "m2ib-audit needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": give another with PYTHON=, for example make setup PYTHON=python3.12")'
	@echo "Installing into $(VENV): two minutes or more, 2 GB" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes --no-deps --requirement locks/development.lock
	@$(PIP) install --constraint constraints.txt torch
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## Audit 24 phantoms with the embedded model; the last line is the page to open
	@$(BIN)/m2ib-audit demo --out demo

# Three workers keep two cores busy: a worker often waits for a disk, a browser or a process that its test started. Each
# takes a file at a time, in the order of tests/conftest.py.
test test-all: THREE_WORKERS := -n 3 --dist loadfile --no-loadscope-reorder
test: $(STAMP) ## Run the tests
	OMP_NUM_THREADS=1 $(BIN)/pytest $(THREE_WORKERS)

test-all: $(STAMP) ## Run the tests with the slow ones
	OMP_NUM_THREADS=1 $(BIN)/pytest $(THREE_WORKERS) -m 'not gpu'

test-gpu: $(STAMP) ## Run the tests that need a CUDA device
	$(BIN)/pytest -m gpu

bench: $(STAMP) ## Measure speed and memory into benchmarks/RESULTS.md (an hour on two cores; on an idle machine)
	$(BIN)/python -m benchmarks.bench_block_passes
	$(BIN)/python -m benchmarks.bench_reference
	$(BIN)/python -m benchmarks.bench_batch
	$(BIN)/python -m benchmarks.bench_run
	$(BIN)/python -m benchmarks.bench_memory
	$(BIN)/python -m benchmarks.bench_cohort_page

lint: $(STAMP) ## Run ruff, mypy --strict, the import contracts and hadolint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

format: $(STAMP) ## Bring the sources into ruff's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## Look up the checksums of the packages of constraints.txt again (needs the network)
	@.ci/lock

sbom: $(STAMP) ## Write the bill of materials (CycloneDX) to dist/, and docs/LICENSES.md
	$(BIN)/python .ci/supply.py sbom dist/sbom.cdx.json
	$(BIN)/python .ci/supply.py licences docs/LICENSES.md

vendor: ## Fetch the libraries of the pages from npm again (needs Node.js)
	@reports/assets/vendor/build.sh

clean: ## Remove .venv, the demo and every cache
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
