# Everything a person or CI runs. `make help` lists it; the two that a newcomer needs are demo and test.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .make
RESULTS := benches/results/latest
export PYTHONPATH := python
# Programs that tests start, where they were not there already.
export PATH := $(abspath $(STAMPS)/debian/usr/bin):$(PATH)

# One list of requirements: that of pyproject.toml, its own or of an extra.
REQUIRED = $(BIN)/python -c "import sys, tomllib; \
	project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
	print(*(project['optional-dependencies'] | {'core': project['dependencies']})[sys.argv[1]], sep='\n')"

RUST := Cargo.toml Cargo.lock $(shell find rust -name '*.rs' -o -name Cargo.toml)

# The twin needs no compiler.
ifneq ($(filter-out 0,$(PENSTOCK_PURE)),)
BACKEND :=
else
BACKEND := $(STAMPS)/native
endif

.PHONY: help demo test test-pure test-rust stress lint types bench bench-quick plots traces wheel check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(BACKEND) $(STAMPS)/core $(STAMPS)/demo ## a real service as it is, with @cached, recording events, and restarted with a second tier
	$(BIN)/python -m penstock demo $(ARGS)

# Asked for together with `stress`, it leaves tests/stress to that, which tries ten times as much.
test: $(BACKEND) $(STAMPS)/test $(STAMPS)/dask $(STAMPS)/demo $(STAMPS)/prometheus $(STAMPS)/redis ## the Python tests, on the extension and on the twin
	$(BIN)/python -m pytest $(if $(filter stress,$(MAKECMDGOALS)),--ignore=tests/stress) $(ARGS)

# What is tested once, on whichever backend: servers and clusters of others.
ONCE := test_cluster test_cluster_faults test_cluster_scheduling test_cluster_shutdown test_prometheus \
	$(patsubst tests/integration/%.py,%,$(wildcard tests/integration/test_redis_*.py)) test_tiers_redis_cuts

test-pure: $(STAMPS)/test $(STAMPS)/dask $(STAMPS)/demo $(STAMPS)/prometheus $(STAMPS)/redis ## the Python tests on the twin alone
	PENSTOCK_PURE=1 PENSTOCK_REQUIRE_NATIVE= $(BIN)/python -m pytest $(ONCE:%=--ignore=tests/integration/%.py) $(ARGS)

test-rust: $(STAMPS)/cargo ## the tests of the core crate
	cargo test --locked -q -p penstock-core

