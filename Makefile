# Daily commands. Each one sets up what it needs first; a second run starts at once.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
CHECK := .venv-check
BIN := $(VENV)/bin

# An environment is ready when a stamp named after its requirements' content is there.
key = $(shell cat $(1) 2>/dev/null | cksum | cut -d' ' -f1)
READY := $(VENV)/.ready-$(call key,requirements/uv.txt requirements/dev.txt pyproject.toml)
CHECK_READY := $(CHECK)/.ready-$(call key,requirements/uv.txt requirements/check.txt)

# uv takes 4 s where pip takes 17 s; where uv cannot be had, pip does the same work.
PIP_FLAGS := --quiet --disable-pip-version-check --require-hashes
define install
	@echo "Setting up $(1) from $(2)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "mldr needs Python 3.11 or newer, this is $$($(PYTHON) -V): make PYTHON=python3.12 …" >&2; exit 1; }
	@rm -f $(1)/.ready-*
	@$(PYTHON) -m venv $(1)
	@{ $(1)/bin/pip install $(PIP_FLAGS) --only-binary :all: -r requirements/uv.txt \
	    && $(1)/bin/uv pip install --quiet --system-certs --python $(1)/bin/python --require-hashes -r $(2); } \
	  || { echo "uv did not do it; pip takes a little longer" >&2; $(1)/bin/pip install $(PIP_FLAGS) -r $(2); }
endef

$(READY):
	$(call install,$(VENV),requirements/dev.txt)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(CHECK_READY):
	$(call install,$(CHECK),requirements/check.txt)
	@touch $@

##@ Every day

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(READY) ## Watch a model survive the loss of its region (under 3 minutes)
	@$(BIN)/mldr demo

.PHONY: up
up: $(READY) ## Run two AWS regions on this machine from template.yaml (Ctrl-C stops them)
	@$(BIN)/mldr local up

.PHONY: test
test: lint types imports ## Everything that must be green before a commit (under 10 minutes)
	$(BIN)/pytest --numprocesses auto tests/unit tests/contract tests/functional tests/architecture \
	  --ignore tests/functional/crash --ignore tests/functional/localcloud
	@# These keep moto, or a whole cloud, for many tests: processes of their own keep other suites' moto apart.
	$(BIN)/pytest --numprocesses auto tests/functional/crash
	$(BIN)/pytest tests/functional/localcloud
	$(BIN)/pytest tests/e2e

.PHONY: crash
crash: $(READY) ## A crash after each AWS call of protect and failover, then redelivery
	$(BIN)/pytest --numprocesses auto tests/functional/crash

.PHONY: cloud
cloud: $(READY) ## The local cloud's own tests
	$(BIN)/pytest tests/functional/localcloud

.PHONY: fmt
fmt: $(READY) ## Format the code and fix what can be fixed by machine
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .

##@ One at a time

.PHONY: lint
lint: $(READY) ## Style and complexity
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(READY) ## Strict types
	$(BIN)/mypy

.PHONY: imports
imports: $(READY) ## Who may import whom
	PYTHONPATH=layers/core:. $(BIN)/lint-imports

.PHONY: unit
unit: $(READY) ## The quick tests: no server, no process
	$(BIN)/pytest --numprocesses auto tests/unit tests/architecture

.PHONY: e2e
e2e: $(READY) ## The whole slice on the local cloud
	$(BIN)/pytest tests/e2e

.PHONY: coverage
coverage: $(READY) ## What the tests reach; the layer must stay at 90 % or more
	$(BIN)/coverage erase
	$(BIN)/pytest --numprocesses auto --cov --cov-report= tests/unit tests/contract tests/functional
	$(BIN)/coverage report
	$(BIN)/coverage report --include='layers/core/mldr/*' --format=total --fail-under=90

.PHONY: bench
bench: $(READY) ## Cold start and recovery time, measured here
	$(BIN)/python -m bench

##@ Before a deployment

.PHONY: check
check: $(CHECK_READY) ## Template, state machines and `sam build`, in an environment of their own
	@$(CHECK)/bin/python tests/architecture/check_template.py

##@ House-keeping

.PHONY: lock
lock: $(READY) ## Pin requirements/*.txt again from requirements/*.in
	for name in layers/core/requirements requirements/uv requirements/dev requirements/check; do \
	  $(BIN)/uv pip compile --quiet --upgrade --system-certs --universal --python-version 3.11 --generate-hashes --no-header \
	    --output-file $$name.txt $$name.in; \
	done

.PHONY: clean
clean: ## Remove everything that make has made
	rm -rf $(VENV) $(CHECK) .mldr .aws-sam .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
