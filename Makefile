# Two commands do all set-up on a fresh machine: `make demo` and `make test`. Only Python 3.11, git, make and a C
# compiler are needed; everything is written below this folder, but for pip's cache and what the tests install: packages of
# Slurm and chromium, and the script of seff in /var/tmp.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
LOCKS := requirements/cpu.txt requirements/dev.txt requirements/torch-hashes.txt requirements/install.py

.PHONY: help demo test test-all bench lint lock audit clean
.DEFAULT_GOAL := help

help:
	@echo "make demo      documents become a checked dataset on this machine, and what it cost"
	@echo "make test      the fast lane of the tests, in two processes"
	@echo "make test-all  every test; writes tests/long_lane.json"
	@echo "make bench     the figures that we promise: asked and measured"
	@echo "make lint      formatting, types, the direction of imports"
	@echo "make lock      write the lock files anew after a change of pyproject.toml"
	@echo "make audit     known holes in the locked packages (asks an advisory database)"
	@echo "make clean     remove the environment and the tools' caches; runs and cache/ stay"

$(READY): $(LOCKS)
	@echo "environment: $(VENV) from the lock files (once)" >&2
	$(PYTHON) requirements/install.py $(VENV)
	@touch $@

demo: $(READY)
	$(BIN)/python -m demo

test: $(READY)
	$(BIN)/python -m demo prepare
	$(BIN)/python -m pytest -n 2

test-all: $(READY)
	$(BIN)/python -m demo prepare
	$(BIN)/python -m pytest --lane=all

bench: $(READY)
	$(BIN)/python -m benchmarks

lint: $(READY)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: $(READY)
	$(BIN)/python requirements/lock.py

audit: $(READY)
	$(BIN)/pip-audit --disable-pip --no-deps -r requirements/cpu.txt -r requirements/dev.txt

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
