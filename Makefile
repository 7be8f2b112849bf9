# Every verb sets the environment up by itself; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# A version manager may leave names on PATH that do not run: try each. One that was built with optimisations comes first,
# as distributions' are and version managers' often not: all of this takes a fifth longer without.
OPTIMISED := import ensurepip, sys, sysconfig; \
  sys.exit(sys.prefix != "/usr" and "--enable-optimizations" not in sysconfig.get_config_var("CONFIG_ARGS"))
PYTHON = $(shell for asked in '$(OPTIMISED)' ''; do for v in 3.13 3.12 3.11; do for p in $$(type -ap python$$v); do \
  "$$p" -c "$$asked" 2>/dev/null && echo "$$p" && exit; done; done; done)
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
MLOPS := .venv/bin/mlops
# A progress bar for a person, nothing for a log.
QUIET := $(shell test -t 2 || echo --quiet)
export UV_PYTHON_DOWNLOADS := never
# Once here instead of at each first import: every process starts in half the time, also where Python may write none.
export UV_COMPILE_BYTECODE := 1

.PHONY: help setup up down clean demo test test-all truth test-statistics load soak bench docs lint lint-style lint-format lint-types lint-docs

help: ## List the verbs
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: .venv/.complete ## Make the environment (.venv) from the lock file

# Spark, oneDAL, the peers of the benchmarks, and a real log of 35 MB: over half a gigabyte that tests and benchmarks need.
.venv/.complete: groups :=
.venv/.peers: groups := --group spark --group bench --group data --group onedal
.venv/.complete .venv/.peers: uv.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: no Python 3.13, 3.12 or 3.11 on PATH; install one, e.g. python3.11" >&2; exit 2; }
	@test -x "$(UV)" || { echo "getting uv"; $(PYTHON) -m venv .uv && .uv/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'; }
	@echo "making .venv with $(PYTHON): $$(grep -c '^\[\[package\]\]' uv.lock) packages, about 2.3 GB on disk; the first time they are downloaded, which takes minutes"
	@$(UV) sync --frozen $(QUIET) --python "$(PYTHON)" $(groups)
	@touch .venv/.complete $@

up: setup ## Start PostgreSQL and Airflow on 127.0.0.1; Ctrl-C stops them
	@exec $(MLOPS) up

down: setup ## Stop what make up or make demo started
	@$(MLOPS) down

demo: setup ## Play the whole loop; ARGS=--yes approves for you, ORDERS=FILE FORMAT=… plays a file
	@exec $(MLOPS) demo $(if $(ORDERS),--orders "$(ORDERS)" --format "$(or $(FORMAT),canonical)") $(ARGS)

test: .venv/.peers ## Lint and run the tests
	@.ci/test

test-all: .venv/.peers ## Lint and run every test, the thorough ones too, which takes a third longer
	@TESTS=all .ci/test

truth: setup ## Hold the shipped models against five simulated shops' truth, play the story on three, and a real shop's year
	@TRUTH=full .venv/bin/python -m pytest -q -rP tests/truth

test-statistics: setup ## Play years without a change, and changes, and count what monitoring makes of them
	@STATISTICS=full .venv/bin/python -m pytest -q -rP tests/statistics

load: setup ## Ask the service of this machine as fast as it answers, for ten seconds; ARGS="--seconds 30 --connections 64"
	@.venv/bin/python -m benchmarks.http_load $(ARGS)

soak: setup ## Load the online service for ten minutes while all that it leans on comes and goes
	@SOAK=600 .venv/bin/python -m pytest -q -rP tests/integration/test_online_service_soak.py

bench: .venv/.peers ## Race this project against its peers; ARGS="--scale 0.1" for a tenth of the size
	@.venv/bin/python -W ignore -m benchmarks $(ARGS)

docs: setup ## Write what is generated in docs/: the picture of the rooms, the DAGs
	@.venv/bin/python -m docs.write

# What .pre-commit-config.yaml runs too: a check is added here, and there as one hook more.
lint: lint-style lint-format lint-types lint-docs ## Check all of the following
lint-style: setup ## Check style and import rules
	@.venv/bin/ruff check .
lint-format: setup ## Check the format
	@.venv/bin/ruff format --check .
lint-types: setup ## Check types
	@.venv/bin/mypy
lint-docs: setup ## Check that docs/ has what make docs would write
	@.venv/bin/python -m docs.write --check

clean: ## Stop this home and remove it, and the environment
	@if [ -x $(MLOPS) ]; then $(MLOPS) down; fi
	rm -rf .mlops .venv .uv .pytest_cache .ruff_cache .mypy_cache
