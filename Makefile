# Thin: everything the targets do is done by Snakemake, pytest or pip. `make` alone lists the targets.
PYTHON ?= python3
CORES  ?= all
SCALE  ?= mini
CONFIG ?=
ARGS   ?=
SEEDS  ?=
GPUS   ?= 0

ifneq ($(words $(CURDIR)),1)
$(error Snakemake cannot work below a folder with a space in its name: move this checkout, now '$(CURDIR)')
endif

SCALES    = mini $(patsubst configs/%.yaml,%,$(wildcard configs/*.yaml))
# One known scale, or an error for the targets that use it.
KNOWN     = $(if $(and $(filter 1,$(words $(SCALE))),$(if $(filter-out $(SCALES),$(SCALE)),,yes)),$(SCALE),$(error \
  SCALE is '$(SCALE)'; use one of $(SCALES)))
FILES     = $(patsubst %,configs/%.yaml,$(filter-out mini,$(KNOWN))) $(CONFIG)
OVERLAY   = $(if $(strip $(FILES)),--configfile $(FILES))
# The folder of the last `scale` among these files.
RESULTS   = results/$(or $(lastword $(shell sed -nE 's/^scale: *([a-z][a-z0-9_]*) *(\#.*)?$$/\1/p' config.yaml $(FILES))),\
  $(error config.yaml must have a line such as 'scale: mini'))
# Snakemake, but configuration files and values of SCALE, CONFIG and ARGS add up.
SNAKEMAKE = .venv/bin/python -m lep.workflow.command_line $(OVERLAY) --cores $(CORES)$(if $(SEEDS), --config 'seeds=$(SEEDS)')

.PHONY: help paper test plan times preflight smoke figures record explain report lint format docs envs clean clean-models

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14
	@echo 'Variables: SCALE=mini|ci|laptop|small|paper, CONFIG="files on top of it", SEEDS=1, CORES=all, PYTHON=python3,'
	@echo '           ARGS="more options of Snakemake or pytest"'

paper: .venv/.installed  ## build every table, every figure and the PDF into results/SCALE/
	@start=$$(date +%s); $(SNAKEMAKE) $(ARGS) && \
	echo "Finished in $$(( $$(date +%s) - start )) s. In $(RESULTS)/ (paper/paper.pdf is the report):" && \
	{ du -shc $(RESULTS)/* 2>/dev/null || true; }

test: .venv/.installed  ## lint and every test that needs neither GPU nor SLURM
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 $(ARGS)

# The jobs of a dry run in $$folder, for the recipe that follows.
LIST_JOBS = folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	{ LEP_CONFIG_TO=$$folder/config.json PYTHONPATH=scripts $(SNAKEMAKE) $(ARGS) --dry-run --nolock --quiet all \
	  --logger jobs --logger-jobs-file $$folder/jobs.jsonl $(1) > $$folder/log 2>&1 || { cat $$folder/log >&2; exit 1; }; }

plan: .venv/.installed  ## what would run now, why, and what it costs; GPUS=8: on so many GPUs
	@$(LIST_JOBS) && grep '^scale ' $$folder/log && \
	.venv/bin/python -m lep.plan --jobs $$folder/jobs.jsonl --config $$folder/config.json --gpus $(GPUS) --cores $(CORES)

times: .venv/.installed  ## what the steps of a finished run took, beside the plan
	@$(call LIST_JOBS,--forceall) && .venv/bin/python -m lep.planning.times --jobs $$folder/jobs.jsonl --config $$folder/config.json \
	  --results $(RESULTS) $(if $(OUTPUT),--output $(OUTPUT))

preflight: .venv/.installed  ## check access to models and data, versions, partitions, GPUs and disk, before a run
	$(SNAKEMAKE) $(ARGS) --quiet host progress rules --nolock -- preflight

smoke: .venv/.installed  ## a few true steps on the GPUs of a training job, beside the plan's numbers, before a run spends money
	$(SNAKEMAKE) $(ARGS) --nolock -- smoke

figures: .venv/.installed  ## tables and figures from scores alone: SOURCE=published or SCORES=path/scores.csv
	.venv/bin/python -m lep.report.draw $(if $(SOURCE),--source $(SOURCE)) $(if $(SCORES),--scores $(SCORES) $(OVERLAY)) $(ARGS)

record: .venv/.installed  ## keep the small files of a finished run in data/recorded/SCALE/, and fill docs/SCALE.md
	$(MAKE) times OUTPUT=$(RESULTS)/tables/times.csv
	.venv/bin/python -m lep.report.record --results $(RESULTS) --output data/recorded/$(notdir $(RESULTS)) \
	  $(addprefix --page ,$(wildcard docs/$(notdir $(RESULTS)).md))

explain: .venv/.installed  ## where a number comes from: CELL=table3/llama/extended/conversion/daru_copy_ru
	.venv/bin/python -m lep.explain $(CELL) --results $(RESULTS) $(ARGS)

report: .venv/.installed  ## Snakemake's own report of a finished run: results/SCALE/report.zip
	$(SNAKEMAKE) --report $(RESULTS)/report.zip $(ARGS)

lint: .venv/.installed  ## the linters alone
	.venv/bin/python -m pytest tests/repository/test_lint.py $(ARGS)

format: .venv/.installed  ## rewrite Python and Snakemake files in the project's format
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
	.venv/bin/snakefmt Snakefile rules

docs: .venv/.installed  ## docs/config.md from the schema, docs/rulegraph.svg from the rules (needs graphviz)
	.venv/bin/python -m lep.workflow.schema_docs
	@command -v tred dot >/dev/null || { echo "error: dot and tred are missing; on Debian and Ubuntu: apt install graphviz" >&2; exit 1; }
	.venv/bin/snakemake --rulegraph dot --nolock --quiet all | tred 2>/dev/null | dot -Tsvg -Granksep=0.3 -Gnodesep=0.15 -o docs/rulegraph.svg

envs: .venv/.installed  ## create the conda environments of envs/ (needs conda), for `--sdm conda`
	$(SNAKEMAKE) --sdm conda --conda-create-envs-only $(ARGS)

clean-models: .venv/.installed  ## delete the models in results/SCALE/ that nothing needs any more
	$(SNAKEMAKE) $(ARGS) --summary all | .venv/bin/python -m lep.workflow.clean_models $(RESULTS)

clean:  ## delete results/SCALE/ (downloads and .venv stay)
	@test -d $(RESULTS) || { echo "$(RESULTS) does not exist: nothing is deleted"; exit 0; } && (set -x; rm -rf $(RESULTS))

# The stamp says the set-up was finished. Without it (a first or a killed set-up) .venv is built afresh.
.venv/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo \
	  "error: Python 3.11 or newer is needed; '$(PYTHON) --version' says: $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo \
	  "error: python3-venv is missing for $(PYTHON); on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@test -e $@ || $(PYTHON) -m venv --clear .venv
	@rm -f $@
	.venv/bin/python -m pip install -r requirements.txt
	.venv/bin/python -m pip install --no-deps --no-build-isolation -e .
	@touch $@
