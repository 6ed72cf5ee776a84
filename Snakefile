"""The LEP paper as a graph: from raw text and two pairs of models to every table and figure."""

from snakemake.utils import min_version

min_version("9.27")


include: "rules/place.smk"


configfile: "config.yaml"


report: "rules/report/workflow.rst"


include: "rules/common.smk"
include: "rules/fetch.smk"
include: "rules/corpus.smk"
include: "rules/benchmark.smk"
include: "rules/stand_ins.smk"
include: "rules/models.smk"
include: "rules/vocabulary.smk"
include: "rules/propagation.smk"
include: "rules/pretraining.smk"
include: "rules/calibration.smk"
include: "rules/evaluation.smk"
include: "rules/jobs.smk"
include: "rules/report.smk"
include: "rules/preflight.smk"


if RUN.adopts_donors:

    include: "rules/published_donors.smk"


include: "rules/reruns.smk"


rule all:
    default_target: True
    input:
        FINAL if RUN.is_benchmarked else ADAPTED,
    localrule: True
