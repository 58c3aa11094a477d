# make bench: set up, then compare every matcher on the corpus we ship. make test: set up, then test.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --constraint constraints.txt
RUN ?= runs/mini-screener
MATCHERS ?= whisper,whisper:quick,clap:quick,two-tower:quick,hubert-ctc:quick,xgboost,lightgbm,ensemble
PLUGINS := $(sort $(wildcard plugins/*))
SOURCES := pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml)

.PHONY: bench test slow lint environment clean

bench: $(VENV)/.ready
	$(BIN)/audiomatch bench --matchers $(MATCHERS) --folds 3 --out $(RUN)

# One thread a process, and as many processes as cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

test: $(VENV)/.ready
	$(PYTEST)

slow: $(VENV)/.ready
	$(PYTEST) -m slow

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

environment: $(VENV)/.ready

# torch first and alone: a resolver that sees it beside other requests may take another build. Extras
# last: asked for by path they hide the distribution itself from others that need it.
$(VENV)/.ready: $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) torch
	$(INSTALL) hatchling editables --editable . $(addprefix --editable ,$(PLUGINS))
	$(INSTALL) 'audiomatch-toolkit[dev]' 'audiomatch-whisper[augment,lora,quickstart]' 'audiomatch-boosting[asr]' 'audiomatch-two-tower[quickstart]'
	touch $@

clean:
	rm -rf $(VENV) runs
