# Daily commands. Each one sets up what it needs first; a second run starts at once.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# Where it is set, every process compiles what it imports again: 16 s of CPU for moto alone.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV := .venv
CHECK := .venv-check
BENCH := .venv-bench
KSERVE := .venv-kserve
BIN := $(VENV)/bin

# What the tests of a file share, a cloud at most, stays in one process.
BY_FILE := --numprocesses auto --dist loadfile

# An environment is ready when a stamp named after its requirements' content is there.
key = $(shell cat $(1) 2>/dev/null | cksum | cut -d' ' -f1)
READY := $(VENV)/.ready-$(call key,requirements/uv.txt requirements/dev.txt pyproject.toml)
CHECK_READY := $(CHECK)/.ready-$(call key,requirements/uv.txt requirements/check.txt)
BENCH_READY := $(BENCH)/.ready-$(call key,requirements/uv.txt requirements/bench.txt)
KSERVE_READY := $(KSERVE)/.ready-$(call key,requirements/uv.txt requirements/kserve.txt)

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

$(BENCH_READY):
	$(call install,$(BENCH),requirements/bench.txt)
	@touch $@

$(KSERVE_READY):
	$(call install,$(KSERVE),requirements/kserve.txt)
	@touch $@

##@ Every day

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(READY) ## Watch models survive the loss of their region, and come home (under 3 minutes)
	@$(BIN)/mldr demo

.PHONY: up
up: $(READY) ## Run two AWS regions on this machine from template.yaml (Ctrl-C stops them)
	@$(BIN)/mldr local up

.PHONY: test
test: lint types imports ## What must be green before a commit (under 15 minutes); `make test-all` is everything
	$(BIN)/pytest --numprocesses auto tests/unit tests/contract tests/functional tests/architecture \
	  --ignore tests/functional/crash --ignore tests/functional/localcloud
	@# These keep moto, or a whole cloud, for many tests: processes of their own keep other suites' moto apart.
	$(BIN)/pytest $(BY_FILE) tests/functional/localcloud
	$(BIN)/pytest -m "not long" tests/e2e

.PHONY: test-all
test-all: test crash e2e ## The same with a crash after each AWS call, and with the long stories end to end

.PHONY: crash
crash: $(READY) ## A crash after each AWS call of protect and failover, then redelivery
	$(BIN)/pytest --numprocesses auto --timeout 600 tests/functional/crash

.PHONY: chaos
chaos: $(READY) ## Random schedules of faults over two regions; `CHAOS_FLAGS="--from 10000 --minutes 30"`, `--replay SEED` or `--many`
	PYTHONPATH=layers/core:. $(BIN)/python -m tests.chaos $(CHAOS_FLAGS)

.PHONY: cloud
cloud: $(READY) ## The local cloud's own tests
	$(BIN)/pytest $(BY_FILE) tests/functional/localcloud

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

.PHONY: test-real
test-real: $(READY) ## The contracts on real servers: Ceph's S3, LocalStack's S3, DynamoDB Local
	@# Ceph comes by apt, so this needs Debian or Ubuntu and root or sudo; the rest goes under .mldr/real.
	$(BIN)/python -m localcloud.real install
	$(BIN)/pytest -rs tests/contract tests/real --servers radosgw,localstack,dynamodb-local

.PHONY: test-kserve
test-kserve: $(READY) $(KSERVE_READY) ## A failover onto KServe's own model server, asked over the Open Inference Protocol
	MLDR_KSERVE_PYTHON=$(abspath $(KSERVE))/bin/python $(BIN)/pytest tests/kserve

.PHONY: coverage
coverage: $(READY) ## What the tests reach; the layer must stay at 90 % or more
	$(BIN)/coverage erase
	$(BIN)/pytest --numprocesses auto --cov --cov-report= tests/unit tests/contract tests/functional
	$(BIN)/coverage report
	$(BIN)/coverage report --include='layers/core/mldr/*' --format=total --fail-under=90

# Ceph and restic come by apt, so these need Debian or Ubuntu and root or sudo.
.PHONY: bench
bench: $(READY) $(BENCH_READY) ## Copies against the peers, what they lose, and scale (half an hour); `BENCH_FLAGS=--resume` goes on
	$(BIN)/python -m bench $(BENCH_FLAGS)

.PHONY: bench-quick
bench-quick: $(READY) $(BENCH_READY) ## The same and snapshots, smaller and fewer, kept apart in .mldr/bench
	$(BIN)/python -m bench --quick $(BENCH_FLAGS)

.PHONY: bench-snapshots
bench-snapshots: $(READY) $(BENCH_READY) ## Snapshots of 100,000 files against restic and dvc
	$(BIN)/python -m bench snapshots $(BENCH_FLAGS)

.PHONY: bench-cpu
bench-cpu: $(READY) ## CPU time of one S3 request and of every function's cold start
	$(BIN)/python -m bench client cold_start

##@ Before a deployment

.PHONY: check
check: $(CHECK_READY) ## Template, state machines and `sam build`, in an environment of their own
	@$(CHECK)/bin/python tests/architecture/check_template.py

##@ House-keeping

.PHONY: lock
lock: $(READY) ## Pin requirements/*.txt again from requirements/*.in
	for name in layers/core/requirements requirements/uv requirements/dev requirements/check requirements/bench requirements/kserve; do \
	  $(BIN)/uv pip compile --quiet --upgrade --system-certs --universal --python-version 3.11 --generate-hashes --no-header \
	    --output-file $$name.txt $$name.in; \
	done
	$(BIN)/uv pip compile --quiet --upgrade --system-certs --python-version 3.13 --generate-hashes --no-header \
	  --output-file requirements/real.txt requirements/real.in

.PHONY: clean
clean: ## Remove everything that make has made
	rm -rf $(VENV) $(CHECK) $(BENCH) $(KSERVE) .mldr .aws-sam .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
