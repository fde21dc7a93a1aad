# `make demo` goes from a clean clone to a verified design and its report; `make help` lists the rest.
PYTHON ?= python3.11
JOBS ?= 2
ENVS := $(if $(DWELL_ENVS),$(DWELL_ENVS),.envs)
DWELL := .venv/bin/dwell
DEMO := examples/vacancy
BUILD_PY := $(ENVS)/build/bin/python
PIP := .venv/bin/python -m pip --disable-pip-version-check --quiet
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: help install demo test test-fast test-all support-matrix finn-comparison lint bench clean

help:
	@printf '%s\n' \
	  'make demo       install, build examples/vacancy, run the loop, print the figures and where the report is' \
	  'make test       all tests but the slow ones' \
	  'make test-fast  the quick subset, under two minutes' \
	  'make test-all   every test' \
	  'make support-matrix  which layer goes exactly through which style, found anew' \
	  'make finn-comparison one network through finn, rtl and hls4ml bounds: the page, measured anew' \
	  'make lint       ruff, import-linter and mypy on the tree as it is' \
	  'make bench      the figures, measured' \
	  'make clean      remove what builds and tests leave; environments stay'

# The light core. Touched last, so that an interrupted install is done again.
.venv/dwell-installed: envs/core.txt pyproject.toml
	@$(PYTHON) -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || \
	  { echo "$(PYTHON) is not Python 3.11 or 3.12 with venv: apt install python3.11-venv, or set PYTHON"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(PIP) install --no-deps --requirement envs/core.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

install: .venv/dwell-installed
	for name in build qkeras finn board scope; do $(DWELL) env sync $$name; done

# Build the example, then let it run: a simulated microscope scans, the simulated board decides, the host acts.
demo:
	@start=$$(date +%s); \
	$(MAKE) --no-print-directory install; \
	installed=$$(date +%s); \
	$(DWELL) build $(DEMO) --jobs $(JOBS); \
	if ! grep -qs '"stopped": ""' $(DEMO)/.dwell/runs/demo.json || [ $(DEMO)/.dwell/latest/convert -nt $(DEMO)/.dwell/runs/demo.json ]; then \
	  rm -f $(DEMO)/.dwell/runs/demo.*; \
	  $(DWELL) bridge $(DEMO) --board sim --out $(DEMO)/.dwell/runs/demo.h5; \
	fi; \
	$(BUILD_PY) bench/figures.py $(DEMO); \
	$(DWELL) report $(DEMO); \
	echo "install: $$((installed - start)) s, work: $$(($$(date +%s) - installed)) s"

test: install
	$(BUILD_PY) -m pytest -m "not slow" -n $(JOBS) --junitxml=build/junit.xml

test-fast: install
	$(BUILD_PY) -m pytest -m "fast and not slow" -n $(JOBS)

test-all: install
	$(BUILD_PY) -m pytest -n $(JOBS) --junitxml=build/junit.xml

# The tests also fail where the page says something else, which is no reason not to write it; the script ends with 1
# if a layer is wrong.
support-matrix: install
	-$(BUILD_PY) -m pytest tests/rtl/test_layer_matrix.py -k exact_or_refused -n $(JOBS)
	$(BUILD_PY) bench/support_matrix.py

# Ends with 1 if anything on the page is not exact.
finn-comparison: install
	$(BUILD_PY) bench/finn_comparison.py

lint: install
	$(BUILD_PY) -m ruff check .
	$(BUILD_PY) -m ruff format --check .
	$(ENVS)/build/bin/lint-imports
	$(BUILD_PY) -m mypy -p dwell

bench: demo
	$(BUILD_PY) bench/recall.py --project $(DEMO)
	$(BUILD_PY) bench/resources.py --design $(DEMO)/.dwell/latest/convert
	$(BUILD_PY) bench/simulation_speed.py $(DEMO)/.dwell/latest/convert
	$(BUILD_PY) bench/board.py $(DEMO)/.dwell/latest/convert
	$(BUILD_PY) bench/loop_latency.py $(DEMO)/.dwell/runs/demo.h5

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis examples/*/.dwell
	find . -name __pycache__ -not -path './.envs/*' -not -path './.venv/*' -prune -exec rm -rf {} +
