# `make demo` and `make test` are all that a new machine needs.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# CPU development pins one torch; the project itself asks for a range (pyproject.toml).
TORCH  ?= torch==2.13.0

.PHONY: install demo test test-cluster check format clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[trial,dev]'
	touch $@

check: install
	$(BIN)/ruff check coref_k8s tests
	$(BIN)/ruff format --check coref_k8s tests
	$(BIN)/mypy
	$(BIN)/lint-imports

# Never on a cluster by accident: without KUBECONFIG the tests start a fake API server.
test: install
	KUBECONFIG= $(BIN)/pytest

# In namespaces of its own, which it removes; needs the right to create CRDs, namespaces and (without kubelets) nodes.
test-cluster: install
	@test -n "$$KUBECONFIG" || { echo 'set KUBECONFIG to the cluster to test on'; exit 2; }
	$(BIN)/pytest -m cluster

format: install
	$(BIN)/ruff check --fix coref_k8s tests
	$(BIN)/ruff format coref_k8s tests

clean:
	rm -rf $(VENV) build dist *.egg-info
