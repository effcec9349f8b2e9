# make run   everything from nothing, at http://127.0.0.1:$(PORT)/ ; Ctrl-C ends it, data stay in var/
# make dev   the same, but code and templates reload when they change, and errors show their stack
# make test  all that CI runs        make check  the fast part of it, no engine, no browser
# make bench  what things cost and how they grow, about 21 minutes      make bench-quick  about 3 minutes
# make chaos N=10000 SEED=7   so many answers through a bad network: none lost, none twice, none changed
# make crawl  every address as every role over odd items, about 10 minutes
PYTHON ?= python3
PORT ?= 8000
N ?= 10000
SEED ?= 1
TABLETS ?= 3
OFFLINE ?= 30
HOST ?= 127.0.0.1
BIN := .venv/bin
PY := $(BIN)/python

.PHONY: run dev test check chaos crawl bench bench-quick lint engine chromium clean help
.DEFAULT_GOAL := help

help:
	@sed -n '1,6s/^# //p' Makefile

run: .venv/.runtime engine
	@$(PY) -m socratic_site.local.supervisor --host $(HOST) --port $(PORT) --die-with-parent

dev: .venv/.runtime engine
	@$(PY) -m socratic_site.local.supervisor --host $(HOST) --port $(PORT) --reload --die-with-parent

# One process more than there are cores: journeys mostly wait.
test: lint engine chromium
	$(PY) -m pytest -n $$(($$(nproc || echo 2) + 1)) --dist loadfile --no-loadscope-reorder

# What was sent is what the table holds, with N answers in a bad network, as SEED says (CI: 99 answers).
chaos: .venv/.dev engine chromium
	CHAOS_ANSWERS=$(N) CHAOS_SEED=$(SEED) CHAOS_TABLETS=$(TABLETS) CHAOS_OFFLINE=$(OFFLINE) \
	  $(PY) -m pytest -s tests/journeys/test_chaos_chromium.py -k table_holds

# Every address as every role over items of other clients, about ten minutes (CI: each kind of page with each odd item).
crawl: .venv/.dev
	CRAWL_EVERY_ADDRESS=1 $(PY) -m pytest -s tests/foreign/test_crawl.py

# Each part is a module in bench/ (see bench/parts.py); goals that are missed are told, and are no failure.
# The quick one: every part once, in about 3 minutes on 2 quiet cores; most of it is programs that start, pages that
# come over a slow network, and questions that take 8 s to be made.
bench: .venv/.dev engine chromium
	$(PY) -m bench --seed $(SEED)

bench-quick: .venv/.dev engine chromium
	$(PY) -m bench --quick --seed $(SEED)

check: lint
	$(PY) -m pytest -m "not engine and not browser"

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/typos
	$(PY) -m support.dead_code
	git ls-files -z 'templates/*.html' | xargs -0 $(BIN)/djade --check --target-version 5.2

# Debian without python3-venv cannot put pip into a new environment: the machine's own pip does it then.
.venv/pyvenv.cfg:
	@echo "Making the virtual environment .venv ..."
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 \
	  || { $(PYTHON) -m venv --clear --without-pip .venv && $(PYTHON) -m pip --python $(PY) install -q pip; } \
	  || { rm -rf .venv; echo "Python needs either the venv package with pip (python3-venv) or pip (python3-pip)."; exit 1; }

.venv/.runtime: requirements.txt constraints.txt | .venv/pyvenv.cfg
	@echo "Installing what the application runs on (once) ..."
	$(PY) -m pip install -q --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/.dev: requirements-dev.txt requirements-narration.txt .venv/.runtime
	@echo "Installing what tests and linters need (once) ..."
	$(PY) -m pip install -q --disable-pip-version-check -r requirements-dev.txt
	@touch $@

engine: node_modules/.ready

node_modules/.ready: package-lock.json requirements-engine.txt .venv/.runtime
	$(PY) -m socratic_site.local.fetch_engine
	@touch $@

# The browser journeys need Chromium; without it pytest names each one it could not run.
chromium:
	@[ -n "$$CHROMIUM" ] || command -v chromium-headless-shell >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null \
	  || { apt-get update -qq && for name in chromium-headless-shell chromium; do \
	         DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$name && break; done; } \
	  || command -v chromium >/dev/null || echo "Chromium could not be installed; the browser journeys will be skipped."

clean:
	rm -rf .venv node_modules .mypy_cache .pytest_cache .ruff_cache
	@echo "Kept: var/ (data, accounts, keys of the local run)."
