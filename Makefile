# make demo: the whole path, from releases to the paper's table, on synthetic faces.  make test: all checks.
# make damage: 500 random damages to a finished store and its faces; none may change a number without a word.
# make fuzz: 10,000 damaged inputs of every kind; each is read, or refused by one clear error, in time and memory. Then 2,400
# pictures through detector and landmarks, each kind of landmarks, of which make test takes 100.
# make claims: thousands of studies in which no plan is better; how often one of their claims falsely shows.
# make faults: 100 kills of a sweep with two workers at random moments; it ends as if nothing had happened.
# make long: what make test leaves out because it takes long: the site, notebooks, kills, two workers, servers that hang.
# make cluster: the launchers for real, on a SLURM and a Ray of this machine, submitit, and processes killed while they train together.
# make wheel: sdist and wheel are built and tried in an empty environment.  make docs: the documentation, into site/.
# make notebooks: the notebooks run on synthetic faces, and are written with what they show; a minute or two.
# make lock: constraints/ anew, one file for each Python, with uv, which reads what packages say of themselves and installs nothing.
# All create .venv when it is not there, by uv where it is there, otherwise by pip, with the same versions (constraints/).
# Both take torch's CUDA build, gigabytes, unless told where another is; uv reads nothing of pip's: UV_TORCH_BACKEND=cpu make demo.
# PYTHON=python3.13 make demo chooses another interpreter (3.10 to 3.14; docs/install.md says what is tested).
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3.10 python3.14 python3,$(shell command -v $(p))))
BIN := .venv/bin
PYTHONS := 3.10 3.11 3.12 3.13 3.14
# Asked for by the shell, when the Python is there.
LOCK = constraints/py$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt
# Compiled afterwards, on all cores, and without what tests the packages; a template that only ends in .py does not compile.
INSTALL = $(if $(shell command -v uv),uv pip install --python $(BIN)/python,$(BIN)/pip install --no-compile)
COMPILE = $(BIN)/python -m compileall -qq -j 0 -x '/site-packages/.*/tests/' .venv/lib/python*/site-packages || true

.PHONY: demo test long wheel docs notebooks claims cluster damage faults fuzz format lock clean
.DEFAULT_GOAL := help

help:
	@sed -n '1,3s/^# //p' $(MAKEFILE_LIST)

.venv/installed: pyproject.toml $(wildcard constraints/*.txt)
	@echo "setting up .venv (a few minutes the first time)"
	$(PYTHON) -m venv .venv
	$(INSTALL) --quiet --constraint $(LOCK) --editable '.[dev]'
	$(COMPILE)
	touch $@

demo: .venv/installed
	$(BIN)/fer-demo

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

long: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/pytest -m long -n auto --maxprocesses 8 --dist loadfile

fuzz: .venv/installed
	PYTHONPATH=tests $(BIN)/python tests/fuzz.py --count 10000
	ODD_PICTURES=2400 $(BIN)/pytest tests/detection/test_pipeline.py -k odd_and_damaged

wheel: .venv/installed
	tests/wheel.sh $(BIN)/python

notebooks: .venv/installed
	$(BIN)/python notebooks/execute.py

docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

cluster: .venv/installed
	$(INSTALL) --quiet --constraint $(LOCK) --editable '.[dev,ray]'
	$(COMPILE)
	$(BIN)/pytest -m cluster

faults: .venv/installed
	PYTHONPATH=tests $(BIN)/python tests/faults.py --kills 100 --seed 0

claims: .venv/installed
	$(BIN)/python tests/false_claims.py

damage: .venv/installed
	$(BIN)/python tests/damage.py --count 500 --seed 0

lock:
	for v in $(PYTHONS); do uv pip compile --quiet --upgrade --python-version $$v --extra dev --no-annotate --no-header \
		pyproject.toml -o constraints/py$$v.txt || exit 1; done

clean:
	rm -rf .venv demo site
