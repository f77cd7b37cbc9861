# Each target makes .venv by itself, from Python >= 3.11 alone, with the exact versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
export PIP_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help test check format bench clean

help:
	@echo "make test    run the tests"
	@echo "make check   format, lint, types and tests, as CI does"
	@echo "make format  mend what the formatter and the linter can"
	@echo "make bench   measure beside the peers, each in an environment of its own (downloads several GB)"
	@echo "make clean   delete what these made"

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Diptych needs Python 3.11 or newer, and $(PYTHON) is older: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Installing into $(VENV) (the first time only)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --editable ".[dev]"
	@touch $@

test: $(INSTALLED)
	$(VENV)/bin/python -m pytest -n auto --dist loadfile

check: $(INSTALLED)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(MAKE) test

format: $(INSTALLED)
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: $(INSTALLED)
	$(VENV)/bin/python bench/run.py

clean:
	rm -rf $(VENV) .bench .mypy_cache .pytest_cache .ruff_cache .hypothesis
