# make demo | test | test-slow | bench B=name [ARGS="…"] | airflow | docs | lock      Needs Python 3.11 to 3.13 and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DATA ?=
B ?= loop
ARGS ?=
AIRFLOW_VENV := .venv-airflow
AIRFLOW_READY := $(AIRFLOW_VENV)/.ready
AIRFLOW_HOME ?= $(CURDIR)/.orita-airflow
AIRFLOW_PORT ?= 8081
PROJECT ?= .

# Install a Debian package where that is allowed, otherwise say which command would.
system_package = { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -qq -y $(1); } \
  || { echo "The system package $(1) is missing. On Debian or Ubuntu: sudo apt-get install $(1)"; exit 2; }

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export MLFLOW_DISABLE_TELEMETRY := true
# Servers and commands are started hundreds of times: each would compile a thousand modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-slow test-services lint bench airflow docs lock lock-airflow clean setup

demo: $(READY)
	$(BIN)/orita demo $(if $(DATA),--data "$(DATA)")

# A worker more than there are cores: a fifth of the tests' time is waiting for servers that they started.
test: lint test-services
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-slow: $(READY) test-services
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "slow or not slow" --timeout 1800

# What tests start; where it may not be installed they are skipped, and say why. RUNLEVEL: no service is started.
test-services:
	@command -v redis-server >/dev/null || command -v valkey-server >/dev/null || ( export RUNLEVEL=1; $(call system_package,redis-server) ) || true
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v pg_ctl >/dev/null || ( export RUNLEVEL=1; $(call system_package,postgresql) ) || true
	@command -v java >/dev/null || ( $(call system_package,openjdk-17-jre-headless) ) || true
	@command -v nginx >/dev/null || ( export RUNLEVEL=1; $(call system_package,nginx-light) ) || true
	@command -v promtool >/dev/null || ( export RUNLEVEL=1; $(call system_package,prometheus --no-install-recommends) ) || true
	@command -v amtool >/dev/null || ( export RUNLEVEL=1; $(call system_package,prometheus-alertmanager --no-install-recommends) ) || true

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m benchmarks.$(B) $(if $(DATA),"$(DATA)") $(ARGS)

# Airflow on this machine, with SQLite and the DAGs of this repository, until Ctrl-C: docs/airflow.md.
airflow: $(READY) $(AIRFLOW_READY)
	@mkdir -p "$(AIRFLOW_HOME)"
	@test -s "$(AIRFLOW_HOME)/passwords.json" || ( umask 077; \
	  $(BIN)/python -c 'import json, secrets; print(json.dumps({"admin": secrets.token_urlsafe(12)}))' > "$(AIRFLOW_HOME)/passwords.json" )
	@echo "Airflow, in about a minute: http://localhost:$(AIRFLOW_PORT)    user and password: $$(cat "$(AIRFLOW_HOME)/passwords.json")"
	@PATH="$(CURDIR)/$(AIRFLOW_VENV)/bin:$$PATH" AIRFLOW_HOME="$(AIRFLOW_HOME)" \
	  AIRFLOW__API__HOST=127.0.0.1 AIRFLOW__API__PORT=$(AIRFLOW_PORT) AIRFLOW__API__BASE_URL=http://localhost:$(AIRFLOW_PORT) \
	  AIRFLOW__CORE__EXECUTION_API_SERVER_URL=http://127.0.0.1:$(AIRFLOW_PORT)/execution/ \
	  AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE="$(AIRFLOW_HOME)/passwords.json" \
	  AIRFLOW__CORE__DAGS_FOLDER="$(CURDIR)/dags" AIRFLOW__CORE__LOAD_EXAMPLES=False \
	  AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False \
	  ORITA_PYTHON="$(abspath $(BIN))/python" ORITA_PROJECT="$(abspath $(PROJECT))" ORITA_SOURCE="$(if $(DATA),$(abspath $(DATA)))" \
	  airflow standalone

$(AIRFLOW_READY): requirements-airflow.lock
	$(PYTHON) -m venv $(AIRFLOW_VENV)
	@echo "Installing Airflow …"
	$(AIRFLOW_VENV)/bin/python -m pip install --quiet --no-compile --requirement requirements-airflow.lock
	@touch $(AIRFLOW_READY)

docs: $(READY)
	$(BIN)/python docs/check.py

setup: $(READY)

$(READY): requirements.lock requirements-cuda.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Orita needs Python 3.11, 3.12 or 3.13; $(PYTHON) is another. Set PYTHON=/path/to/python3.11."; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(call system_package,python3-venv)
	@ldconfig -p 2>/dev/null | grep -q libgomp.so.1 || $(call system_package,libgomp1)
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned dependencies (about 1.5 GB with PyTorch) …"
	@# Not compiled ahead: Python compiles what is imported, which is a fraction, when it is; a minute and a half less.
	$(BIN)/python -m pip install --quiet --no-compile --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)

lock: pyproject.toml
	$(BIN)/python -m piptools compile --quiet --strip-extras --no-header --no-annotate --no-emit-index-url \
	  --no-emit-find-links --no-emit-trusted-host --allow-unsafe --extra client --extra flags --extra graphql --extra grpc --extra kafka --extra postgres --extra redis --extra spark --extra train --extra transformers --extra dev --output-file requirements.lock pyproject.toml
	sed -i -e 's/^\(torch==[0-9.]*\)+.*/\1/' -e '/^# The following/d' -e '/^pip==/d' -e '/^--constraint/d' \
	  -e '1i --constraint requirements-cuda.lock' requirements.lock

# Airflow's own environment, resolved anew: nothing of Orita is in it.
lock-airflow:
	rm -rf $(AIRFLOW_VENV)
	$(PYTHON) -m venv $(AIRFLOW_VENV)
	$(AIRFLOW_VENV)/bin/python -m pip install --quiet --no-compile apache-airflow==3.3.2
	$(AIRFLOW_VENV)/bin/python -m pip freeze --exclude pip --exclude setuptools > requirements-airflow.lock
	@touch $(AIRFLOW_READY)

clean:
	rm -rf $(VENV) $(AIRFLOW_VENV) .orita .mypy_cache .ruff_cache .pytest_cache .hypothesis