# Of the contract what tries more examples when told to.
TRIED := $(shell grep -l hypothesis tests/contract/*.py)

stress: $(STAMPS)/native $(STAMPS)/test $(STAMPS)/dask $(STAMPS)/demo $(STAMPS)/redis ## long: state machines, threads, leaks, traps
	PENSTOCK_STRESS=10 HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest tests/stress $(TRIED) $(ARGS)

lint: $(STAMPS)/lint $(STAMPS)/cargo ## ruff, rustfmt, clippy
	$(BIN)/ruff check python tests benches
	$(BIN)/ruff format --check python tests benches
	cargo fmt --check
	cargo clippy --locked -q --all-targets -- -D warnings
	cargo clippy --locked -q -p penstock-py --features abi3 -- -D warnings

types: $(STAMPS)/native $(STAMPS)/lint $(STAMPS)/test $(STAMPS)/dask $(STAMPS)/demo ## mypy, pyright, stubtest
	$(BIN)/mypy
	$(BIN)/mypy --strict tests/typing/*.py
	$(BIN)/basedpyright --level error
	$(BIN)/python -m mypy.stubtest penstock._native --allowlist tests/typing/stubtest-allowlist.txt

bench: $(STAMPS)/native $(STAMPS)/bench $(STAMPS)/redis ## every figure against its peers, in one run
	$(BIN)/python benches/run.py --json $(RESULTS).json --markdown $(RESULTS).md $(ARGS)

bench-quick: ARGS := --quick
bench-quick: bench ## the same with tiny counts: only whether it runs

plots: $(BACKEND) $(STAMPS)/core ## the picture of the adaptive limits in the docs
	$(BIN)/python benches/simulate_limits.py --svg docs/limits.svg

traces: $(STAMPS)/native $(STAMPS)/bench ## strict LRU on real traces, to the digit; TRACES=folder of them
ifeq ($(wildcard $(TRACES)/*.txt.gz),)
	@echo "SKIPPED: traces: no *.txt.gz in TRACES='$(TRACES)'" >&2
else
	$(BIN)/python benches/bench_hit_ratio.py --check $(TRACES)
endif

# What differs in a wheel is what is in it, and how it starts other programs.
wheel: TESTS ?= tests/test_exports.py tests/contract tests/integration $(ONCE:%=--ignore=tests/integration/%.py)
wheel: $(STAMPS)/cargo $(STAMPS)/build $(STAMPS)/prometheus $(STAMPS)/redis ## build a wheel and test it, installed
	rm -rf dist $(STAMPS)/wheel
	$(BIN)/maturin build -q --release --locked --out dist
	$(PYTHON) -m venv $(STAMPS)/wheel
	$(STAMPS)/wheel/bin/pip install -q --disable-pip-version-check -U pip
	$(STAMPS)/wheel/bin/pip install -q --disable-pip-version-check --group test "$$(ls dist/*.whl)[demo,dask]"
	PYTHONPATH= PENSTOCK_REQUIRE_NATIVE=1 $(STAMPS)/wheel/bin/python -m pytest $(TESTS) $(ARGS)

check: lint types test-rust test test-pure stress ## all of the above but bench and wheel

clean: ## remove whatever was built
	rm -rf $(VENV) $(STAMPS) dist target benches/results python/penstock/*.so
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis

# --- what the targets need -------------------------------------------------------------------------

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "penstock needs CPython 3.11 or newer; set PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -U "pip>=25.1"  # 25.1: the first that knows --group
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/cargo:
	@command -v cargo >/dev/null || { echo "penstock's extension needs Rust: install cargo (https://rustup.rs), or set PENSTOCK_PURE=1 to run on the pure-Python twin" >&2; exit 1; }
	@mkdir -p $(STAMPS) && touch $@

REQUIREMENTS := build test lint bench
$(REQUIREMENTS:%=$(STAMPS)/%): $(STAMPS)/%: pyproject.toml $(STAMPS)/core | $(STAMPS)/venv
	$(BIN)/pip install -q --disable-pip-version-check --group $*
	@touch $@

$(STAMPS)/core $(STAMPS)/demo $(STAMPS)/dask: $(STAMPS)/%: pyproject.toml | $(STAMPS)/venv
	$(REQUIRED) $* > $@.txt
	$(BIN)/pip install -q --disable-pip-version-check -r $@.txt
	@touch $@

# A real server to be scraped by, from Debian's package: unpacked, not installed, so that no service starts.
$(STAMPS)/prometheus: | $(STAMPS)/venv
	@{ command -v prometheus >/dev/null || { \
		echo "fetching Debian's prometheus" >&2; \
		{ [ "$$(id -u)" != 0 ] || apt-get update -qq; } && \
		( cd $(STAMPS) && apt-get download -qq prometheus && dpkg -x prometheus_*.deb debian ); \
	}; } && touch $@ || \
		echo "NO PROMETHEUS: its tests are skipped, or fail in CI; it is Debian's package prometheus" >&2

# The same for Redis, whose libraries come from where they were unpacked to.
REDIS := redis-server redis-tools libjemalloc2 liblzf1 liblua5.1-0 libhiredis0.14
$(STAMPS)/redis: | $(STAMPS)/venv
	@{ command -v redis-server >/dev/null || { \
		echo "fetching Debian's redis-server" >&2; \
		{ [ "$$(id -u)" != 0 ] || apt-get update -qq; } && \
		( cd $(STAMPS) && apt-get download -qq $(REDIS) && \
			for file in redis-*.deb lib*.deb; do dpkg -x $$file debian; done && \
			rm debian/usr/bin/redis-server && cp debian/usr/bin/redis-check-rdb debian/redis-server && \
			printf '#!/bin/sh\nhere=$$(dirname "$$(readlink -f "$$0")")/../..\nLD_LIBRARY_PATH=$$(echo $$here/usr/lib/*-linux-gnu) exec $$here/redis-server "$$@"\n' \
				>debian/usr/bin/redis-server && chmod +x debian/usr/bin/redis-server && \
			debian/usr/bin/redis-server --version >/dev/null ); \
	}; } && touch $@ || \
		echo "NO REDIS: its tests are skipped, or fail in CI; it is Debian's package redis-server" >&2

# An extension of another Python or of an older source must not lie about.
$(STAMPS)/native: $(RUST) pyproject.toml | $(STAMPS)/cargo $(STAMPS)/build
	rm -f python/penstock/*.so
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop -q --release --locked --skip-install
	@touch $@
