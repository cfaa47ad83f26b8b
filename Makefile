# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
PACKAGES := hookspecs . $(PLUGINS)
# Engines take all cores and count what is left in shared memory, so their tests run one by one.
SIDE_BY_SIDE := -n 2 --dist loadfile
export OMP_NUM_THREADS ?= 1

.PHONY: setup demo test test-fast check format docs clean

setup: $(VENV)/ready  ## install slime, its plugins and the engines for a CPU into .venv

$(VENV)/ready: requirements/cpu.txt requirements/cpu-nodeps.txt requirements/plugins.txt requirements/dev.txt requirements/clean.txt pyproject.toml $(wildcard */pyproject.toml plugins/*/pyproject.toml)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -r requirements/cpu.txt -r requirements/plugins.txt -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps -r requirements/cpu-nodeps.txt
	$(BIN)/pip install --quiet --no-deps $(foreach p,$(PACKAGES),-e $(p))
	$(BIN)/pip download --quiet --dest $(VENV)/wheelhouse -r requirements/clean.txt
	touch $@

demo: setup  ## tiny model -> SFT -> RL -> evaluation -> report, on two CPU cores
	$(BIN)/slime demo $(ARGS)

test: setup  ## all tests, those that start real engines included; ARGS="..." goes to pytest
ifeq ($(ARGS),)
	$(BIN)/python -m pytest -q -m "not engines" $(SIDE_BY_SIDE)
	$(BIN)/python -m pytest -q -m engines
else
	$(BIN)/python -m pytest -q $(ARGS)
endif

test-fast: setup  ## the tests that start no engine
	$(BIN)/python -m pytest -q -m "not engines" $(SIDE_BY_SIDE) $(ARGS)

check: setup  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy hookspecs/slime_hookspecs slime_core
	set -e; for p in $(notdir $(PLUGINS)); do (cd plugins/$$p && ../../$(BIN)/mypy --config-file ../../pyproject.toml slime_plugin_$$p); done

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup  ## write the pages that are generated from code
	$(BIN)/python -m slime_hookspecs.docs > docs/hooks.md
	$(BIN)/python -m slime_hookspecs.docs --records > docs/records.md
	$(BIN)/python -m slime_hookspecs.export > hookspecs/contract.json
	$(BIN)/python -m slime_hookspecs.export --facade > hookspecs/slime_hookspecs/facade.new
	mv hookspecs/slime_hookspecs/facade.new hookspecs/slime_hookspecs/facade.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
