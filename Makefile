# make run   everything from nothing, at http://127.0.0.1:$(PORT)/ ; Ctrl-C ends it, data stay in var/
# make test  all that CI runs        make check  the fast part of it, no engine, no browser
PYTHON ?= python3
PORT ?= 8000
HOST ?= 127.0.0.1
BIN := .venv/bin
PY := $(BIN)/python

.PHONY: run test check lint engine chromium clean help
.DEFAULT_GOAL := help

help:
	@sed -n '1,2s/^# //p' Makefile

run: .venv/.runtime engine
	@$(PY) -m socratic_site.run --host $(HOST) --port $(PORT) --die-with-parent

test: lint engine chromium
	$(PY) -m pytest -n auto --dist loadfile

check: lint
	$(PY) -m pytest -m "not engine and not browser"

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

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

.venv/.dev: requirements-dev.txt .venv/.runtime
	@echo "Installing what tests and linters need (once) ..."
	$(PY) -m pip install -q --disable-pip-version-check -r requirements-dev.txt
	@touch $@

engine: node_modules/.ready

node_modules/.ready: package-lock.json requirements-engine.txt .venv/.runtime
	$(PY) -m socratic_site.fetch
	@touch $@

# The browser journeys need Chromium; without it pytest names each one it could not run.
chromium:
	@command -v chromium >/dev/null || [ -n "$$CHROMIUM" ] || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null \
	  || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } \
	  || echo "Chromium could not be installed; the browser journeys will be skipped."

clean:
	rm -rf .venv node_modules .mypy_cache .pytest_cache .ruff_cache
	@echo "Kept: var/ (data, accounts, keys of the local run)."
