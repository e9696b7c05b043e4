# One venv, made from the pinned constraints; every target is safe to run again.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# The demo, the tests and the benchmarks need no model hub; the web studio may download models.
demo test test-fast test-isa mutants bench campaign: export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

.DEFAULT_GOAL := help
.PHONY: help install dev demo test test-fast test-isa mutants check docs format bench card audit campaign app clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

# torch comes first and through pip alone: from the ordinary index a GPU machine gets its CUDA build by the same pin.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "Python 3.11, 3.12 or 3.13 is needed (make PYTHON=python3.12 ...), found " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (once, a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch 2>&1 | grep -v '^WARNING: Location' || true
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable . 2>&1 | grep -v '^WARNING: Location' || true
	@$(BIN)/python -c 'import torch, transformers, trl, studio' 
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]' 2>&1 | grep -v '^WARNING: Location' || true
	@$(BIN)/python -c 'import pytest'
	@$(BIN)/studio exporters install compress >/dev/null || echo 'without the exporter compress its tests are skipped' >&2
	@test -x /usr/bin/chromium || { echo 'installing chromium for the browser tests ...'; apt-get update -qq && apt-get install -qq -y chromium >/dev/null; } || \
		echo 'no /usr/bin/chromium: the browser tests will be skipped' >&2
	@touch $@

install: $(VENV)/.installed ## install the studio into .venv

dev: $(VENV)/.dev ## install it with what tests and checks need

demo: install ## the main job: data, training, evidence, merged model, verified GGUF
	@$(BIN)/studio demo

app: install ## the web studio
	@$(BIN)/studio ui

test: dev ## all tests, in parts side by side
	@$(BIN)/python -m tests.parallel

test-fast: dev ## the tests that load no torch and open no browser: about two minutes
	@$(BIN)/python -m pytest --fast

test-isa: dev ## the numeric tests with every instruction set the processor has, and with one and two threads
	@$(BIN)/python -m tests.isa

mutants: dev ## put one-line faults into a copy of the code; a test has to notice each
	@$(BIN)/python -m tests.mutants

check: dev ## format, lint, types, import contracts
	@$(BIN)/ruff format --check studio tests bench
	@$(BIN)/ruff check studio tests bench
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory docs

docs: dev ## the documentation site, into build/docs; a broken link or reference is an error
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -b html docs build/docs

format: dev ## put the code in form
	@$(BIN)/ruff format studio tests bench
	@$(BIN)/ruff check --fix studio tests bench

bench: dev ## measure speed and memory, as ratios against a peer in the same run
	@missed=; for file in bench/*.py; do echo "== $$file"; $(BIN)/python $$file || missed="$$missed $$file"; done; \
		test -z "$$missed" || { echo "missed a target:$$missed" >&2; exit 1; }

card: $(if $(PRETEND),dev,install) ## measure the studio on this machine's GPU, in ten minutes; writes bench/results/card-<name>.json (OUT=..., PARTS=..., PRETEND=1)
	@PYTHON=$(BIN)/python bash bench/first_card.sh $(or $(OUT),build/card) $(if $(PARTS),--parts $(PARTS)) $(if $(PRETEND),--pretend)

audit: ## look up the pinned packages in the database of known vulnerabilities (needs a network)
	@.ci/audit

campaign: $(VENV)/.dev ## faults on purpose for 30 minutes (SECONDS=..., SEED=...): damaged files and failing writes; writes bench/results/campaign.json
	$(BIN)/python -m tests.campaign --seconds $(or $(SECONDS),1800) --seed $(or $(SEED),1)

clean: ## remove the venv and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .import_linter_cache build *.egg-info
