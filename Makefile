PYTHON ?= python3
BIN := .venv/bin

# train a run, or continue it where an earlier call was stopped: $(call train,NAME,RECIPE OPTIONS)
train = $(BIN)/latentia $(if $(wildcard runs/$(1)),resume runs/$(1),train $(2) --run runs/$(1))
demo: .venv/installed runs/demo-images  ## train on real handwritten digits and print the path of the report
	$(call train,demo,digits_vae --data runs/demo-images --latent 16 --beta 1 --epochs 50 --threads 1)
	$(call train,demo-prior,latent_prior --autoencoder runs/demo --cond label --width 128 --batch 128 --epochs 40 --threads 1)
	$(BIN)/latentia report runs/demo

runs/demo-images: | .venv/installed
	$(BIN)/python benchmarks/write_digits.py $@

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
