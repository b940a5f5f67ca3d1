# The developer's interface: demo run test check services bench. Everything is installed into .venv.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
# one more than there are cores, because many tests wait for something
JOBS   ?= $(shell expr $$(nproc) + 1)
TESTS  ?= tests

.PHONY: help demo run test check services bench install format lock clean

help:
	@echo "make demo      start Glimpse, upload a real image, list, download, verify, clean up"
	@echo "make run       serve in the foreground on 127.0.0.1:9292"
	@echo "make test      the default test suite (SQLite, filesystem store)"
	@echo "make check     lint, types, import contracts"
	@echo "make services  the suites that need real clients, backends and large data"
	@echo "make bench     speed, side by side with the peer where it is installed"

demo: $(VENV)/.installed
	@$(BIN)/python dev/demo.py

run: $(VENV)/.installed
	$(BIN)/glimpse serve

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not heavy and not interop" $(TESTS)

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

services: $(VENV)/.installed-test $(VENV)-clients/.installed
	dev/services

bench: $(VENV)/.installed-test
	$(BIN)/python bench/run.py

install: $(VENV)/.installed

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Python of Debian comes without the venv module's other half; install it where we may.
$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -y -q python3.11-venv && $(PYTHON) -m venv $(VENV); } \
	  || { echo "Install the package python3.11-venv (as root: apt-get install python3.11-venv)."; exit 1; }

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
