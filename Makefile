# Every set-up step lives here: a fresh machine needs Python >= 3.11 and a network, nothing else.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
KILLS  ?= 1000
ROUNDS ?= 1
HISTORIES ?= 10000
SOURCES := protocol storage channels gateway clients/python tests bench

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format schema lock chaos chaos-channels chaos-runs chaos-decisions bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.installed ## make .venv with the locked dependencies and the product in it

# One stamp file: it is newer than everything it was made from, or the environment is brought up to date.
$(VENV)/.installed: requirements-dev.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: setup ## the gateway with the demo agent and three emulated networks, on loopback
	@exec $(BIN)/threadgate demo

test: setup check ## everything a change must pass; two processes, for most tests wait for others
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

check: setup ## format, lint, types, import contracts, generated files: under a minute
	$(BIN)/ruff format --check --quiet $(SOURCES)
	$(BIN)/ruff check --quiet $(SOURCES)
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m protocol.schema --check
	$(BIN)/python -m gateway.reference --check

format: setup ## rewrite formatting and the fixable lint findings
	$(BIN)/ruff check --quiet --fix $(SOURCES) || true
	$(BIN)/ruff format --quiet $(SOURCES)

schema: setup ## regenerate what is generated: schemas and tables from the method table, docs from the settings
	$(BIN)/python -m protocol.schema --write
	$(BIN)/python -m protocol.tables docs/PROTOCOL.md
	$(BIN)/python -m gateway.reference --write

chaos: setup ## the long crash loop, KILLS=1000 (`make test` runs a short form)
	$(BIN)/python -m tests.chaos.crash_loop --kills $(KILLS)

chaos-channels: setup ## the same over Slack, Telegram and Discord at once, KILLS=1000
	$(BIN)/python -m tests.chaos.crash_loop --kills $(KILLS) --networks slack telegram discord

chaos-decisions: setup ## many people decide at once while the process is killed: one winner each, HISTORIES=10000 (`make test` runs a short form)
	$(BIN)/python -m tests.chaos.decisions --histories $(HISTORIES)

chaos-runs: setup ## the crash matrix of runs: every kind of agent, killed at every point, ROUNDS=1 (`make test` runs a short form)
	$(BIN)/python -m tests.chaos.run_matrix --rounds $(ROUNDS)

bench: setup ## measure; results go to bench/results
	$(BIN)/python -m bench

lock: ## pin the dependencies again, with hashes and without registry addresses
	test -x .lock-venv/bin/uv || { $(PYTHON) -m venv .lock-venv && .lock-venv/bin/pip install --quiet uv==0.13.8; }
	.lock-venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --universal \
	  --python-version 3.11 --custom-compile-command "make lock" pyproject.toml -o requirements.txt
	.lock-venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --universal \
	  --python-version 3.11 --custom-compile-command "make lock" --extra dev pyproject.toml -o requirements-dev.txt

clean: ## remove everything that was built
	rm -rf $(VENV) .lock-venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
