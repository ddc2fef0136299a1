# Every target prepares what it needs; `make help` lists them.

PYTHON ?= python3
IMAGE := marieai/marie-operator:latest
BASE ?= python:3.13-slim
CONTAINER_TOOL ?= $(firstword $(notdir $(foreach tool,docker podman buildah,$(shell command -v $(tool) 2>/dev/null))))

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
READY := $(VENV)/.ready
# What leaves this machine has a name of yours.
NAMED = @test -n "$(IMG)" || { echo "error: name the image: make $@ IMG=registry/name:tag" >&2; exit 1; }
# Yours, or else the one of the control plane that is built for the tests.
KUBECTL ?= $(or $(shell command -v kubectl),$(shell hack/controlplane/build.sh)/kubectl)

.DEFAULT_GOAL := help
.PHONY: help setup build docker-build docker-push manifests docs install uninstall deploy undeploy run test unit models simulate embedded controlplane \
	faults scaledowns campaigns lint format demo bench clean

# Without bytecode, every process of a test run compiles all of the source and the tests anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Create .venv with everything the project needs, from uv.lock.

$(READY): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than Python 3.11; name a newer one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "error: $(PYTHON) cannot create virtual environments; on Debian: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check 'uv>=0.13,<1'
	$(UV) sync --quiet --frozen --inexact --compile-bytecode --all-groups --all-extras
	@touch $@

build: $(READY) ## Build the wheel into dist/.
	$(UV) build --quiet --wheel --out-dir dist
	@ls dist/*.whl

docker-build: ## Build the operator's image: make docker-build IMG=registry/name:tag [BASE=python:3.13-slim]
	@test -n "$(CONTAINER_TOOL)" || { echo "error: none of docker, podman, buildah is installed" >&2; exit 1; }
	$(CONTAINER_TOOL) build --build-arg BASE=$(BASE) --tag $(or $(IMG),$(IMAGE)) --file Dockerfile .

docker-push: ## Push the operator's image: make docker-push IMG=registry/name:tag
	$(NAMED)
	@test -n "$(CONTAINER_TOOL)" || { echo "error: none of docker, podman, buildah is installed" >&2; exit 1; }
	$(CONTAINER_TOOL) push $(IMG)

manifests: $(READY) ## Regenerate config/crd, config/rbac and the dashboard from their sources.
	$(BIN)/python hack/manifests.py
	$(BIN)/python hack/dashboard.py

docs: $(READY) ## Regenerate the pages of docs/ that are made of source, tests and data.
	$(BIN)/python hack/semantics.py
	$(BIN)/python hack/reference.py
	$(BIN)/python hack/conditions.py
	$(BIN)/python hack/fields.py

install: ## Install the CRDs in the cluster of the current kubeconfig context.
	$(KUBECTL) apply -k config/crd

uninstall: ## Remove the CRDs, and with them every MarieCluster, MarieJob and managed database.
	$(KUBECTL) delete --ignore-not-found -k config/crd

deploy: ## Install the CRDs and the operator, or a new version of them: make deploy IMG=registry/name:tag
	$(NAMED)
	$(KUBECTL) kustomize config/default | sed 's|: $(IMAGE)|: $(IMG)|' | $(KUBECTL) apply -f -

undeploy: ## Remove the operator and the CRDs, and with them every MarieCluster, MarieJob and managed database.
	$(KUBECTL) delete --ignore-not-found -k config/default

run: $(READY) ## Run the operator on this machine against the current kubeconfig context.
	$(BIN)/python -m marie_operator run

demo: $(READY) ## A control plane, the operator and the example cluster and job, live on this machine.
	$(BIN)/python -m marie_operator demo $(ARGS)

test: lint unit models embedded ## Prove the project: lint, unit tests, models, a simulation of faults, tests on a real control plane.
	$(MAKE) --no-print-directory simulate SEEDS=1000
	$(MAKE) --no-print-directory controlplane

# These folders have no test without a server, but thousands of others, which each process would collect.
SERVERLESS := $(addprefix --ignore tests/,clouds conformance controlplane simulation testing/apiserver)

unit: $(READY) ## The tests that need no server but their own.
	$(BIN)/pytest -m "not controlplane and not embedded and not campaign and not model and not typing" $(SERVERLESS) -n auto -q

models: $(READY) ## Many schedules and objects, at random, against what must hold: queue, cache, 50,000 elections, batches, crashes, SQL.
	$(BIN)/pytest -m model $(SERVERLESS) -n auto -q

simulate: $(READY) ## Simulate the whole system: make simulate [SEEDS=100000] [FIRST=0], or SEED=n to replay one.
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),100000) --first $(or $(FIRST),0))

embedded: $(READY) ## The operator at work on the embedded control plane.
	hack/controlplane/build.sh >/dev/null
	hack/promql/build.sh >/dev/null
	$(BIN)/pytest -m "embedded and not campaign" -n auto -q

scaledowns: $(READY) ## Scale-downs of busy groups in virtual time: make scaledowns [SCENARIOS=10000] (about a minute).
	$(BIN)/python -m tests.controllers.mariecluster.scaledowns $(or $(SCENARIOS),10000)

campaigns: $(READY) ## Every field of both kinds changed, a crash after every write and at every await, a batch of 100,000, one of a million, 5,000 jobs in a line (about 80 minutes of CPU).
	$(BIN)/pytest -m campaign -n auto -q

controlplane: $(READY) ## The tests on a real etcd and kube-apiserver, object stores and Prometheus (built once, about 7 minutes).
	hack/controlplane/build.sh >/dev/null
	hack/azurite/build.sh >/dev/null
	hack/promql/build.sh >/dev/null
	$(BIN)/pytest -m controlplane -n auto --dist loadfile --no-loadscope-reorder -q

faults: $(READY) ## The faults of docs/faults.md, again and again until one run fails: make faults [TIMES=10]
	hack/controlplane/build.sh >/dev/null
	for run in $$(seq $(or $(TIMES),10)); do \
		echo "run $$run of $(or $(TIMES),10)"; \
		$(BIN)/pytest tests/controlplane/faults -m controlplane -n auto --dist loadfile --no-loadscope-reorder -q || exit 1; \
	done

lint: $(READY) ## Format, lint, types, architecture.
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/pytest -m typing tests/docs -q

format: $(READY) ## Format the source and fix what can be fixed.
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --quiet --fix .

bench: $(READY) ## Measure; results and their commands in benchmarks/RESULTS.md: make bench [ONLY=b1,b7] [ARGS="--clusters 500"]
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(ARGS)

clean: ## Remove what the targets made inside the repository.
	rm -rf $(VENV) dist build .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
