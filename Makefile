PYTHON ?= python3
BIN := .venv/bin

demo: .venv/installed  ## train on real handwritten digits and print the path of the report
	$(BIN)/latentia train digits_vae

test: .venv/tested  ## lint, types and tests, as in CI
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/pytest -q -n 2 --dist worksteal

wheel:  ## install the wheel in a new environment and train the demo's recipe
	PYTHON=$(PYTHON) .ci/wheel

check: test  ## all tests, with those that take longer
	$(BIN)/pytest -q -m slow

processors: .venv/tested  ## tests with the instructions of other processors; TESTS="tests/models" selects some
	.ci/processors $(TESTS)

docs: .venv/tested  ## build the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

DATA ?= ../shared/data/mnist
bench: .venv/installed .bench/pythae/installed .bench/keras/installed  ## compare the speed with every peer; writes docs/benchmarks/speed.md
	$(BIN)/python benchmarks/speed.py --data $(DATA) --pythae .bench/pythae/bin/python \
	    --keras .bench/keras/bin/python --out docs/benchmarks/speed.md

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
