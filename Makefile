# Two commands to begin with:  make demo   make test
# What is missing is installed: Python packages into .venv, system packages (Debian or Ubuntu, as
# root) by tests/lab/install.sh. PYTHON names another interpreter, PYTEST_ARGS adds to pytest's.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST_ARGS ?=
# Tests on hosts wait more than they work: four at a time, each with a lab of its own. They come
# first, and what only computes last (tests/spread.py).
WORKERS ?= 4
# Whole programs; the parts in botdeploy/hosts/shell are checked as the one that they make up.
SHELL_FILES = $(shell grep -rlE '^\#!.*sh$$' --include='*.sh' tests examples) .ci/run

CAN_APT = [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null
HAS_VENV = $(PYTHON) -c 'import ensurepip' 2>/dev/null
INSTALL_VENV = { apt-get update -qq && apt-get install -qq -y --no-install-recommends python3-venv >/dev/null; }

export DEBIAN_FRONTEND := noninteractive
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The suite starts botdeploy thousands of times: each start would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE
.DELETE_ON_ERROR:

.PHONY: help
help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: demo
demo: base-tree $(STAMP) ## four real hosts, three releases, one caught canary
	@$(BIN)/python -m examples.demo

# The lab's base tree and the Python packages take half a minute each, once: both at a time.
ifeq ($(MAKECMDGOALS),demo)
MAKEFLAGS += --jobs=2
$(STAMP): | system
else
.NOTPARALLEL:
endif

.PHONY: base-tree
base-tree: system
	@if $(CAN_APT); then $(PYTHON) -m tests.lab base >/dev/null; fi

.PHONY: test
test: vagrant shells lint ## everything: lint, types, unit tests, lab tests
	BOTDEPLOY_CHAOS_EVERY=$${BOTDEPLOY_CHAOS_EVERY:-64} BOTDEPLOY_CHAOS_HOSTS=$${BOTDEPLOY_CHAOS_HOSTS:-2} \
		BOTDEPLOY_RACES=$${BOTDEPLOY_RACES:-10} $(BIN)/pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

.PHONY: unit
unit: $(STAMP) ## the tests within one process, with a tenth of the drawn examples
	BOTDEPLOY_EFFORT=$${BOTDEPLOY_EFFORT:-0.1} $(BIN)/pytest -n 2 -m "not lab and not chaos and not programs and not simulation" $(PYTEST_ARGS)

.PHONY: lab-test
lab-test: system $(STAMP) ## the tests on real hosts
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -m "lab and not chaos" $(PYTEST_ARGS)

.PHONY: examples-test
examples-test: system $(STAMP) ## play the examples at length; transcripts in build/examples
	BOTDEPLOY_EXAMPLES=long BOTDEPLOY_EXAMPLES_NOTES=build/examples \
		$(BIN)/pytest -m lab tests/examples $(PYTEST_ARGS)

.PHONY: chaos
chaos: system $(STAMP) ## break real hosts on purpose
	$(BIN)/pytest -m chaos $(PYTEST_ARGS)

.PHONY: bench
bench: system $(STAMP) ## times, bytes and round trips on the lab
	$(BIN)/python -m tests.bench

.PHONY: bench-judge
bench-judge: $(STAMP) ## false alarms and detections of the judge
	@$(BIN)/python -c "import numba" 2>/dev/null || $(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m tests.bench.judge
	$(BIN)/python -m tests.bench.quick

.PHONY: lint
lint: $(STAMP) ## ruff, mypy, shellcheck
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/shellcheck $(SHELL_FILES)
	@$(BIN)/python -c 'from botdeploy.hosts.host_program import PROGRAM; print(PROGRAM.decode())' | \
		$(BIN)/shellcheck -

.PHONY: format
format: $(STAMP) ## let ruff format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: docs
docs: $(STAMP) ## make docs/inventory.md's tables anew from the schema
	$(BIN)/python -m tests.docs

.PHONY: wheel
wheel: $(STAMP) ## build dist/*.whl and try it in an environment of its own
	rm -rf dist
	$(BIN)/python -m build --wheel
	rm -rf $(VENV)/wheel && $(PYTHON) -m venv $(VENV)/wheel
	$(VENV)/wheel/bin/pip install --quiet dist/*.whl
	cd /tmp && $(CURDIR)/$(VENV)/wheel/bin/botdeploy --version

.PHONY: clean
clean: ## remove what was made here (the lab's base tree stays: tests/lab)
	rm -rf $(VENV) dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian and Ubuntu ship Python without venv; the lab needs systemd-nspawn and more. All of it is
# installed where that can be done: as root, with apt. Elsewhere the lab's tests are skipped.
.PHONY: system
system:
	@if $(CAN_APT); then bash tests/lab/install.sh; fi
	@if $(CAN_APT); then $(HAS_VENV) || $(INSTALL_VENV); fi

.PHONY: vagrant
vagrant: system
	@if $(CAN_APT) && ! bash tests/lab/install.sh vagrant; then \
		echo "vagrant can't be installed here: the test of the Vagrantfile is skipped" >&2; fi

# Login shells that a command line has to get through.
.PHONY: shells
shells: system
	@if $(CAN_APT) && ! bash tests/lab/install.sh fish tcsh zsh; then \
		echo "fish, tcsh and zsh can't be installed here: they are not tried" >&2; fi

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.12")'
	@$(HAS_VENV) || { $(CAN_APT) && $(INSTALL_VENV); } || \
		{ echo "Python's venv module is missing: install python3-venv" >&2; exit 1; }
	@echo "installing Python packages into $(VENV) (once)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@
