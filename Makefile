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
# pytest rewrites the assertions of every test, which takes longer than many of them: what it has compiled is kept,
# also where the caller's environment says that Python should not.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help

# Says what the target is doing, in the words of its help line.
say = @printf '\n== %s: %s\n' '$@' "$$(sed -n 's/^$@:.*\#\# //p' Makefile)"

.PHONY: help
help: ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' Makefile

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

.PHONY: system-packages
system-packages: venv ## get ostree and docker-registry, where apt-get can
	@$(PY) tests/tools/system_packages.py

# --- see it run ------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: venv-run collections ## take a simulated fleet of 24 clusters through an upgrade
	$(say)
	@$(PY) tests/tools/demo.py

.PHONY: bench
bench: venv collections ## measure cost per cluster against other clients, and a sliding window against batches
	$(say)
	@$(PY) tests/bench/bench.py

.PHONY: bench-hub
bench-hub: venv collections ## measure thousands of clusters in one group upgrade
	$(say)
	@$(PY) tests/bench/hub.py

.PHONY: bench-preflight
bench-preflight: venv collections ## measure the check of a thousand clusters, some of which do not answer
	$(say)
	@$(PY) tests/bench/preflight.py

# --- tests -----------------------------------------------------------------------------------------------------------

.PHONY: test
test: venv collections system-packages ## run every test: the parts below, two at a time (JOBS=1: one after the other)
	@$(PY) tests/tools/run_parts.py --jobs $(JOBS) $(PARTS)

# From the begin those that use two processes, from the end those that use one: see run_parts.py.
PARTS := playbooks contract molecule eda awx docs unit oldest module-runs build lint sanity
JOBS  := 2
PYTEST = $(PY) -m pytest

# All of them run even if one fails: lint shows everything there is to correct.
LINT = lint-python lint-types lint-yaml lint-ansible lint-roles lint-licences lint-changelog lint-extra

.PHONY: lint
lint: venv collections ## check style, types, YAML, Ansible content, roles, licences, changelog
	$(say)
	@$(MAKE) --no-print-directory --keep-going $(LINT)
	@echo 'lint: passed'

.PHONY: $(LINT)
$(LINT): venv collections
lint-python:
	ruff check .
	ruff format --check --quiet .
lint-types:
	mypy
lint-yaml:
	yamllint --strict .
# Without an inventory no play finds its hosts, which is an error with the checkout's ansible.cfg.
lint-ansible:
	ANSIBLE_HOST_PATTERN_MISMATCH=warning $(PY) tests/tools/warm_path.py ansible-lint -q --nocolor
lint-roles:
	@$(PY) tests/tools/check_roles.py
lint-licences:
	@$(PY) tests/tools/check_licenses.py
lint-changelog:
	antsibull-changelog lint
lint-extra:
	nox --session extra-checks

.PHONY: format
format: venv ## rewrite the Python files in the one format
	$(say)
	ruff check --fix-only .
	ruff format .

# Of ansible-test's own list only "pslint" and "validate-modules" of PowerShell do not run, for want of pwsh: there is no
# PowerShell here.
.PHONY: sanity
sanity: venv collections ## run ansible-test sanity on a copy of the collection
	$(say)
	@$(PY) tests/tools/run_ansible_test.py sanity --requirements --color no
	@echo 'sanity: passed'

.PHONY: unit
unit: venv collections ## run the unit tests
	$(say)
	$(PYTEST) tests/unit $(wildcard tests/sim/tests)

.PHONY: kubeapi
kubeapi: venv ## build the API server that the contract tests start, into .cache/kubeapi
	@PYTHONPATH=tests/kubeapi $(PY) -m kubeapi build

.PHONY: contract
contract: venv collections kubeapi system-packages ## run against real servers: the simulator's contract, the CRDs, whole upgrades
	$(say)
	$(PYTEST) -n 2 --dist loadfile tests/contract tests/differential tests/kubeapi/tests tests/registry

.PHONY: playbooks
playbooks: venv collections ## run the playbooks against simulated fleets
	$(say)
	$(PYTEST) -n 2 --dist worksteal tests/playbooks

.PHONY: eda
eda: venv collections ## run the event source and the rulebooks under ansible-rulebook
	$(say)
	$(PYTEST) tests/eda

.PHONY: awx
awx: venv collections ## load the objects of awx/ and run jobs as AWX does
	$(say)
	$(PY) tests/tools/warm_path.py $(PYTEST) tests/awx

.PHONY: module-runs
module-runs: venv collections ## run the modules through Ansible (pytest-ansible)
	$(say)
	ANSIBLE_COLLECTIONS_PATH='$(CURDIR)/.collections:$(CURDIR)/.cache/collections' \
	  ANSIBLE_DEPRECATION_WARNINGS=false \
	  $(PYTEST) -p pytest_ansible.plugin --ansible-unit-inject-only -W ignore::DeprecationWarning tests/module_runs

.PHONY: molecule
molecule: venv collections ## run the molecule scenarios, one per role (SCENARIO=name for one)
	$(say)
	@$(PY) tests/tools/run_molecule.py $(SCENARIO)

.PHONY: matrix
matrix: venv collections ## run the unit tests on every supported Python and ansible-core found here (SANITY=1: and ansible-test)
	$(say)
	nox --session matrix $(if $(SANITY),-- sanity)

.PHONY: oldest
oldest: venv collections ## run the unit tests on the oldest ansible-core and kubernetes.core, where there is a Python for it
	$(say)
	nox --session oldest

# --- documentation ---------------------------------------------------------------------------------------------------

.PHONY: site
site: venv collections ## build the documentation into .cache/site
	$(say)
	@$(PY) tests/tools/build_docs.py

.PHONY: docs
docs: site ## build the documentation, and check and run the examples in it
	$(say)
	$(PYTEST) tests/docs

# --- release ---------------------------------------------------------------------------------------------------------

.PHONY: build
build: venv collections release-tools ## build the tarball, install it elsewhere and try it there; ansible-builder on it
	$(say)
	@$(PY) tests/tools/try_build.py
	@$(PY) tests/tools/try_ee.py

.PHONY: release-tools
release-tools: python-version
	@$(PYTHON) tests/tools/make_venv.py .cache/release-tools release

.PHONY: release
release: venv collections release-tools ## make a release of what is committed, and try it (VERSION=x.y.z: it must be this one)
	$(say)
	@$(PY) tests/tools/release.py --version '$(VERSION)'

.PHONY: clean
clean: ## remove everything that was installed, downloaded or built here
	rm -rf .venv .cache .nox .ansible .mypy_cache .pytest_cache .ruff_cache .hypothesis sno-image_upgrade-*.tar.gz
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
