# Everything runs in .venv, made here from constraints.txt: only Python 3.10 to 3.12 and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

BUNDLE := build/static-512x512
PHOTO := build/photos/astronaut.png
IMAGES ?= build/photos
CHECKPOINT ?=
CALIBRATION ?=
CALIBRATION_OPTION := $(if $(CALIBRATION),--calibration $(CALIBRATION))
CHECKPOINT_OPTION := $(if $(CHECKPOINT),--checkpoint $(CHECKPOINT))

.PHONY: help demo test lint export-static parity bench clean

help:
	@echo "make demo           set up, export, round-trip a photograph, print the proof"
	@echo "make export-static  the checkpoint to $(BUNDLE)"
	@echo "make parity         hold $(BUNDLE) against PyTorch (IMAGES=file or folder)"
	@echo "make bench          time the runtime and PyTorch side by side"
	@echo "make test, lint     what CI runs"
	@echo "make clean          remove build/"
	@echo "CALIBRATION=... takes your own photographs (a folder) for exact arithmetic"
	@echo "CHECKPOINT=... takes your own checkpoint, PYTHON=... another Python (3.10 to 3.12)"

$(READY): pyproject.toml constraints.txt
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
	$(BIN)/elic compress $(PHOTO) build/astronaut.elic --bundle $(BUNDLE)
	$(BIN)/elic decompress build/astronaut.elic build/astronaut.png --bundle $(BUNDLE)
	$(BIN)/elic info build/astronaut.elic
	$(BIN)/elic-export parity $(BUNDLE) --images $(PHOTO) $(CHECKPOINT_OPTION)

export-static: $(READY)
	$(BIN)/elic-export static --config deploy_configs/static-512x512.yaml --out $(BUNDLE) $(CHECKPOINT_OPTION) $(CALIBRATION_OPTION)

$(BUNDLE)/manifest.json: | $(READY)
	$(MAKE) export-static

parity: $(READY) $(PHOTO) $(BUNDLE)/manifest.json
	$(BIN)/elic-export parity $(BUNDLE) --images $(IMAGES) $(CHECKPOINT_OPTION)

bench: $(READY) $(PHOTO) $(BUNDLE)/manifest.json
	$(BIN)/elic-export bench $(BUNDLE) --image $(PHOTO) $(CHECKPOINT_OPTION)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(READY)
	$(BIN)/pytest

clean:
	rm -rf build
