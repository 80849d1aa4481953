# One environment, made from the versions in constraints.txt that are known to work together.
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin

FRAMEWORKS := tensorflow flax paddle

.PHONY: demo test nightly lint check frameworks clean

demo: $(VENV)/.installed
	$(BIN)/ban-gate demo

test: $(VENV)/.installed
	$(BIN)/pytest --numprocesses 2 --dist worksteal

# What takes longer than every change can wait for.
nightly: $(VENV)/.installed
	$(BIN)/pytest --numprocesses 2 --dist worksteal -m nightly

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

check: lint test

# Environments for the frameworks that need one of their own, and the tests that need them.
frameworks: $(VENV)/.installed $(FRAMEWORKS:%=.venv-%/.installed)
	BAN_GATE_PYTHON_TENSORFLOW=$(CURDIR)/.venv-tensorflow/bin/python \
	BAN_GATE_PYTHON_FLAX=$(CURDIR)/.venv-flax/bin/python \
	BAN_GATE_PYTHON_PADDLE=$(CURDIR)/.venv-paddle/bin/python \
	$(BIN)/pytest -m "" tests/stages/export/test_frameworks.py $(FRAMEWORKS:%=tests/stages/export/test_%.py) tests/stages/export/test_keras.py

.venv-%/.installed: benchmarks/frameworks/%.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/pip install --quiet -r $<
	touch $@

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch torchvision
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info
