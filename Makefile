# Every target calls a small script in tools/, which can also be called by hand.

# docker, or embedded: the Postgres 16 that a Python wheel carries
ENGINE ?= docker
# the Postgres image: a tag, a mirror's name or a digest
IMAGE ?= postgres:16-alpine
# auto: assemble an image where no registry answers; never: fail then
OFFLINE_IMAGE ?= auto
# auto: start from a cached, migrated data directory; off: initialise and migrate each time
SNAPSHOT ?= auto
# 1: the embedded server listens on a free port of 127.0.0.1, for what can't use a Unix socket
EMBEDDED_TCP ?= 0
# 1: where a run fails, its database stays for TTL_HOURS, and its URL is printed; make db-down removes it
KEEP ?= 0
# 1: say on stderr where the time goes, a line a stage
TIMINGS ?=
# a whole number: the same seed gives the same run; empty: a new one, which is printed
SEED ?=
# how thorough: quick, default, thorough, or what another simulation knows; empty: its default
PROFILE ?=
# how many runs of the state machine; empty: what the profile says
EXAMPLES ?=
# one shard of the simulation alone, by its number, as a failure's replay line says
SHARD ?=
# which faults strike in a simulation: off, some, or all: also those that strike the whole server
FAULTS ?= all
# how many processes take the simulation's shards, which changes nothing else; empty: the cores, at most 8
WORKERS ?=
# how long a failing example is made smaller, in seconds
SHRINK_SECONDS ?= 30
# which shards `make search` runs: a-b, from 0; empty: without end
SHARDS ?=
# after how many minutes `make search` starts no more shards; empty: when all have been run
MINUTES ?=
# i/n: `make search` takes each n-th shard from the i-th on; empty: all
SHARE ?=
# the name of a search's folder in .pgdst/search; empty: seed-SEED
NAME ?=
# the folder of a search, wherever it is; empty: by NAME
TO ?=
# the folder from which `make fetch-failures` takes failures
FROM ?=
# how many seeds `make check-determinism` runs, in four conditions each
SEEDS ?= 20
# arguments for pytest
ARGS ?=
# hours after which a database of db-up removes itself
TTL_HOURS ?= 12
# MiB of memory for the data of a server
DISK_MIB ?= 1024
# the host under which the Docker daemon's published ports are reached; empty: found out, and published where needed
PUBLISHED_HOST ?=
# the port of `make serve`
PORT ?= 8000
# the Python that makes the virtual environment, 3.11 or newer
PYTHON ?= python3

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules

# By their values as they are: what a knob says is expanded neither by make nor by a shell, but for ARGS.
export PGDST_ENGINE = $(value ENGINE)
export PGDST_IMAGE = $(value IMAGE)
export PGDST_OFFLINE_IMAGE = $(value OFFLINE_IMAGE)
export PGDST_SNAPSHOT = $(value SNAPSHOT)
export PGDST_EMBEDDED_TCP = $(value EMBEDDED_TCP)
export PGDST_KEEP = $(value KEEP)
export PGDST_TIMINGS = $(value TIMINGS)
export PGDST_SEED = $(value SEED)
export PGDST_PROFILE = $(value PROFILE)
export PGDST_EXAMPLES = $(value EXAMPLES)
export PGDST_SHARD = $(value SHARD)
export PGDST_FAULTS = $(value FAULTS)
export PGDST_WORKERS = $(value WORKERS)
export PGDST_SHRINK_SECONDS = $(value SHRINK_SECONDS)
export PGDST_TTL_HOURS = $(value TTL_HOURS)
export PGDST_DISK_MIB = $(value DISK_MIB)
export PGDST_PUBLISHED_HOST = $(value PUBLISHED_HOST)
export PGDST_SEEDS = $(value SEEDS)
export PGDST_SHARDS = $(value SHARDS)
export PGDST_MINUTES = $(value MINUTES)
export PGDST_SHARE = $(value SHARE)
export PGDST_NAME = $(value NAME)
export PGDST_TO = $(value TO)
export PGDST_FROM = $(value FROM)
export PGDST_PORT = $(value PORT)
export PGDST_BASE_PYTHON = $(value PYTHON)

unexport CDPATH PYTHONSAFEPATH # they would lead the scripts astray
# Or pytest would rewrite the assertions of all Hypothesis at each start, for most of a second. `make clean` removes it.
unexport PYTHONDONTWRITEBYTECODE
# Hypothesis's only plugin here is trio's, which comes with selenium: to import it takes a tenth of a worker's imports.
export HYPOTHESIS_NO_PLUGINS = 1

RUN := .venv/bin/python
STAMP := .venv/.complete
BENCH_STAMP := .venv-bench/.complete
LINT_STAMP := .venv-lint/.complete

##@ Simulation
.PHONY: test-dst
test-dst: $(STAMP) ##* Run the simulation on a throw-away Postgres 16
	@PGDST_CALLED_BY='make test-dst' tools/with_postgres.sh -- $(RUN) tools/run_simulation.py -- $(ARGS)

.PHONY: search
search: $(STAMP) ## Run shards for MINUTES, or SHARDS=a-b, go on after failures, and collect them in .pgdst/search
	@$(RUN) tools/search.py $(ARGS)

