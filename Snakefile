"""The LEP paper as a graph: from raw text and two pairs of models to every table and figure."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


report: "rules/report/workflow.rst"


include: "rules/common.smk"
include: "rules/fetch.smk"
include: "rules/corpus.smk"
include: "rules/tokenize.smk"
include: "rules/pretrain.smk"
include: "rules/propagate.smk"
include: "rules/calibrate.smk"
include: "rules/evaluate.smk"
include: "rules/paper.smk"


rule all:
    default_target: True
    input:
        final_outputs(),
