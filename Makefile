# Commands of this project; `make` alone lists them. Needs Python 3.11 or later; `test`, `generate` and what builds on
# them also Java 17 and Maven, `test` Chromium and Node.js besides (without these, the tests that need them are skipped).
#
# Everything is installed into .venv, from requirements/*.txt: exact versions, checked by hash.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# What is given on make's command line (FILTERS=2, WHERE='a=b;') reaches the programs through their environment, as it
# was typed: no `$` of it is expanded by make, and no quote or semicolon is seen by a shell.
$(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),\
    $(eval override $(name) := $$(value $(name)))$(eval export $(name))))

VENV := .venv
PY := $(VENV)/bin/python
PACKAGES := edge filter_service ticket_service runtime deploy examples tests

# A stamp's name says what is installed: the locked versions, and this folder, which the virtual environment names.
stamp = $(VENV)/.installed-$(1)-$(firstword $(shell { cat requirements/$(1).txt; pwd; } 2>/dev/null | cksum))
RUN := $(call stamp,run)
DEV := $(call stamp,dev)
BENCH := $(call stamp,bench)

.PHONY: help
help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

# ------------------------------------------------------------------------------------------------------------- to use

.PHONY: run
run: $(RUN) ## Run the whole system here, with demo data (FILTERS=n EDGES=n, and every KAFKA_WS_* variable)
	@exec $(PY) deploy/local/run.py --by-make

.PHONY: tail
tail: $(RUN) ## Show live records of a running system (TOPIC=... WHERE=... FIELDS=...)
	@exec $(PY) deploy/local/tail.py

# --------------------------------------------------------------------------------------------------------- to develop

# Each worker has a Kafka and a Valkey of its own, and takes whole files: most of what tests do is to wait. With
# WORKERS=0 they run one by one and may be stopped with a debugger.
WORKERS := 2

.PHONY: test
test: $(DEV) ## Run all tests, with a real Kafka and a real Valkey (ARGS='tests/edge -k close' for some)
	@$(PY) -m tests.kafka.jars
	@exec $(PY) -m pytest --durations=15 --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder $(ARGS)

.PHONY: lint
lint: $(DEV) ## Check style and formatting
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

.PHONY: format
format: $(DEV) ## Repair style and formatting
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

.PHONY: types
types: $(DEV) ## Check types
	@$(PY) -m mypy $(wildcard $(PACKAGES))

