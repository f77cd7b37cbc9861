# Each target makes .venv by itself, from Python >= 3.11 alone, with the exact versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
DEMO := $(VENV)/.demo
DEMO_EXTRAS := demo,serve
export PIP_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test check format bench clean

help:
	@echo "make demo    name real photographs and find them by words: a first look, with no network once installed"
	@echo "             make demo PHOTOS=~/Pictures LABELS=\"dog,cat\" SEARCH=\"two dogs,snow\" for your own"
	@echo "make test    run the tests"
	@echo "make check   format, lint, types and tests, as CI does"
	@echo "make format  mend what the formatter and the linter can"
	@echo "make bench   measure beside the peers, each in an environment of its own (downloads several GB)"
	@echo "make clean   delete what these made"

# $(call install,EXTRA)
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Diptych needs Python 3.11 or newer, and $(PYTHON) is older: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Installing into $(VENV), the first time only: most of it is the download of torch, which takes a minute or two"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --editable ".[$(1)]"
	@touch $@
endef

$(INSTALLED): pyproject.toml constraints.txt
	$(call install,dev)

$(DEMO): pyproject.toml constraints.txt Makefile
	$(call install,$(DEMO_EXTRAS))

# By the environment, so that the shell takes what is in them as it is.
export PHOTOS LABELS SEARCH
demo: $(DEMO)
	@$(VENV)/bin/diptych demo $${LABELS:+--labels="$$LABELS"} $${SEARCH:+--search="$$SEARCH"} $${PHOTOS:+-- "$$PHOTOS"}

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
