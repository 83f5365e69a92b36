# weft's commands; `make help` lists them. Each builds the virtual environment it needs.
# Settable: PYTHON=/path/to/python3.x (used to make .venv), WORKERS=n (test processes),
# ARGS='...' (passed on to pytest, the demo, the examples or the benchmarks).

VENV := .venv
PY := $(VENV)/bin/python
WORKERS ?= 2
ARGS ?=

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo examples test lint types bench clean distclean

help:  ## list the commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

demo: $(VENV)/.demo  ## train the handwritten digits three ways, under a minute
	@echo "weft: training the digits three ways (examples/digits.py)"
	@$(PY) examples/digits.py $(ARGS)

examples: $(VENV)/.examples  ## run every example; each checks the result that it states
	@for example in examples/*.py; do \
	  echo "weft: $$example"; $(PY) $$example $(ARGS) || exit 1; done

test: $(VENV)/.test  ## run every test, and the examples in the docstrings
	@echo "weft: running the tests in $(WORKERS) processes"
	@KERAS_BACKEND=jax $(PY) -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

lint: $(VENV)/.test  ## check style with ruff
	@echo "weft: checking style (ruff)"
	@$(PY) -m ruff check .

types: $(VENV)/.test  ## check the engine's types with mypy
	@echo "weft: checking the engine's types (mypy)"
	@$(PY) -m mypy

bench: $(VENV)/.test  ## time weft beside hand-written JAX and the installed peers
	@echo "weft: running the benchmarks (python -m benchmarks)"
	@KERAS_BACKEND=jax $(PY) -m benchmarks $(ARGS)

clean:  ## remove caches and build outputs, keep .venv
	@echo "weft: removing caches and build outputs"
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -path ./$(VENV) -prune -o -type d -name __pycache__ -exec rm -rf {} +

distclean: clean  ## remove .venv too
	@echo "weft: removing $(VENV)"
	@rm -rf $(VENV)

# One environment; a stamp in it for each extra installed, renewed when pyproject.toml changes.
$(VENV)/.demo $(VENV)/.examples $(VENV)/.test: $(VENV)/.%: pyproject.toml $(VENV)/.made
	@echo "weft: installing what 'make $*' needs into $(VENV) (minutes, the first time)"
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

# An environment that works is kept as it is; a missing or broken one (its Python gone) is made anew.
ifneq ($(shell $(PY) -c 'print(1)' 2>/dev/null),1)
.PHONY: $(VENV)/.made
endif
$(VENV)/.made:
	@if $(PY) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  echo "weft: using the virtual environment in $(VENV)"; touch $@; exit 0; fi; \
	novenv=; \
	for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14 python); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  "$$python" -c 'import venv, ensurepip' 2>/dev/null || { novenv=$$python; continue; }; \
	  echo "weft: making the virtual environment $(VENV) with $$("$$python" --version)"; \
	  "$$python" -m venv --clear $(VENV) && touch $@ && exit 0; exit 1; \
	done; \
	if [ -n "$$novenv" ]; then \
	  echo "weft: $$novenv has no venv module; on Debian: apt install python3-venv" >&2; \
	else \
	  echo "weft needs Python 3.11 or newer; found $$($(or $(PYTHON),python3) --version 2>&1)." \
	    "Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; \
	fi; exit 1
