# Everything a maintainer, a teacher or a continuous-integration job does with this repository.
# Run `make` to see the targets. Needs Python 3.11 or newer, make and git; nothing else.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first interpreter that is new enough; override with `make PYTHON=/path/to/python …`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Test processes side by side. More than one thread each would only make them wait for each other.
JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
PORT ?= 8000
export OMP_NUM_THREADS ?= 1

##@ Everyday
.PHONY: book
book: $(STAMP)  ## Execute the chapters and build the site into _build/html
	$(BIN)/python tools/build_book.py

.PHONY: pdf
pdf: book  ## Print each chapter into a PDF beside its page (needs Chromium)
	$(BIN)/python tools/print_chapters.py

.PHONY: test
test: $(STAMP)  ## Run the whole test suite (ARGS="-k name" to choose)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

.PHONY: nightly
nightly: $(STAMP)  ## Run the long trainings that `make test` leaves out (ten hours of a core)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m nightly $(ARGS)

.PHONY: bench
bench: $(STAMP)  ## Measure speed beside others' packages (ARGS="gan --device cuda" to choose)
	$(BIN)/python -m benchmarks $(ARGS)

.PHONY: serve
serve: book  ## Build the site and serve it on http://localhost:8000 (PORT=…)
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

.PHONY: lint
lint: $(STAMP)  ## Check style and types (ruff, mypy); nothing is changed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: format
format: $(STAMP)  ## Apply ruff's fixes and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: linkcheck
linkcheck: $(STAMP)  ## Look up every external link of the book (needs internet)
	$(BIN)/python tools/build_book.py --linkcheck

##@ Teaching
.PHONY: release
release: $(STAMP)  ## Write assignments/ from solutions/ (PS=ps5 for one set)
	$(BIN)/python tools/release.py $(PS)

.PHONY: grade
grade: $(STAMP)  ## Grade the hand-ins in a folder or zip: make grade PS=ps5 DIR=../hand-ins
	@test -n "$(PS)" && test -n "$(DIR)" || { \
		echo "Say which problem set and where its hand-ins are: make grade PS=ps5 DIR=../hand-ins" >&2; exit 2; }
	$(BIN)/gencourse grade $(PS) "$(DIR)" $(ARGS)

.PHONY: public
public: $(STAMP)  ## Write the tree to publish, without solutions: make public DIR=../public
	@test -n "$(DIR)" || { \
		echo "Say where to write the tree that students may see: make public DIR=../gencourse-public" >&2; exit 2; }
	$(BIN)/python tools/public_tree.py "$(DIR)"

##@ Housekeeping
.PHONY: install
install: $(STAMP)  ## Make .venv/ and install everything, pinned by constraints.txt

.PHONY: constraints
constraints: $(STAMP)  ## Pin what .venv/ holds now in constraints.txt (after an upgrade)
	$(BIN)/python tools/pin.py

.PHONY: features
features: $(STAMP)  ## Train the classifiers that judge digits and glyphs again (some minutes)
	$(BIN)/python tools/train_classifier.py

.PHONY: clean
clean:  ## Remove what was built, keeping .venv/ and executed chapters
	$(if $(wildcard _build),find _build -mindepth 1 -maxdepth 1 ! -name .jupyter_cache -exec rm -rf {} +)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: distclean
distclean: clean  ## Remove the environment and executed chapters too
	rm -rf _build $(VENV) *.egg-info

.PHONY: help
help:  ## Show this list
	@awk 'BEGIN { FS = ":.*##"; printf "make TARGET\n" } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*##/ { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# The stamp is written last, so an interrupted installation is taken up again by the next make.
# Editing pyproject.toml or constraints.txt installs again.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { \
		echo "gencourse needs Python 3.11 or newer and found: $$(python3 --version 2>&1 || echo none)." >&2; \
		echo "Install one (https://www.python.org/downloads/), or name it: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; }
	@rm -f $@
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV) || { \
		rm -rf $(VENV); \
		echo "Python could not make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[book,grading,dev]'
	@touch $@
