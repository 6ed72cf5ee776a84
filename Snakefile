"""The LEP paper as a graph: from raw text and two pairs of models to every table and figure."""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.27")

if not os.path.samefile(workflow.basedir, os.getcwd()):
    raise WorkflowError(
        f"all paths are relative to {workflow.basedir}: start Snakemake there, without -d/--directory"
    )
if " " in workflow.basedir:
    raise WorkflowError(
        f"Snakemake cannot work below a folder with a space in its name: move {workflow.basedir}"
    )


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
