# Needs Python 3.11 with venv, and make. Everything is installed into .venv, in the versions of constraints.txt.
#
#   make serve                          caption sounds on http://127.0.0.1:8000 (HOST=, PORT= and SERVE_FLAGS= change it)
#   make test                           run the tests; fails below 95 % coverage of app and models
#   make test-laion                     compare our reading of LAION's checkpoints with laion-clap's own, in .venv-laion (6 GB)
#   make check                          ruff, mypy in strict mode, import contracts, and what `make docs` does
#   make docs                           build the documentation into site/; a warning is an error
#   make setup                          only install
#   make serve TORCH_INDEX=URL          take torch from another package index, such as PyTorch's own of CPU builds

PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
HOST ?= 127.0.0.1
PORT ?= 8000
SERVE_FLAGS ?=
TORCH_INDEX ?=
PYTEST_FLAGS ?=

BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
PINS := pyproject.toml constraints.txt

.DELETE_ON_ERROR:
.PHONY: help setup serve test test-laion check docs format clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

setup: .venv/dev.stamp

serve: .venv/serve.stamp
	$(BIN)/diffusion-link serve --host $(HOST) --port $(PORT) $(SERVE_FLAGS)

test: .venv/dev.stamp
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest --cov --cov-report=term $(PYTEST_FLAGS)
	@for package in app models; do \
		printf 'coverage of %s, in %%: ' $$package; \
		$(BIN)/coverage report --include="$$package/*" --format=total || exit 1; \
	done

test-laion: .venv-laion/stamp
	HF_HUB_OFFLINE=1 .venv-laion/bin/python -m pytest --log-cli-level=INFO $(PYTEST_FLAGS) tests/models/test_clap_laion.py

check: .venv/dev.stamp docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy examples
	$(BIN)/mypy -p deploy.plain_image
	$(BIN)/lint-imports --no-logo

docs: .venv/dev.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: .venv/dev.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf .venv .venv-laion site

# What serving needs: not the linters, not the metrics of captions.
.venv/serve.stamp: .venv/build.stamp
	@echo "Installing the service into .venv (about a gigabyte on the first run) ..."
	$(if $(TORCH_INDEX),$(PIP_INSTALL) --no-deps --index-url $(TORCH_INDEX) torch)
	$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: .venv/serve.stamp
	@echo "Installing what tests and checks need into .venv ..."
	$(PIP_INSTALL) --no-build-isolation --editable '.[dev]'
	@touch $@

# laion-clap needs NumPy 1, and with it pins and an environment of its own; torch is PyPI's build.
.venv-laion/stamp: pyproject.toml constraints-laion.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing laion-clap and PyPI's torch into .venv-laion (6 GB) ..."
	$(PYTHON) -m venv .venv-laion
	.venv-laion/bin/python -m pip install --disable-pip-version-check --constraint constraints-laion.txt --editable '.[laion]' \
		beartype pytest
	@touch $@

# pip and setuptools first, in their pinned versions: the project is then built without a download of its own.
.venv/build.stamp: $(PINS)
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP_INSTALL) --quiet pip setuptools
	@touch $@
