# `make book` builds the executed book in _build/html; `make test` runs every test, `make test-fast` all but those of the
# book. Each sets up all it needs in .venv.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# CPU wheels of torch where the package index serves CUDA builds: make book TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
JOBS ?= 2
RERUN ?=
VARIANTS ?=
PYTEST ?=
BIN := .venv/bin
# The longest tests come first; whoever is done takes tests from the others.
PARALLEL := -n $(JOBS) --dist worksteal
# Threads that sleep while they wait, not spin: several processes share few cores.
export OMP_WAIT_POLICY := passive
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c binder/constraints.txt

.PHONY: book test test-fast rerun portable setup tools sync lock lint clean

book: setup
	$(BIN)/python binder/stale.py
	$(BIN)/jupyter-book build . -W -n --keep-going
	@echo "The book is at _build/html/index.html"

test: setup
	@test -f _build/html/index.html || $(MAKE) book
	binder/tools.sh chromium libatomic.so.1
	$(BIN)/ruff check .
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST)

# Everything but the book: no chapter runs. New random examples: make test-fast PYTEST=--hypothesis-profile=random
test-fast: setup
	$(BIN)/ruff check .
	$(BIN)/python -m pytest $(PARALLEL) --ignore tests/book $(PYTEST)

# What moved: every chapter again with papermill, its results beside the expected. make rerun RERUN="kamir cae --jobs 1"
rerun: setup
	$(BIN)/python tests/book/rerun.py --jobs $(JOBS) $(RERUN)

# The same on other processors, as far as this one can imitate them. make portable VARIANTS="sse" RERUN="kamir"
portable: setup
	$(BIN)/python tests/book/portable.py $(VARIANTS) -- --jobs $(JOBS) $(RERUN)

setup: tools .venv/.ready

tools:
	binder/tools.sh ffmpeg ffprobe

.venv/.ready: pyproject.toml binder/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "CPython 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "python3 -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 2; }
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX),) $$($(BIN)/python binder/sync.py --print torch)
	$(PIP) -e '.[datasets,book,cluster,train,triton,test]'
	$(PIP) --no-deps $$($(BIN)/python binder/sync.py --print no-deps)
	@touch $@

# Derive environment.yml, launch links, badges and install cells from pyproject.toml.
sync: .venv/.ready
	$(BIN)/python binder/sync.py

# Freeze what is installed into the constraints that every set-up uses.
lock: .venv/.ready
	$(BIN)/python binder/sync.py --lock

lint: setup
	$(BIN)/ruff check .

clean:
	rm -rf _build results
