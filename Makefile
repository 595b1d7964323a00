# Everything runs from one virtual environment, .venv, made here and remade when settings.ini changes.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
NB ?=

.PHONY: demo test test-all lab docs gpu clean notebooks export readme bench demos runs

.venv/.base: settings.ini setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -e .
	touch $@

.venv/.ready: .venv/.base
	$(BIN)/python -m pip install -q -e '.[dev]'
	touch $@

.venv/.lab: .venv/.ready
	$(BIN)/python -m pip install -q -e '.[lab]'
	touch $@

demo: .venv/.base           ## draw faces, train the VAE and the GAN of course A, write demo/index.html (under five minutes)
	dlcv_gan hw4 demo --no-acgan

test: .venv/.ready          ## before a commit: lint, notebooks in step, the laws, the notebooks that changed
	bash tests/run

test-all: .venv/.ready      ## what CI runs: the same, every notebook, the built site in a browser, the wheel
	bash tests/run all

lab: .venv/.lab             ## the notebooks in JupyterLab
	jupyter lab nbs

docs: .venv/.ready          ## the site, in docs/_build/html
	$(BIN)/python docs/build.py

gpu: .venv/.ready           ## what a CUDA device can prove in 25 minutes (GPU_MINUTES=120: more); called again, it goes on
	bash tests/gpu

bench: .venv/.ready         ## our learner against the bare loop, plain fp32 and fastai's GANLearner
	dlcv_gan bench

demos: .venv/.ready         ## draw, train and export the models that the site's demos play with (an hour or two)
	$(BIN)/python tools/demos.py train
	$(BIN)/python tools/demos.py export

runs: .venv/.ready          ## draw, train and keep the runs that the package carries (hours; resumable)
	$(BIN)/python tools/runs.py train
	$(BIN)/python tools/runs.py keep

export: .venv/.ready        ## nbs/ -> dlcv_gan/
	nbdev_export

notebooks: .venv/.ready     ## execute in order at laptop scale and stamp (NB="vae gan" for some)
	$(BIN)/python tools/notebooks.py run $(NB)

readme: .venv/.ready        ## nbs/index.ipynb -> README.md
	$(BIN)/python tools/notebooks.py readme

clean:                      ## remove what was built; keep the notebooks and your data
	rm -rf .venv .venv-wheel build dist *.egg-info docs/_build docs/_pages demo .pytest_cache .hypothesis
