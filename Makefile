# The verbs of the project. `make demo` and `make test` need nothing done by hand before them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := requirements.lock

.DEFAULT_GOAL := help
.PHONY: help setup tools test-tools demo test lint types compiled unit bench lock clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(READY)  ## Create the virtual environment from the lock file

$(READY): $(LOCK) pyproject.toml serving/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else \
	  "error: kfp-edge needs Python 3.11, 3.12 or 3.13; set PYTHON=/path/to/one of them")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e serving -e .
	@touch $@

lock:  ## Resolve the lock file again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --group dev --no-emit-package kfp-edge-serving --output-file $(LOCK) pyproject.toml serving/pyproject.toml

clean:  ## Remove what make created, the virtual environment included
	rm -rf $(VENV) build .kfp-edge