.PHONY: fetch-failures
fetch-failures: $(STAMP) ## Put failures of searches FROM a folder where `make test-dst` tries them first
	@$(RUN) tools/fetch_failures.py $(ARGS)

.PHONY: check-determinism
check-determinism: $(STAMP) ## Run seeds in four conditions, and print the first line in which two runs of one differ
	@$(RUN) tools/check_determinism.py $(ARGS)

##@ Database between runs
.PHONY: db-up
db-up: $(STAMP) ##* Start this checkout's database, migrate it, print its URL
	@$(RUN) tools/db_up.py

.PHONY: db-down
db-down: $(STAMP) ##* Remove this checkout's databases
	@$(RUN) tools/db_down.py

.PHONY: db-url
db-url: $(STAMP) ## Print the URL of the database that is up
	@$(RUN) tools/db_url.py

.PHONY: db-shell
db-shell: $(STAMP) ##* Open psql in it; ARGS go to psql
	@$(RUN) tools/db_shell.py -- $(ARGS)

.PHONY: migrate
migrate: $(STAMP) ## Bring it to the migrations' head and compare it with the models
	@$(RUN) tools/migrate.py

.PHONY: check-schema
check-schema: $(STAMP) ## Name what in the schema takes its value from the clock or from chance
	@tools/with_postgres.sh -- $(RUN) tools/check_schema.py

.PHONY: serve
serve: $(STAMP) ## Serve Deep Sci-Fi on 127.0.0.1:PORT from the database that is up
	@$(RUN) tools/serve.py

##@ Development
# Seed 1 unless told otherwise, and the quick profile: a gate judges the change and not the dice. `make test-dst` explores.
.PHONY: test
test: $(STAMP) ##* Run the tests of the kit and of the backend, but for long ones and planted bugs
	@$(RUN) -m pytest tools/tests -m "not alone and not long" -n 4 --dist=worksteal --durations=10 $(ARGS)
	@$(RUN) -m pytest tools/tests -m "alone and not long" --durations=5 $(ARGS)
	@tools/with_postgres.sh -- $(RUN) -m pytest -c platform/backend/pyproject.toml platform/backend/tests \
	-n 3 --dist=worksteal --pgdst-own-servers --durations=10 --pgdst-profile=quick --pgdst-seed="$${PGDST_SEED:-1}" $(ARGS)

.PHONY: test-all
test-all: $(LINT_STAMP) test test-planted-bugs ## Run all tests: also kills at any moment and planted faults of determinism
	@tools/tests/chromium.sh
	@$(RUN) -m pytest tools/tests -m long --durations=10 $(ARGS)

.PHONY: test-planted-bugs
test-planted-bugs: $(STAMP) ## See the simulation find each bug that is planted for it (17 minutes on two cores)
	@tools/with_postgres.sh -- $(RUN) -m pytest -c platform/backend/pyproject.toml platform/backend/tests/simulation_checks -m planted_bug -n 2 --durations=20 $(ARGS)

.PHONY: lint
lint: $(STAMP) $(LINT_STAMP) ## Check format, style, types, shell, workflows and manifests
	@tools/lint.sh

.PHONY: bench
bench: $(STAMP) $(BENCH_STAMP) ## Measure it beside what one would use instead; ARGS go to tools/bench.py
	@$(RUN) tools/bench.py $(ARGS)

.PHONY: doctor
doctor: $(STAMP) ##* Say whether this machine can run it, and what to do where it cannot
	@$(RUN) tools/doctor.py

.PHONY: clean
clean: ## Remove leftovers of dead runs, cached images, caches and the virtual environment
	@if [ -e $(STAMP) ]; then $(RUN) tools/sweep.py; fi
	@rm -rf .venv .venv-bench .venv-lint .mypy_cache .ruff_cache .hypothesis platform/backend/.hypothesis
	@find tools platform -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: venv
venv: $(STAMP) ## Make the virtual environment from the hashed lock

.PHONY: lock
lock: ## Write the locks anew
	@tools/lock.sh "$$PGDST_BASE_PYTHON"

.PHONY: help
help: ## Show the targets that one needs
	@awk 'BEGIN { FS = ":.*##[*]? " } /^[a-z-]+:.*##[*] / { printf "  %-18s %s\n", $$1, $$2 }' Makefile
	@printf '\nAll targets and knobs: make help-all, and tools/docs/reference/targets.md\n'

.PHONY: help-all
help-all: ## Show all targets and knobs
	@awk 'BEGIN { FS = ":.*##[*]? " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*##[*]? / { printf "  %-18s %s\n", $$1, $$2 }' Makefile
	@awk 'BEGIN { printf "\nKnobs\n" } /^# / { about = substr($$0, 3) } /^[A-Z_]+ \?=/ { printf "  %-14s %s\n", $$1, about }' Makefile

$(STAMP): tools/requirements.lock
	@tools/venv.sh "$$PGDST_BASE_PYTHON"
	@touch $(STAMP)

$(BENCH_STAMP): tools/benchmark/requirements.lock
	@tools/venv.sh "$$PGDST_BASE_PYTHON" .venv-bench tools/benchmark/requirements.lock
	@touch $(BENCH_STAMP)

$(LINT_STAMP): tools/lint.lock
	@tools/venv.sh "$$PGDST_BASE_PYTHON" .venv-lint tools/lint.lock
	@touch $(LINT_STAMP)
