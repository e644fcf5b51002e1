# Every target makes its own environment: a fresh checkout needs python3 (3.11 or newer, with venv) and make.

VENV := .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
COMPILED := $(VENV)/.compiled
HOT := $(shell sed -n 's|^    "\(.*\.py\)",$$|src/lunaroute/\1|p' hatch_build.py)
# The system's interpreter where it will do: distributions build it optimised, which a home-made python3 often is not
# (here it halves the relay's CPU time; docs/performance.md).
USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
HOST_PYTHON ?= $(shell /usr/bin/python3 -c '$(USABLE)' 2>/dev/null && echo /usr/bin/python3 || echo python3)
# A network with nothing but loopback in it, for clients that would talk to others than us; where that is not allowed, they
# are only told not to.
OFFLINE := $(shell unshare --map-root-user --net true 2>/dev/null && echo unshare --map-root-user --net tests/clients/offline.sh)
AXE := build/axe/package/axe.min.js
LITELLM := build/litellm/bin/litellm
SEAWEED := build/seaweed/weed
UV := $(shell command -v uv 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help demo test test-pure fuzz test-faults test-clients test-exports test-sessions test-dashboard test-s3 test-fleet test-otel check format compile bench bench-litellm seed-million bench-query bench-dashboard bench-live bench-reindex bench-storage bench-fleet bench-outage lock clean

help:  ## Show what can be made
	@sed -n 's/^\([a-z0-9-]*\):.*##  *\(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(COMPILED)  ## Simulated provider, relay, scripted agents and recordings, then end; no keys
	$(PYTHON) -m lunaroute demo --exit $(ARGS)

test: $(COMPILED)  ## Run the tests
	$(PYTHON) -m pytest $(ARGS)

test-pure: $(INSTALLED)  ## Run the tests of what is compiled on the uncompiled sources
	rm -rf build/pure && mkdir -p build/pure && cp -r src/lunaroute build/pure && find build/pure -name '*.so' -delete
	PYTHONPATH=build/pure $(PYTHON) -m pytest tests/unit/relay tests/unit/spool tests/unit/assemble tests/unit/dialects \
	  tests/unit/sessions tests/unit/stats tests/unit/pricing tests/unit/events tests/unit/recorder tests/unit/sinks tests/integration/relay $(ARGS)

test-faults: $(COMPILED)  ## Kill processes under load, 200 times; LONG=1 for 2,000
	TEST_KILLS=$(if $(LONG),2000,200) TEST_LOCKED_S=60 TEST_ALL_DEATHS=1 $(PYTHON) -m pytest tests/faults tests/unit/archive $(ARGS)

test-sessions: $(COMPILED)  ## Run the tests on recorded agent sessions with all of their calls
	TEST_WHOLE_SESSIONS=1 $(PYTHON) -m pytest tests/golden/test_sessions_corpus.py $(ARGS)

fuzz: $(COMPILED)  ## Feed every reader with bad bytes, for long (FUZZ=5000 examples each)
	TEST_FUZZ_EXAMPLES=$(or $(FUZZ),5000) $(PYTHON) -m pytest tests/fuzz $(ARGS)

test-exports: $(COMPILED)  ## Let programs of others read exports; installs them into build/exports
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --upgrade --target build/exports haralyzer opentelemetry-proto duckdb
	if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --prefix build/exports har-validator@5; fi
	PYTHONPATH=build/exports $(PYTHON) -m pytest tests/unit/export $(ARGS)

test-clients: $(COMPILED)  ## Install real clients into build/clients and drive them against the relay
	$(PYTHON) -m tests.clients.install
	$(OFFLINE) $(PYTHON) -m pytest -m clients tests/clients $(ARGS)

test-dashboard: $(COMPILED) $(AXE)  ## Drive the dashboard in Chromium: every page, live updates, keyboard, accessibility
	$(PYTHON) -m pytest -m "browser or not browser" tests/dashboard $(ARGS)

test-s3: $(COMPILED) $(if $(LONG),$(SEAWEED))  ## Run the archive's tests against an S3 server; LONG=1 on SeaweedFS too, which it builds
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt --group s3
	TEST_SEAWEED=$(if $(LONG),$(SEAWEED)) $(PYTHON) -m pytest -m s3 tests/s3 $(ARGS)

test-otel: $(COMPILED)  ## Install Arize Phoenix into build/otel and let it receive spans
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --upgrade --target build/otel 'arize-phoenix>=20,<21'
	$(PYTHON) -m pytest -m otel tests/otel $(ARGS)
test-fleet: $(COMPILED) $(if $(LONG),$(SEAWEED))  ## Run the tests of PostgreSQL and ClickHouse where their servers are; LONG=1 for all, and a cluster
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt --group $(if $(LONG),fleet-long,fleet)
	TEST_SEAWEED=$(if $(LONG),$(SEAWEED)) TEST_FLEET_LONG=$(LONG) $(PYTHON) -m pytest -m fleet tests/fleet $(ARGS)

compile: $(COMPILED)  ## Compile the hot paths of relay and recorder, where there is a C compiler

check: $(INSTALLED)  ## Lint, formatting, types
	$(PYTHON) -m ruff check src tests tools bench hatch_build.py
	$(PYTHON) -m ruff format --check src tests tools bench hatch_build.py
	$(PYTHON) -m mypy

format: $(INSTALLED)  ## Fix what the linter and the formatter can fix
	$(PYTHON) -m ruff check --fix src tests tools bench hatch_build.py
	$(PYTHON) -m ruff format src tests tools bench hatch_build.py

bench: $(COMPILED)  ## What the relay costs beside nginx, in about two minutes; LONG=1 for all rows
	$(PYTHON) -m bench.overhead $(if $(LONG),--long) $(ARGS)

bench-litellm: $(COMPILED) $(LITELLM)  ## The same beside LiteLLM's proxy, which is installed into build/litellm
	$(PYTHON) -m bench.overhead --litellm $(LITELLM) $(ARGS)

seed-million: $(COMPILED)  ## Make a store of a million invented exchanges in build/million (3.3 GB, some minutes)
	@mkdir -p build
	$(PYTHON) -m lunaroute.simulator.store build/million --sessions 100000 --files-every 100 $(ARGS)

bench-query: $(COMPILED)  ## Time questions on the store of seed-million
	$(PYTHON) bench/query_latency.py build/million $(ARGS)

bench-reindex: $(COMPILED)  ## Time the re-index on sessions of several sizes, real and invented
	$(PYTHON) -m bench.reindex_throughput $(ARGS)

bench-dashboard: $(COMPILED)  ## Time the dashboard on the store of seed-million, and what one does there
	$(PYTHON) -m bench.dashboard_latency build/million $(ARGS)

bench-live: $(COMPILED)  ## Time how late watchers see what a provider says, with 100 streams at once
	$(PYTHON) bench/live.py $(ARGS)

bench-fleet: $(COMPILED)  ## Time questions on ten million exchanges in today's ClickHouse (chDB; 6 GB in build/fleet, made first)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt --group fleet-long
	$(PYTHON) -m bench.fleet $(or $(FLEET),build/fleet) $(ARGS)

bench-outage: $(COMPILED)  ## Time how PostgreSQL and ClickHouse catch up after five minutes without them
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt --group fleet
	$(PYTHON) -m bench.outage $(ARGS)

bench-storage: $(COMPILED)  ## Record the corpus's sessions and measure them on disk, plain and compressed
	$(PYTHON) -m bench.storage $(ARGS)

lock:  ## Pin the newest versions of everything in constraints.txt
	rm -rf $(VENV)-lock
	$(HOST_PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet --upgrade pip hatchling editables setuptools
	LUNAROUTE_COMPILE=0 $(VENV)-lock/bin/pip install --quiet --no-build-isolation -e '.[demo]' --group dev --group s3 --group fleet-long
	{ echo '# Exact versions of everything that is installed for development. Made by `make lock`.'; \
	  $(VENV)-lock/bin/pip freeze --all --exclude-editable; } > constraints.txt
	rm -rf $(VENV)-lock

clean:  ## Remove the environment and all caches
	rm -rf $(VENV) $(VENV)-lock build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src -name '*.so' -delete
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Only the tests of accessibility use it; without npm they skip.
$(AXE):
	@mkdir -p build/axe
	@cd build/axe && npm pack --silent --fetch-retries=1 --fetch-timeout=60000 axe-core@4.14.1 >/dev/null && tar xzf axe-core-*.tgz \
	  || echo "Accessibility is not tested: there is no npm to bring axe-core"

# SeaweedFS 4.53, at one commit and with the versions of its own go.sum; built where Go keeps its source, since a module
# with replacements cannot be installed by name.
$(SEAWEED):
	@mkdir -p $(@D)
	@command -v go >/dev/null && source=$$(go mod download -json github.com/seaweedfs/seaweedfs@v0.0.0-20261109003541-7506e5f91cd6 \
	    | sed -n 's/^.*"Dir": "\(.*\)".*$$/\1/p') && test -n "$$source" \
	  && go build -C "$$source" -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ ./weed \
	  || echo "SeaweedFS is not tested: there is no Go, or one that cannot build it"

$(LITELLM):
	$(HOST_PYTHON) -m venv build/litellm
	build/litellm/bin/pip install --quiet --disable-pip-version-check 'litellm[proxy]'

# Stale extension modules are worse than none, so they go first.
$(COMPILED): $(INSTALLED) hatch_build.py $(HOT)
	@find src -name '*.so' -delete
	@mkdir -p build
	@$(PYTHON) hatch_build.py >build/compile.log 2>&1 \
	  || echo "The relay stays uncompiled and needs about twice the CPU time, the recorder a quarter more: no C compiler or Python headers (build/compile.log)"
	@touch $@

# The stamp is younger than both files only after a complete installation.
$(INSTALLED): pyproject.toml constraints.txt
ifneq ($(UV),)
	test -x $(PYTHON) || $(UV) venv --quiet --python $(HOST_PYTHON) $(VENV)
	$(UV) pip install --quiet --python $(PYTHON) -c constraints.txt hatchling editables setuptools
	LUNAROUTE_COMPILE=0 $(UV) pip install --quiet --python $(PYTHON) -c constraints.txt --no-build-isolation -e '.[demo]' --group dev
else
	test -x $(PYTHON) || $(HOST_PYTHON) -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt pip hatchling editables setuptools
	LUNAROUTE_COMPILE=0 $(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[demo]' --group dev
endif
	@touch $@
