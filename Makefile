# `make demo` and `make test` are all that a new machine needs.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# CPU development pins one torch; the project itself asks for a range (pyproject.toml).
TORCH  ?= torch==2.13.0
DATA   ?= data
# One thread a process: tests and trials run side by side, and torch's threads would only wait for each other.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

# Files that are made by a module of ours, as module=file; each module knows --write and --check.
GENERATED := docs.metrics_page=docs/metrics.md docs.api_page=docs/api.md charts.dashboards=charts/coref-k8s/dashboards

.PHONY: help install demo test test-slow test-gpu test-cluster test-real check generate format images kind-load release clean

help:
	@echo "make demo          a study on this machine, then who is who in a text: small model, shipped corpus, a few minutes"
	@echo "make test          all tests (installs Postgres and jq where they are missing)"
	@echo "make test-slow     the larger versions of some tests as well"
	@echo "make test-gpu      checks on this machine's GPU: numbers, memory, speed, out of memory, preemption"
	@echo "make test-cluster  the tests of the cluster's side on the cluster that KUBECONFIG names"
	@echo "make test-real     studies with real pods there: eviction, a drained node, a full disk, upgrade, uninstall"
	@echo "make images        the images of controller and trial, with docker, podman or buildah"
	@echo "make kind-load     puts them into the kind or k3d cluster"
	@echo "make release       wheel, sdist, chart package and bill of materials of this commit, in dist/"
	@echo "make check         style, types, import layers, generated files"
	@echo "make generate      write generated files anew"

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[trial,dev]'
	touch $@

# checkov pins half of PyPI: an environment of its own
$(VENV)/checkov/.installed:
	$(PYTHON) -m venv $(VENV)/checkov
	$(VENV)/checkov/bin/pip install --quiet --disable-pip-version-check 'checkov>=3.1'
	touch $@

# A search for hidden mentions, then coreference from its best model, then a text that no model has seen.
demo: NAME := $(or $(NAME),demo-$(shell date +%H%M%S))
demo: export COREF_DATA_DIR := $(DATA)
demo: install
	$(BIN)/python -m coref_k8s.model.small $(DATA)/models/small --tokenizer data/korean/tokenizer
	$(BIN)/coref-k8s submit --local --file examples/demo.yaml --model $(DATA)/models/small --name $(NAME)
	$(BIN)/coref-k8s submit --local --file examples/coreference.yaml --model $(NAME)/512 --name $(NAME)-who
	$(BIN)/python examples/resolve.py $(NAME)-who examples/people.txt $(DATA)/$(NAME)-who.html

# Never on a cluster by accident: without KUBECONFIG the tests start a fake API server.
# A file's tests stay on one worker: what they share (prepared data, a study) is made once. Files keep their order: those of
# few tests, which xdist would put last, are the longest, and one worker would wait for the other.
# What measures time runs before the others, alone: two processes on two cores are slower than one by more than it may be off.
TOGETHER := -n 2 --dist loadfile --no-loadscope-reorder
test: install $(VENV)/checkov/.installed
	sh tests/install-services.sh
	KUBECONFIG= $(BIN)/pytest -m "quiet and not slow"
	KUBECONFIG= $(BIN)/pytest $(TOGETHER) -m "not quiet and not slow"

test-slow: install $(VENV)/checkov/.installed
	sh tests/install-services.sh
	KUBECONFIG= $(BIN)/pytest -m quiet
	KUBECONFIG= $(BIN)/pytest $(TOGETHER) -m "not quiet"

test-gpu: install
	$(BIN)/pytest -m gpu -rs tests/gpu

# In namespaces of its own, which it removes; needs the right to create CRDs, namespaces and (without kubelets) nodes.
test-cluster: install
	@test -n "$$KUBECONFIG" || { echo 'set KUBECONFIG to the cluster to test on'; exit 2; }
	sh tests/install-services.sh postgres
	$(BIN)/pytest -m cluster --timeout 600

# Installs the chart in a namespace of its own; names what the cluster lacks and skips only that. COREF_REAL_VALUES: a file
# with the values of that cluster (images, classes); COREF_REAL_CHART: another chart; COREF_REAL_KUBELET: `stop NODE`, `start NODE`.
test-real: install
	@test -n "$$KUBECONFIG" || { echo 'set KUBECONFIG to the cluster to test on'; exit 2; }
	$(BIN)/pytest -m real -rs --timeout 3600 tests/real

