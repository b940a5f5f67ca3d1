# The developer's interface: demo run clients test check services bench. Everything is installed into .venv.
VENV   ?= .venv
BIN    := $(VENV)/bin
# one more than there are cores, because many tests wait for something
JOBS   ?= $(shell expr $$(nproc) + 1)
TESTS  ?= tests

.PHONY: help demo run clients test check services bench stores imports install format lock clean

help:
	@echo "make demo      start Glimpse, upload a real image, list, download, verify, clean up"
	@echo "make run       serve in the foreground on 127.0.0.1:9292"
	@echo "make clients   the openstack command, into $(VENV)-clients"
	@echo "make test      the default test suite (SQLite, filesystem store)"
	@echo "make check     lint, types, import contracts"
	@echo "make services  the suites that need real clients, backends and large data"
	@echo "make bench     speed, side by side with Glance where it is installed"
	@echo "make bench stores   speed of each storage backend, side by side with a real Glance and a plain client"

demo: $(VENV)/.installed
	@$(BIN)/python dev/demo.py

run: $(VENV)/.installed
	$(BIN)/glimpse serve

# compiled code is kept whatever the environment says: every worker and every process that a test starts reads it
test: $(VENV)/.installed-test
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not heavy and not interop" $(TESTS)

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

services: $(VENV)/.installed-test $(VENV)-clients/.installed
	dev/services

# `make bench stores`: the second word chooses the benchmark, ARGUMENTS="..." are passed to it
bench: $(VENV)/.installed-test
	$(BIN)/python $(if $(filter stores imports,$(MAKECMDGOALS)),-m bench.$(word 2,$(MAKECMDGOALS)) $(ARGUMENTS),bench/run.py)

stores imports:
	@$(if $(filter bench,$(MAKECMDGOALS)),:,$(MAKE) --no-print-directory bench $@)

install: $(VENV)/.installed

clients: $(VENV)-clients/.installed

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# dev/python says which Python, or the one of PYTHON=... Debian's comes without one half of the module venv, which is
# installed where we may.
$(VENV)/bin/python:
	@python=$$(PYTHON="$(PYTHON)" dev/python) || exit 1; \
	$$python -c 'import ensurepip' 2>/dev/null || { \
	  package=$$($$python -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	  echo "Installing the package $$package"; \
	  { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq $$package >/dev/null; } \
	  || { echo "Install the package $$package (as root: apt-get install $$package)."; exit 1; }; }; \
	$$python -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.installed: requirements/base.txt requirements/all.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -r requirements/all.txt
	$(BIN)/python -m pip install -q --no-deps -e .
	@touch $@

$(VENV)/.installed-test: requirements/test.txt $(VENV)/.installed
	$(BIN)/python -m pip install -q -r requirements/test.txt
	@touch $@

$(VENV)-clients/.installed: requirements/clients.txt
	@$(MAKE) --no-print-directory VENV=$(VENV)-clients $(VENV)-clients/bin/python
	$(VENV)-clients/bin/python -m pip install -q -r requirements/clients.txt
	@touch $@

lock:
	dev/lock

clean:
	rm -rf $(VENV) $(VENV)-clients .pytest_cache .ruff_cache .hypothesis .import_linter_cache
