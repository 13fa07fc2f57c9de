# Two commands matter: `make demo` and `make test`. Each sets up what it needs, once, and says so.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

BIN := $(CURDIR)/.venv/bin
ANALYSIS := $(CURDIR)/.venv-analysis/bin
CACHE := $(if $(filter /%,$(XDG_CACHE_HOME)),$(XDG_CACHE_HOME),$(HOME)/.cache)/capek
SETUP := scripts/setup/run.sh
# Not for set-up itself, which may have to make the environment afresh.
WITH_TOOLS := PATH="$(BIN):$$PATH"

# Where ape and forge find the compiler and anvil.
export SOLCX_BINARY_PATH := $(CACHE)/solc
export FOUNDRY_SOLC := $(CACHE)/solc/solc-v0.8.30
export FOUNDRY_DISABLE_NIGHTLY_WARNING := 1
# Processes that share cores must sleep, not spin, while they wait for each other; and the canonical profile's
# arithmetic (docs/protocol.md, section 5).
export OMP_WAIT_POLICY := passive
export GGML_CPU_TILED_MM := 0
ifdef PYTHON
export PYTHON
endif

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: demo
demo: ## the whole market on this machine: set up, publish, ask, verify, pay, punish
	@$(SETUP) runtime
	@$(WITH_TOOLS) "$(BIN)/agent" demo

.PHONY: test
test: ## every test: forge, agents (pytest), ape
	@$(SETUP) tests
	@$(WITH_TOOLS) "$(BIN)/python" -m scripts.setup.stages

.PHONY: setup
setup: ## what demo needs, without running it
	@$(SETUP) runtime

.PHONY: setup-tuning
setup-tuning: ## what tuning needs on top: PyTorch for the CPU, wasmtime
	@$(SETUP) tuning

.PHONY: setup-test
setup-test: ## what test needs, without running it
	@$(SETUP) tests

.PHONY: contracts
contracts: ## compile the contracts and write their ABI and bytecode to agents/chain/artifacts
	@$(SETUP) contracts
	@"$(BIN)/python" -m scripts.setup.export_artifacts

.PHONY: lint
lint: ## ruff, mypy, forge fmt, slither
	@$(SETUP) analysis
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/mypy"
	"$(BIN)/forge" fmt --check
	$(WITH_TOOLS) FOUNDRY_PROFILE=slither "$(ANALYSIS)/slither" . --config-file slither.config.json

	"$(BIN)/python" -m scripts.setup.triage --check

.PHONY: triage
triage: ## bring slither.db.json up to date; new findings wait there for a reason
	@$(SETUP) analysis
	@$(WITH_TOOLS) "$(BIN)/python" -m scripts.setup.triage

.PHONY: format
format: ## rewrite Python and Solidity in the house style
	@$(SETUP) tests
	"$(BIN)/ruff" check --fix .
	"$(BIN)/ruff" format .
	"$(BIN)/forge" fmt

.PHONY: fuzz
fuzz: ## hours: long invariant runs, then halmos
	@$(SETUP) analysis
	FOUNDRY_PROFILE=fuzz "$(BIN)/forge" test
	FOUNDRY_PROFILE=halmos "$(BIN)/forge" build --ast
	$(WITH_TOOLS) FOUNDRY_PROFILE=halmos "$(ANALYSIS)/halmos" --root . --forge-build-out build/halmos

.PHONY: gas
gas: ## measure what transactions cost, and write gas/snapshot.json
	@$(SETUP) tests
	@$(BIN)/python -m gas --write

.PHONY: bench
bench: ## measure, and write bench/results.json
	@$(SETUP) tests
	@$(WITH_TOOLS) "$(BIN)/python" -m bench

.PHONY: bench-rastic
bench-rastic: ## hours, resumable: how well cheating is caught (docs/rastic.md)
	@$(SETUP) tests
	@$(WITH_TOOLS) "$(BIN)/python" -m bench.rastic

.PHONY: lock
lock: ## resolve constraints*.txt again from pyproject.toml
	@$(SETUP) lock

.PHONY: env
env: ## variables for running ape and forge by hand (eval the output)
	@$(SETUP) env

.PHONY: clean
clean: ## remove what was built; keeps .venv, node_modules and the caches
	rm -rf build .build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv*' -not -path './node_modules/*' -prune -exec rm -rf {} +
