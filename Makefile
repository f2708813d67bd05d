# Every verb does its own set-up on a fresh machine with python3.11 (or newer) and make.
.PHONY: help quickstart test check bench docs engines test-hf test-otel clean

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

help:            ## say what can be made
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: .*## /  /'

quickstart: $(VENV)/.core   ## compile a support-triage program with the built-in baseline model and prove the gain
	@$(BIN)/outlast demo $(ARGS)
	@echo "  (here the command is $(BIN)/outlast; '. $(BIN)/activate' puts it on the path)"

test: $(VENV)/.dev   ## run every test
	@$(BIN)/outlast sandbox install pyodide || test -z "$$CI" # elsewhere its tests are skipped, and say why
	@$(BIN)/python tests/again.py -n 2 --durations=10 $(ARGS)

check: $(VENV)/.dev   ## format, lint, types, layers
	@$(BIN)/ruff format --check -q .
	@$(BIN)/ruff check -q .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

bench: $(VENV)/.dev .bench-venv/.ready   ## measure, against the peer in the same run
	@$(BIN)/python benchmarks --peer .bench-venv/bin/python $(ARGS)

engines:         ## hold each engine to the newest release of its library and to an older one (ARGS="lm15 llm==0.33")
	@PYTHON=$(PYTHON) tests/engines_matrix.sh $(ARGS)

test-hf:         ## hold local models to the newest transformers
	@PYTHON=$(PYTHON) tests/engines_matrix.sh transformers

test-otel:       ## send spans to a real MLflow and read them back (ARGS="mlflow phoenix" for both)
	@PYTHON=$(PYTHON) tests/otel_backends.sh $(ARGS)

docs: $(VENV)/.docs   ## build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:           ## remove what the other verbs made
	@rm -rf $(VENV) .bench-venv .peers-venv .engines-venvs .otel-venvs site quickstart .pytest_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "outlast needs Python 3.11 or newer (python3.11 was not found)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "outlast needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) -V`"; exit 1; }
	@echo "setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment (see above)"; exit 1; }

$(VENV)/.core: $(VENV)/bin/python pyproject.toml
	@echo "installing outlast and what it needs ..."
	@$(PIP) install -e . && touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	@echo "installing what the tests need ..."
	@$(PIP) install -e '.[dev]' && touch $@ $(VENV)/.core

$(VENV)/.docs: $(VENV)/bin/python pyproject.toml
	@echo "installing what the documentation needs ..."
	@$(PIP) install -e '.[docs]' && touch $@ $(VENV)/.core

.bench-venv/.ready:
	@echo "installing the peer (dspy) into .bench-venv ..."
	@$(PYTHON) -m venv .bench-venv && .bench-venv/bin/python -m pip --disable-pip-version-check --quiet install dspy && touch $@
