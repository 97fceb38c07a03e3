# SPDX-License-Identifier: Apache-2.0
# The one entry point for people and for CI. Steps that are up to date are skipped by their stamp in .make/.

SHELL := /bin/sh
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
PIP := $(PYTHON) -m pip --disable-pip-version-check
STAMPS := .make

# What compiled code is made from; a change of Python files alone needs no build (the install is editable).
BUILD_INPUTS := setup.py $(wildcard build_steps/*.py) $(wildcard bpf/*.c bpf/include/cloudfabric/*.h) \
	$(wildcard $(addprefix src/cloudfabric/_fastpath/*.,pyx pxd h c))

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

.PHONY: setup
setup: $(STAMPS)/venv ## Install what is missing: Debian packages, a virtual environment
	@:

.PHONY: build
build: $(STAMPS)/build ## Compile the BPF objects and the Cython extensions in place
	@:

.PHONY: demo
demo: build ## Set up, build, and show a fabric of two tenants on this machine
	@echo "demo: cloudfabric demo"
	@.venv/bin/cloudfabric demo

.PHONY: test
test: build $(STAMPS)/tox ## Set up, build, and run every gate and every test through tox
	@$(PYTHON) scripts/run_gates.py $(GATES)

.PHONY: bench
bench: build $(STAMPS)/bench ## Measure beside the peers; table here, JSON in benchmarks/results/latest.json
	@echo "bench: every suite runs its peer too; this takes some minutes"
	@mkdir -p benchmarks/results && rm -f benchmarks/results/latest.json
	@$(PYTHON) -m pytest benchmarks --benchmark-only --benchmark-disable-gc --benchmark-quiet \
		--benchmark-json=benchmarks/results/latest.json $(BENCH_ARGS); status=$$?; \
		$(PYTHON) scripts/benchmark_table.py benchmarks/results/latest.json; exit $$status

.PHONY: lint
lint: $(STAMPS)/tox ## Run the linters and the type checker only
	@$(PYTHON) scripts/run_gates.py lint types

.PHONY: dev
dev: $(STAMPS)/build ## Install the development tools into .venv too
	@echo "dev: installing test and lint tools into .venv"
	@$(PIP) install --quiet --no-build-isolation --editable '.[dev]'

.PHONY: clean
clean: ## Remove everything that was made, except benchmark results
	@echo "clean: environments, build products, stamps"
	@rm -rf .venv .tox .make build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	@rm -rf src/*.egg-info src/cloudfabric/_fastpath/*.so src/cloudfabric/_fastpath/verdicts.py src/cloudfabric/_bpf/*.bpf.o
	@find src tests benchmarks build_steps scripts -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/system: scripts/setup-debian.sh
	@mkdir -p $(STAMPS)
	@scripts/setup-debian.sh
	@touch $@

$(STAMPS)/venv: pyproject.toml scripts/find-python.sh | $(STAMPS)/system
	@python=$$(scripts/find-python.sh) && echo "setup: virtual environment .venv with $$python" && \
		{ [ -x $(PYTHON) ] || "$$python" -m venv .venv; }
	@echo "setup: build requirements (pip)"
	@$(PIP) install --quiet 'setuptools>=77' 'Cython>=3.1'
	@rm -f $(STAMPS)/build
	@touch $@

$(STAMPS)/build: $(BUILD_INPUTS) $(STAMPS)/venv
	@echo "build: BPF objects and Cython extensions, those whose sources changed"
	@$(PYTHON) setup.py --quiet build_generated build_ext --inplace
	@[ -e $@ ] || { echo "build: package and what it depends on (pip)"; \
		$(PIP) install --quiet --no-build-isolation --editable .; }
	@touch $@

$(STAMPS)/tox: $(STAMPS)/venv
	@echo "setup: tox"
	@$(PIP) install --quiet 'tox>=4.20'
	@touch $@

$(STAMPS)/bench: $(STAMPS)/build pyproject.toml
	@echo "setup: benchmark tools"
	@$(PIP) install --quiet --no-build-isolation --editable '.[bench]'
	@touch $@
