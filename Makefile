# Everything runs in .venv, made here from constraints.txt: only Python 3.10 to 3.12 and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

STATIC := build/static-512x512
DYNAMIC := build/dynamic-1280x1280
NO_ENTROPY := build/no-entropy-512x512
REPORT := build/report
BUNDLE ?= $(STATIC)
PHOTO := build/photos/astronaut.png
IMAGES ?= build/photos
# Two processes that share the tests; a process takes up to 3 GB. PyTorch's threads must not spin while they wait for each
# other: they would take the processor from the other process, and tests of the exporter twice as long.
PYTEST := OMP_WAIT_POLICY=PASSIVE $(BIN)/pytest --numprocesses 2 --dist worksteal
CONFIG ?=
OUT ?=
CHECKPOINT ?=
CALIBRATION ?=
CHECKPOINT_OPTION := $(if $(CHECKPOINT),--checkpoint $(CHECKPOINT))
EXPORT_OPTIONS := $(if $(CONFIG),--config $(CONFIG)) $(CHECKPOINT_OPTION) $(if $(CALIBRATION),--calibration $(CALIBRATION))

.PHONY: help demo test test-all lint export-static export-dynamic export-no-entropy parity eval report bench docs wheels test-arm test-x86 setup-rknn setup-qnn clean

help:
	@echo "make demo               set up, export, round-trip a photograph, print the proof"
	@echo "make export-static      the checkpoint to $(STATIC): subgraphs of one image shape"
	@echo "make export-dynamic     to $(DYNAMIC): subgraphs of a range of shapes"
	@echo "make export-no-entropy  to $(NO_ENTROPY): one end-to-end graph"
	@echo "make parity             hold BUNDLE=$(BUNDLE) against PyTorch (IMAGES=file or folder)"
	@echo "make eval               PSNR and bits per pixel of IMAGES through BUNDLE"
	@echo "make report             curves, other codecs and pictures of four photographs: $(REPORT)/report.html"
	@echo "make bench              time the runtime and PyTorch side by side"
	@echo "make lint, test         what to run before a commit"
	@echo "make test-all           every test, as CI runs them"
	@echo "make docs               these pages and the Python API as a site, to build/docs"
	@echo "make test-arm, test-x86 files that cross between this machine and emulated ones"
	@echo "make wheels             wheels of Linux, macOS and Windows, x86-64 and ARM, to dist/"
	@echo "make setup-rknn, -qnn   Rockchip's and Qualcomm's compilers, proprietary, in environments of their own"
	@echo "make clean              remove build/"
	@echo "CONFIG=... and OUT=... export something else: see deploy_configs/"
	@echo "CALIBRATION=... takes your own photographs (a folder) for exact arithmetic"
	@echo "CHECKPOINT=... takes your own checkpoint, PYTHON=... another Python (3.10 to 3.12)"

$(READY): pyproject.toml constraints.txt hatch_build.py runtime/elic_runtime/coder/rans.c
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' \
		|| { echo "Python 3.10 to 3.12 is needed: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[export,dev]'
	@touch $@

# A photograph that scikit-image ships: the demonstration needs no download.
$(PHOTO): | $(READY)
	@mkdir -p $(@D)
	@cp "$$($(BIN)/python -c 'import pathlib, skimage; print(pathlib.Path(skimage.__file__).parent)')"/data/astronaut.png $@

demo: $(READY) $(PHOTO) export-static
	$(BIN)/elic compress $(PHOTO) build/astronaut.elic --bundle $(STATIC)
	$(BIN)/elic decompress build/astronaut.elic build/astronaut.png --bundle $(STATIC)
	$(BIN)/elic info build/astronaut.elic
	$(BIN)/elic-export parity $(STATIC) --images $(PHOTO) $(CHECKPOINT_OPTION)

export-static: $(READY)
	$(BIN)/elic-export static --out $(or $(OUT),$(STATIC)) $(EXPORT_OPTIONS)

export-dynamic: $(READY)
	$(BIN)/elic-export dynamic --out $(or $(OUT),$(DYNAMIC)) $(EXPORT_OPTIONS)

export-no-entropy: $(READY)
	$(BIN)/elic-export no-entropy --out $(or $(OUT),$(NO_ENTROPY)) $(EXPORT_OPTIONS)

$(STATIC)/manifest.json: | $(READY)
	$(MAKE) export-static

$(DYNAMIC)/manifest.json: | $(READY)
	$(MAKE) export-dynamic

$(NO_ENTROPY)/manifest.json: | $(READY)
	$(MAKE) export-no-entropy

parity: $(READY) $(PHOTO) $(BUNDLE)/manifest.json
	$(BIN)/elic-export parity $(BUNDLE) --images $(IMAGES) $(CHECKPOINT_OPTION)

eval: $(READY) $(PHOTO) $(BUNDLE)/manifest.json
	$(BIN)/elic eval --bundle $(BUNDLE) --images $(IMAGES)

# Four that scikit-image ships.
report: PHOTOS = $(shell $(BIN)/python -c 'import pathlib, skimage; print(pathlib.Path(skimage.__file__).parent)')/data
report: $(READY) $(BUNDLE)/manifest.json
	@mkdir -p build/photographs
	@cp $(PHOTOS)/astronaut.png $(PHOTOS)/chelsea.png $(PHOTOS)/coffee.png $(PHOTOS)/motorcycle_left.png build/photographs
	$(BIN)/elic eval --bundle $(BUNDLE) --images build/photographs --out $(REPORT)

bench: $(READY) $(PHOTO) $(BUNDLE)/manifest.json
	$(BIN)/elic-export bench $(BUNDLE) --image $(PHOTO) $(CHECKPOINT_OPTION)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(READY)
	$(PYTEST) -m "not slow"

test-all: $(READY)
	$(PYTEST)

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir build/docs

wheels: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[wheels]'
	$(BIN)/python scripts/build_wheels.py dist

# Emulated processors; on Debian or Ubuntu, without installing anything there.
test-arm test-x86: test-%: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[wheels]'
	$(BIN)/python scripts/cross_machines.py $*

# Compilers that are proprietary and pin other versions: each in an environment of its own, with the runtime beside it.
setup-rknn setup-qnn: setup-%:
	@sed -n 's/^# //p' deploy_configs/$*-requirements.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/pip install --quiet --no-deps --requirement deploy_configs/$*-requirements.txt
	.venv-$*/bin/pip install --quiet --no-deps --editable .

clean:
	rm -rf build