# The load client must not be what is measured: it is written in C.
LOAD_SOURCES := tests/benchmarks/load
LOAD_PROGRAMS := $(patsubst $(LOAD_SOURCES)/%.c,.cache/benchmarks/%,$(wildcard $(LOAD_SOURCES)/*.c))

.cache/benchmarks/%: $(LOAD_SOURCES)/%.c
	@mkdir -p $(@D)
	@$(CC) -std=gnu11 -O2 -Wall -Wextra -Wpedantic -o $@ $<

.PHONY: bench
bench: $(BENCH) $(LOAD_PROGRAMS) ## Measure speed and memory (ONLY=one_socket,latency QUICK=1 RUNS=n COMPARE=old.json)
	@$(PY) -m tests.kafka.jars
	@exec $(PY) -m tests.benchmarks

.PHONY: chaos
chaos: $(DEV) ## Break every part while clients check every record (SECONDS=n SEED=n, SCENARIO=memory)
	@$(PY) -m tests.kafka.jars
	@exec $(PY) -m tests.chaos

# ----------------------------------------------------------------------------------------------------- generated code

STUBS := proto/generated
PROTOS := $(wildcard proto/kafka_ws/*/v1/*.proto)

# $(1): folder to write to
generate_stubs = $(PY) -m grpc_tools.protoc -Iproto \
    --plugin=protoc-gen-mypy=$(VENV)/bin/protoc-gen-mypy --plugin=protoc-gen-mypy_grpc=$(VENV)/bin/protoc-gen-mypy_grpc \
    --python_out=$(1) --grpc_python_out=$(1) --mypy_out=quiet:$(1) --mypy_grpc_out=quiet:$(1) $(PROTOS)

LANGUAGE := filter_service/language
PARSERS := $(LANGUAGE)/generated
GRAMMARS := $(notdir $(wildcard $(LANGUAGE)/*.g4))
ANTLR_VERSION := 4.13.2
ANTLR := .cache/antlr/antlr4-$(ANTLR_VERSION)-complete.jar

# $(1): folder to write to. ANTLR notes the path of a grammar in what it generates, so it is run beside the grammars.
generate_parsers = cd $(LANGUAGE) && java -jar $(CURDIR)/$(ANTLR) -Dlanguage=Python3 -Werror -no-listener -visitor \
    -o $(CURDIR)/$(1) $(GRAMMARS)

$(ANTLR):
	@mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
	  -Dartifact=org.antlr:antlr4:$(ANTLR_VERSION):jar:complete -DoutputDirectory=.cache/antlr

.PHONY: generate
generate: $(DEV) $(ANTLR) ## Generate the gRPC stubs and the parsers anew
	@$(call generate_stubs,$(STUBS))
	@$(call generate_parsers,$(PARSERS))

.PHONY: generated-fresh
generated-fresh: stubs-fresh parsers-fresh ## Check that the committed generated code is what its sources give

.PHONY: stubs-fresh
stubs-fresh: $(DEV)
	@rm -rf .cache/stubs && mkdir -p .cache/stubs
	@$(call generate_stubs,.cache/stubs)
	@diff -rq -x __pycache__ $(STUBS) .cache/stubs || { echo "$(STUBS) $(STALE)" >&2; exit 1; }

.PHONY: parsers-fresh
parsers-fresh: $(ANTLR)
	@rm -rf .cache/parsers && mkdir -p .cache/parsers
	@$(call generate_parsers,.cache/parsers)
	@diff -rq -x __pycache__ -x __init__.py $(PARSERS) .cache/parsers || { echo "$(PARSERS) $(STALE)" >&2; exit 1; }

STALE := is not what its sources give: run 'make generate' and commit

# ------------------------------------------------------------------------------------------------------ documentation

.PHONY: docs
docs: $(DEV) ## Write the table of settings in README.md anew
	@$(PY) -m tests.docs.settings_table

# ------------------------------------------------------------------------------------------------------- dependencies

.PHONY: install
install: $(RUN) ## Install what running needs into .venv

# A distribution's Python comes first: it is built with profile-guided optimisation, which a version manager's mostly is
# not, and finds the rules of a record in five sixths of the time.
PYTHONS = $(or $(PYTHON),/usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11)

$(PY):
	@for python in $(PYTHONS); do \
	  if $$python -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    $$python -m venv --clear $(VENV) && exit; rm -rf $(VENV); exit 1; \
	  fi; \
	done; \
	echo "A Python 3.11 or later that can create virtual environments is needed, and none of $(PYTHONS) is one:" \
	  "install it (on Debian and Ubuntu with python3-venv), or name it with 'make PYTHON=/path/to/python'." >&2; exit 1

# The sources are not installed but put on the module path of the virtual environment: nothing to build, and an edit
# takes effect at the next start.
$(VENV)/.installed-%: | $(PY)
	@echo "installing requirements/$(word 1,$(subst -, ,$*)).txt into $(VENV), with $$($(PY) --version)" \
	  "($$(readlink -f $(PY)))"
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-input --require-hashes \
	  -r requirements/$(word 1,$(subst -, ,$*)).txt
	@$(PY) -c 'import pathlib, sysconfig; here = pathlib.Path.cwd(); \
	  pathlib.Path(sysconfig.get_path("purelib"), "kafka-ws-sources.pth").write_text(f"{here}\n{here}/proto/generated\n")'
	@touch $@

UV := .cache/uv/bin/uv
UV_VERSION := 0.13.9
lock = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --custom-compile-command 'make lock' --upgrade pyproject.toml

$(UV): | $(PY)
	@$(PY) -m venv .cache/uv
	@.cache/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.PHONY: lock
lock: $(UV) ## Lock the newest versions that pyproject.toml allows into requirements/ (and those of the images)
	@$(lock) --extra local --extra dev --output-file requirements/dev.txt
	@$(lock) --extra local --constraints requirements/dev.txt --output-file requirements/run.txt
	@$(lock) --extra local --extra bench --constraints requirements/dev.txt --output-file requirements/bench.txt
	@UV=$(UV) deploy/images/lock.sh
