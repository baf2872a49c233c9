# All tasks of development. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow cluster-test lint format generate verify chart-test image-test sbom airgap-bundle bench bench-224 bench-methods clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: .venv/ready ## Create the virtual environment with the pinned dependencies (5 GB, a few minutes)

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup ## Run the demonstration: four sites, three methods, one report (FRESH=1 starts over)
	$(BIN)/anamnesis demo $(if $(FRESH),--fresh)

test: setup ## Run the tests (about 10 minutes on 2 cores)
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadgroup -m 'not slow and not cluster and not images'

test-slow: setup ## Run the slow tests, and those of random examples with more examples
	$(BIN)/pytest -n auto --maxprocesses 2 --dist loadgroup --hypothesis-profile=many \
		-m '(slow or hypothesis) and not cluster and not images'

cluster-test: setup ## Build both images and test Helm, operators, updates and alerts on a node with Kubeflow Pipelines (root, buildah)
	$(BIN)/python tests/cluster.py cluster

chart-test: setup ## Test the Helm chart with Helm and a real API server
	$(BIN)/pytest tests/chart

image-test: setup ## Build both images without a network and test them as pods on a node (root, buildah, rclone; 13 minutes)
	$(BIN)/python tests/cluster.py images

airgap-bundle: setup ## Write the bundle for an air-gapped site to dist/airgap (IMAGES=folder adds built archives)
	rm -rf dist/airgap
	$(BIN)/python -m delivery.airgap_bundle dist/airgap $(if $(IMAGES),--images $(IMAGES))

sbom: setup ## Write the software bills of materials of the images to dist/sbom (CycloneDX)
	$(BIN)/python -m delivery.sbom dist/sbom

lint: setup ## Check style, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: setup ## Write all generated files: trainers, component pages, pipelines, option schemas, CRDs, chart, results page, messages
	$(BIN)/python -m anamnesis.components.generate
	$(BIN)/python -m anamnesis.pipelines.compile
	$(BIN)/python -m anamnesis.cli.generate
	$(BIN)/python -m anamnesis.operator.metrics.metrics_page
	$(BIN)/python -m anamnesis.operator.metrics.alerts_page
	$(BIN)/python -m anamnesis.operator.metrics.dashboards
	$(BIN)/python -m anamnesis.operator.plan.states_page
	$(BIN)/python -m anamnesis.operator.api.write_manifests
	$(BIN)/python -m charts.generate
	$(BIN)/python -m charts.golden
	$(BIN)/python -m benchmarks.scoreboard page
	$(BIN)/python -m benchmarks.sites224 page
	$(BIN)/python -m quality.messages

verify: setup ## Fail when a generated file differs from the code
	$(BIN)/python -m anamnesis.components.generate --check
	$(BIN)/python -m anamnesis.pipelines.compile --check
	$(BIN)/python -m anamnesis.cli.generate --check
	$(BIN)/python -m anamnesis.operator.metrics.metrics_page --check
	$(BIN)/python -m anamnesis.operator.metrics.alerts_page --check
	$(BIN)/python -m anamnesis.operator.metrics.dashboards --check
	$(BIN)/python -m anamnesis.operator.plan.states_page --check
	$(BIN)/python -m anamnesis.operator.api.write_manifests --check
	$(BIN)/python -m charts.generate --check
	$(BIN)/python -m charts.golden --check
	$(BIN)/python -m benchmarks.scoreboard page --check
	$(BIN)/python -m benchmarks.sites224 page --check
	$(BIN)/python -m quality.messages --check
	$(BIN)/python -m quality

bench: setup ## Measure the numbers of the pages; prints tables and writes benchmarks/results
	$(BIN)/python -m benchmarks

bench-224: setup ## Run the missing runs of the scoreboard at 224 pixels, then write docs/results.md (HOURS=8 WORKERS=1)
	$(BIN)/python -m benchmarks.sites224 trials $(if $(HOURS),--hours $(HOURS)) $(if $(WORKERS),--workers $(WORKERS))
	$(BIN)/python -m benchmarks.sites224 all $(if $(HOURS),--hours $(HOURS)) $(if $(WORKERS),--workers $(WORKERS))
	$(BIN)/python -m benchmarks.sites224 page

bench-methods: setup ## Run the missing runs of the scoreboard, then write docs/results_64.md (HOURS=8 WORKERS=1 SEQUENCE= ROWS= SEEDS=0,1,2 QUICK=)
	$(BIN)/python -m benchmarks.scoreboard all $(if $(QUICK),--quick) $(if $(HOURS),--hours $(HOURS)) $(if $(WORKERS),--workers $(WORKERS)) \
		$(foreach name,$(SEQUENCE),--sequence $(name)) $(if $(ROWS),--rows '$(ROWS)') $(if $(SEEDS),--seeds $(SEEDS))

clean: ## Remove the demo, build outputs and caches; keep the virtual environment
	rm -rf demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
