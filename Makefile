# The commands of the project. `make demo` and `make test` install what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCKED := $(VENV)/.locked
READY := $(VENV)/.ready
LOCK := requirements.lock
# Three workers keep two processors busy: tests wait for containers and servers.
WORKERS ?= 3

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
# The tests start hundreds of Python processes, which would all compile our modules again.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup tools unit-tools test-tools demo test lint types compiled unit all-tests test-cluster images \
  bench format docs lock clean

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

unit-tools:
	@scripts/install-tools git skopeo docker-registry mosquitto prometheus promtool:prometheus \
	  prometheus-alertmanager amtool:prometheus-alertmanager

test-tools: tools unit-tools
	@scripts/install-tools qemu-aarch64-static:qemu-user-static promtool:prometheus vmagent:victoria-metrics

demo: setup tools  ## Run the whole pipeline on data that the project generates
	$(BIN)/kfp-edge run edge_mlops

unit: setup unit-tools  ## Run the tests that need neither containers nor root (about two minutes)
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup -m 'not (containers or root or slow)'

test: setup test-tools lint types compiled all-tests  ## Run all checks and all tests, as CI does

lint: setup  ## Check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/proselint check $$(git ls-files '*.md')

# mypy does not know that setuptools maps the top-level folders into the package: it gets a tree laid out as installed
types: setup  ## Check types
	@rm -rf build/types && mkdir -p build/types && cp -rs $(CURDIR)/kfp_edge build/types/ && \
	  ln -s $(CURDIR)/components $(CURDIR)/pipelines build/types/kfp_edge/ && \
	  ln -s $(CURDIR)/deploy/gitops build/types/kfp_edge/gitops/template && \
	  ln -s $(CURDIR)/deploy/observability/hub build/types/kfp_edge/observability/hub/template && \
	  ln -s $(CURDIR)/deploy/observability/site build/types/kfp_edge/observability/site/template
	$(BIN)/mypy -p kfp_edge
	cd serving && ../$(BIN)/mypy --config-file ../pyproject.toml -p kfp_edge_serving

compiled: setup  ## Check that compiled/ is up to date and follows the rules
	$(BIN)/kfp-edge compile --check
	$(BIN)/kfp-edge validate --strict --ignore KE001 compiled/*.yaml  # only a release names its image by digest

all-tests: setup test-tools
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup

test-cluster: setup unit-tools  ## Test the cluster that kubectl points to (tests/cluster/README.md), for about half an hour
	$(BIN)/pytest tests/cluster -v -o log_cli=true -o log_cli_level=INFO

images: setup tools  ## Build the runtime image and the serving image into build/images (BASE=... chooses another base)
	$(BIN)/python -m kfp_edge.images --output build/images $(if $(BASE),--base $(BASE))

bench: setup tools unit-tools  ## Benchmark the pipeline by stage, the server against others, a fleet, and drift (an hour)
	@mkdir -p build
	$(BIN)/python benchmarks/pipeline.py | tee build/pipeline.md
	$(BIN)/python benchmarks/drift/run.py | tee build/drift.md && mv build/drift.md docs/benchmarks-drift.md
	$(BIN)/python benchmarks/fleet/run.py | tee build/fleet.md
	$(BIN)/python benchmarks/serving/run.py | tee build/serving.md
	@cat build/pipeline.md <(echo) build/fleet.md <(echo) build/serving.md > build/benchmarks.md && \
	  mv build/benchmarks.md docs/benchmarks.md

format: setup  ## Format the code, and strip the outputs from the notebooks
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	PYTHONPATH=tests $(BIN)/python -m support.notebooks

docs: setup  ## Write the tables of parameters in the documents from the code
	$(BIN)/python -m kfp_edge.spec.reference_tables

lock:  ## Update the lock file (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --group dev --extra otlp --extra mqtt --no-emit-package kfp-edge-serving --output-file $(LOCK) pyproject.toml serving/pyproject.toml

clean:  ## Remove all that make created, including the virtual environment
	rm -rf $(VENV) build .kfp-edge
