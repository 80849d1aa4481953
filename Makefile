# One environment, of the very files that requirements-dev.txt names by their sha256.
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin

# Hundreds of processes start in the tests; what one has compiled is kept for the others.
unexport PYTHONDONTWRITEBYTECODE

FRAMEWORKS := tensorflow flax paddle

# Versions and sha256 of every package, for every system, of which only lists are read.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-strip-extras \
	--custom-compile-command 'make lock' pyproject.toml

# So many packages are unpacked at once; those of one name to begin with hold files in common, so one after another.
PARTS := 4
IN_ONE := mlflow

LINTERS := ruff mypy imports spelling

.PHONY: demo test nightly lint $(LINTERS) site check frameworks lock clean

demo: $(VENV)/.installed
	$(BIN)/ban-gate demo

test: $(VENV)/.installed
	$(BIN)/pytest --numprocesses 2 --dist worksteal

# What takes longer than every change can wait for.
nightly: $(VENV)/.installed
	$(BIN)/pytest --numprocesses 2 --dist worksteal -m nightly

lint: $(LINTERS)

ruff: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

mypy: $(VENV)/.installed
	$(BIN)/mypy

imports: $(VENV)/.installed
	$(BIN)/lint-imports

spelling: $(VENV)/.installed
	$(BIN)/codespell

# The documentation as web pages, in site/; a warning is an error.
site: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

check: lint site test

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

$(VENV)/.installed: pyproject.toml requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	awk '/^[a-z]/ {part = /^$(IN_ONE)/ ? 0 : count++ % $(PARTS)} {print > "$(VENV)/part-" part + 0 ".txt"}' \
		requirements-dev.txt
	ls $(VENV)/part-*.txt | xargs -P $(PARTS) -I{} \
		$(BIN)/pip install --quiet --require-hashes --no-compile --no-deps --requirement {}
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# The newest versions that pyproject.toml allows, or those that stand in the files: UPGRADE=--upgrade.
lock:
	$(LOCK) $(UPGRADE) --extra dev --output-file requirements-dev.txt
	$(LOCK) --constraint requirements-dev.txt --output-file requirements.txt

clean:
	rm -rf $(VENV) .venv-* build dist site *.egg-info