check: install
	$(BIN)/ruff check coref_k8s tests charts docs
	$(BIN)/ruff format --check coref_k8s tests charts docs/*.py
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m coref_k8s.corpus.validate data/korean/documents/*.coref.txt
	@for pair in $(GENERATED); do \
	    echo "$(BIN)/python -m $${pair%%=*} --check $${pair#*=}"; \
	    $(BIN)/python -m $${pair%%=*} --check $${pair#*=} || exit 1; \
	done
	$(BIN)/python charts/generate.py --check

generate: install
	@for pair in $(GENERATED); do $(BIN)/python -m $${pair%%=*} --write $${pair#*=} || exit 1; done
	$(BIN)/python charts/generate.py

format: install
	$(BIN)/ruff check --fix coref_k8s tests charts
	$(BIN)/ruff format coref_k8s tests charts docs/*.py

# BUILDER=buildah works without a daemon
BUILDER ?= docker
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
CONTROLLER_IMAGE ?= coref-k8s/controller:$(VERSION)
TRIAL_IMAGE ?= coref-k8s/trial:$(VERSION)
TRIAL_TARGET ?= cuda
KIND_CLUSTER ?= kind
K3D_CLUSTER ?= k3s-default

images:
	$(BUILDER) build --file images/controller/Dockerfile --build-arg VERSION=$(VERSION) --tag $(CONTROLLER_IMAGE) .
	$(BUILDER) build --file images/trial/Dockerfile --target $(TRIAL_TARGET) --build-arg VERSION=$(VERSION) --tag $(TRIAL_IMAGE) .

# their versions would meddle with the project's
$(VENV)/release/.installed:
	$(PYTHON) -m venv $(VENV)/release
	$(VENV)/release/bin/pip install --quiet --disable-pip-version-check build twine cyclonedx-bom
	touch $@

# Everything that a person then pushes (docs/release.md); images are made by `make images`, where a builder is.
release: RELEASE := $(VENV)/release/bin
release: export SOURCE_DATE_EPOCH := $(shell git log -1 --format=%ct 2>/dev/null)
release: install $(VENV)/release/.installed
	@git diff --quiet HEAD || { echo 'commit first: a release is made of a commit'; exit 2; }
	rm -rf dist
	$(RELEASE)/python -m build --outdir dist
	$(RELEASE)/twine check --strict dist/*.whl dist/*.tar.gz
	$(BIN)/python -c 'import helm_python; helm_python.package("charts/coref-k8s", destination="dist")'
	$(RELEASE)/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible --output-file dist/coref-k8s-$(VERSION).cdx.json
	printf 'version  %s\ncommit   %s\nbuilt    make release, %s\n' '$(VERSION)' "$$(git rev-parse HEAD)" "$$($(PYTHON) -VV | head -n 1)" > dist/PROVENANCE
	cd dist && sha256sum *.whl *.tar.gz *.tgz *.json PROVENANCE > SHA256SUMS
	@cat dist/PROVENANCE; ls -l dist

# From Docker directly. What podman and buildah have built goes through a file, which also drops their prefix localhost/.
kind-load:
	@if command -v kind >/dev/null; then \
	    images="kind load docker-image --name $(KIND_CLUSTER)"; file="kind load image-archive --name $(KIND_CLUSTER)"; \
	elif command -v k3d >/dev/null; then \
	    images="k3d image import --cluster $(K3D_CLUSTER)"; file="$$images"; \
	else echo 'neither kind nor k3d is here: install one, or push the images to a registry (docs/install.md)'; exit 2; fi; \
	if [ "$(notdir $(BUILDER))" = docker ]; then $$images $(CONTROLLER_IMAGE) $(TRIAL_IMAGE); exit; fi; \
	folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	for image in $(CONTROLLER_IMAGE) $(TRIAL_IMAGE); do \
	    $(BUILDER) push "$$image" "docker-archive:$$folder/image.tar:$$image" && $$file "$$folder/image.tar" || exit 1; \
	    rm "$$folder/image.tar"; \
	done

clean:
	rm -rf $(VENV) build dist *.egg-info
