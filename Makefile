PYTHON ?= python3
BIN := .venv/bin

demo: .venv/installed  ## train on real handwritten digits and print where the report is
	$(BIN)/latentia train digits_vae

test: .venv/tested  ## lint, types and tests, as CI runs them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/pytest -q -n 2 --dist worksteal

wheel:  ## the wheel in a new environment outside the checkout, from which the demo's recipe trains
	PYTHON=$(PYTHON) .ci/wheel

check: test  ## and what takes longer
	$(BIN)/pytest -q -m slow

processors: .venv/tested  ## the tests as on other processors, a line a setting; TESTS="tests/models" takes some
	.ci/processors $(TESTS)

docs: .venv/tested  ## the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

DATA ?= ../shared/data/mnist
bench: .venv/installed .bench/pythae/installed .bench/keras/installed  ## against every peer, in turn; writes docs/speed.md
	$(BIN)/python benchmarks/speed.py --data $(DATA) --pythae .bench/pythae/bin/python \
	    --keras .bench/keras/bin/python --out docs/speed.md

.bench/%/installed: constraints.txt
	$(PYTHON) -m venv .bench/$*
	.bench/$*/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt $(NEEDS_$*)
	touch $@
NEEDS_pythae := pythae
NEEDS_keras := tensorflow-cpu keras

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/tested: .venv/installed
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

.PHONY: bench check demo docs processors test wheel
