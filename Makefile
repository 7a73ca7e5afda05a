# make demo and make test are all a newcomer needs; both set up what is missing.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
.PHONY: help setup build demo demo-rooms serve test bench peers lint fuzz asan trace clean

VENV := .venv
PY := $(VENV)/bin/python
# The first interpreter that is new enough and can make a virtual environment.
FIND_PYTHON := for p in $${PYTHON:-} python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit; }; done; \
	echo "Python 3.11 or later with venv is needed" >&2; exit 1
COMPILED := $(shell find ext bench/load -name '*.pyx' -o -name '*.pxd')
FUZZ_SECONDS ?= 300

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: build ## virtual environment, dependencies and the compiled part; quick when nothing changed

build: build/.built ## compile what changed

build/.apt: deploy/apt-build.txt deploy/apt-test.txt
	@mkdir -p build
	@deploy/apt-install deploy/apt-build.txt deploy/apt-test.txt
	@touch $@

# The tools first, then roomtone itself as an editable install; compiling is the next step's.
$(VENV)/.installed: build/.apt pyproject.toml setup.py
	@test -x $(PY) || $$($(FIND_PYTHON)) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(PY) -m pip install --quiet --group dev
	@ROOMTONE_ONLY=none $(PY) -m pip install --quiet --no-build-isolation --editable .
	@touch $@

build/.built: $(VENV)/.installed $(COMPILED)
	@echo "compiling what changed (everything: about two minutes)"
	@flock build/.lock $(PY) setup.py --quiet build_ext --inplace
	@touch $@

demo: setup ## two calls, a conference and keys with real audio, checked and explained
	@$(PY) examples/demo.py

demo-rooms: setup ## a conference room over REST with webhooks, heard and checked
	@$(PY) examples/rooms.py

serve: setup ## the server with defaults on 127.0.0.1:9100
	@$(VENV)/bin/roomtone serve

# A hundred servers are started: their modules are compiled once, whatever the environment says.
test: setup ## every test
	@PYTHONDONTWRITEBYTECODE= $(PY) -m pytest --beside

bench: setup ## short benchmarks; bench/README.md explains the long ones
	@$(PY) -m pytest bench --benchmark-only

peers: setup ## install rtpengine and Janus, and try them: what `roomtone bench peers` compares with
	@deploy/apt-install deploy/apt-bench.txt
	@$(PY) -m pytest bench/peers

lint: setup ## style, types and the import rules
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" cython-lint ext bench/load
	@$(VENV)/bin/mypy -p roomtone.control -p roomtone.engine
	@PYTHONPATH=build/cyroot $(VENV)/bin/lint-imports --no-logo

fuzz: setup ## every fuzz target for FUZZ_SECONDS
	@for target in tests/fuzz/fuzz_*.py; do $(PY) $$target -max_total_time=$(FUZZ_SECONDS); done

# The other build flavours live in copies of the tree, so that they never stand where the release build is expected.
build/asan build/trace: setup
	@mkdir -p $@
	@git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --update -t $@
	@mkdir -p $@/build
	@cd $@ && ROOMTONE_FLAVOUR=$(notdir $@) ../../$(PY) setup.py --quiet build_ext --inplace

asan: build/asan ## the compiled part's tests under address and undefined-behaviour sanitizers
	@cd build/asan && LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 PYTHONMALLOC=malloc PYTHONPATH=build/cyroot \
	  ../../$(PY) -m pytest --capture=sys tests/ext tests/lab tests/behaviour

trace: build/trace ## line coverage inside the compiled part
	@$(PY) -m pip install --quiet coverage
	@cd build/trace && PYTHONPATH=build/cyroot ../../$(PY) -m coverage run --rcfile=/dev/null -m pytest tests/ext tests/lab tests/behaviour
	@cd build/trace && ../../$(PY) -m coverage report --rcfile=/dev/null

clean: ## remove what was built; the virtual environment stays
	@rm -rf build dist .mypy_cache .ruff_cache
	@find ext bench -name '*.so' -delete
.PHONY: build/asan build/trace
