# SPDX-License-Identifier: GPL-3.0-or-later
#
# The commands of this repository. They need Python 3.11 or newer, make and a package index; everything else is installed
# into .venv and .cache inside the checkout. `make help` lists them.

# Any Python from 3.11 on: make PYTHON=/path/to/python3.13 test
PYTHON ?= python3
VENV   ?= .venv

SHELL := /bin/sh
BIN   := $(abspath $(VENV))/bin
PY    := $(BIN)/python
# Tools start each other by name (molecule ansible-playbook, ansible-lint ansible-galaxy): the ones of .venv come first.
# PYTHON is looked up before that, or it would be .venv's own Python the second time.
override PYTHON := $(or $(shell command -v $(PYTHON)),$(PYTHON))
export PATH := $(BIN):$(PATH)

.DEFAULT_GOAL := help

# Says what the target is doing, in the words of its help line.
say = @printf '\n== %s: %s\n' '$@' "$$(sed -n 's/^$@:.*\#\# //p' Makefile)"

.PHONY: help
help: ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

# --- what the other targets stand on ---------------------------------------------------------------------------------

.PHONY: python-version
python-version:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo 'This needs Python 3.11 or newer; "$(PYTHON)" is '"$$($(PYTHON) --version 2>&1 || true)."; \
	  echo 'Name another one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)'; exit 2; } >&2

.PHONY: venv-run
venv-run: python-version
	@$(PYTHON) tests/tools/make_venv.py $(VENV) run

.PHONY: venv
venv: python-version ## install the tools for development into .venv
	@$(PYTHON) tests/tools/make_venv.py $(VENV) dev

.PHONY: collections
collections: venv-run ## fetch kubernetes.core into .cache/collections
	@$(PY) tests/tools/fetch_collections.py .cache/collections

.PHONY: clean
clean: ## remove everything that was installed, downloaded or built here
	rm -rf .venv .cache .nox .ansible .mypy_cache .pytest_cache .ruff_cache .hypothesis sno-image_upgrade-*.tar.gz
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
