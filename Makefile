PYTHON ?= python3
BIN := .venv/bin

demo: .venv/installed  ## train on real handwritten digits and print where the report is
	$(BIN)/latentia train digits_vae

test: .venv/tested  ## lint, types and tests, as CI runs them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/pytest -q -n 2

check: test  ## and what takes longer
	$(BIN)/pytest -q -m slow

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/tested: .venv/installed
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

.PHONY: demo test check
