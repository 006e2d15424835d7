# The verbs of the project. `make demo` and `make test` need nothing done by hand before them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCKED := $(VENV)/.locked
READY := $(VENV)/.ready
LOCK := requirements.lock
WORKERS ?= 2

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.PHONY: help setup tools test-tools demo test lint types compiled unit images bench format docs lock clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(READY)  ## Create the virtual environment from the lock file

$(LOCKED): $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else \
	  "error: kfp-edge needs Python 3.11, 3.12 or 3.13; set PYTHON=/path/to/one of them")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "error: this Python cannot create virtual environments; install the package python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@touch $@

$(READY): $(LOCKED) pyproject.toml serving/pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e serving -e .
	@touch $@

tools:
	@scripts/install-tools buildah podman runc skopeo git

test-tools: tools
	@scripts/install-tools docker-registry qemu-aarch64-static:qemu-user-static

demo: setup tools  ## Run the whole line on data that the project generates
	$(BIN)/kfp-edge run edge_mlops

test: setup test-tools lint types compiled unit  ## Everything that CI checks

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# mypy does not see setuptools' mapping of the top-level folders, so it gets a tree laid out as installed
types: setup
	@rm -rf build/types && mkdir -p build/types && cp -rs $(CURDIR)/kfp_edge build/types/ && \
	  ln -s $(CURDIR)/components $(CURDIR)/pipelines build/types/kfp_edge/
	$(BIN)/mypy -p kfp_edge
	cd serving && ../$(BIN)/mypy --config-file ../pyproject.toml -p kfp_edge_serving

compiled: setup
	$(BIN)/kfp-edge compile --check
	$(BIN)/kfp-edge validate --strict --ignore KE001 compiled/*.yaml  # a release names its image by digest

unit: setup
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup

images: setup tools  ## Build the runtime and the serving image into build/images (BASE=... names another base)
	$(BIN)/python -m kfp_edge.images --output build/images $(if $(BASE),--base $(BASE))

bench: setup tools  ## Measure the line by stage, and the server beside its peers (half an hour)
	@mkdir -p build
	$(BIN)/python benchmarks/line.py | tee build/line.md
	$(BIN)/python benchmarks/serving/run.py | tee build/serving.md
	@cat build/line.md <(echo) build/serving.md > build/benchmarks.md && mv build/benchmarks.md docs/benchmarks.md

format: setup  ## Put the code into the project's format, and notebooks without their outputs
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/python tests/support/notebooks.py

docs: setup  ## Write the tables of parameters in the documents from the code
	$(BIN)/python -m kfp_edge.spec.reference_tables

lock:  ## Resolve the lock file again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --group dev --extra otlp --no-emit-package kfp-edge-serving --output-file $(LOCK) pyproject.toml serving/pyproject.toml

clean:  ## Remove what make created, the virtual environment included
	rm -rf $(VENV) build .kfp-edge
