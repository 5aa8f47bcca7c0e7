# make demo: set up .venv and run the default suite.   make test: set up .venv and run the tests.
PYTHON ?= python3
BIN := .venv/bin
CORES ?= all

.PHONY: demo test test-slow test-cluster test-browser soak bench docs lint format lock clean

demo: .venv/ready
	$(BIN)/ddcl adopt
	$(BIN)/snakemake --cores $(CORES)
	@echo "report: results/report/index.html   tables: results/tables/   figures: results/figures/"

# The default run: everything but the tests marked slow.
test: .venv/ready
	$(BIN)/python -m pytest -n auto --dist loadfile --durations 10

# The slow tests: whole runs of the DAG, kills in the middle, full disks.
test-slow: .venv/ready
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile --no-loadscope-reorder --durations 10

# `snakemake --profile slurm all` on a real Slurm of one node, started for the test; needs root, and from Debian
# slurmctld slurmd slurm-client munge. Skipped, saying so, where these are missing.
test-cluster: .venv/ready
	$(BIN)/python -m pytest -m cluster -rs tests/cluster

# The report page in a headless Chromium, and an HTML validator; needs chromium, chromium-driver and default-jre-headless
# from Debian. Skipped, saying so, where these are missing.
test-browser: .venv/ready
	$(BIN)/python -m pytest -m browser -rs tests/browser

# A hundred kills at random moments, after which the records must be those of an undisturbed run. About 15 minutes on
# two idle cores; writes benchmarks/results/soak.csv.
soak: .venv/ready
	$(BIN)/python -m tests.soak

# Speed against the peer paths, side by side; writes benchmarks/results. About an hour on two idle cores. One of the
# peers, lightly, is no dependency: without it, a line says what to install.
bench: .venv/ready
	@$(BIN)/python benchmarks/lightly_peer.py
	for name in augmentation step evaluation probe extraction knn dag jobs collect; do $(BIN)/python benchmarks/$$name.py || exit 1; done

# The documentation as a site, in site/. Any dead link or anchor is an error.
docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "documentation: site/index.html"

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow ddcl/templates
	$(BIN)/snakemake --lint

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow ddcl/templates

# One step: the stamp is touched only when all of it succeeded.
.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "ddcl: error: Python 3.11 or later is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1); set PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Resolve the newest versions that pyproject.toml allows, for every platform (needs uv).
lock:
	uv pip compile --universal --python-version 3.11 --extra dev pyproject.toml --no-emit-index-url --no-header \
	  --no-annotate --output-file requirements.lock
	sed -i '1i # Tested versions of everything, for Python 3.11 and later; no index is named. Made by: make lock' requirements.lock

clean:
	rm -rf .venv .snakemake results/runs results/data results/logs results/costs
