"""The LEP paper as a graph: from raw text and two pairs of models to every table and figure."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


report: "rules/report/workflow.rst"


include: "rules/common.smk"
include: "rules/functions/fetch.smk"
include: "rules/functions/corpus.smk"
include: "rules/functions/stand_ins.smk"
include: "rules/functions/tokenize.smk"
include: "rules/functions/pretrain.smk"
include: "rules/functions/adopt.smk"
include: "rules/functions/calibrate.smk"
include: "rules/functions/evaluate.smk"
include: "rules/functions/paper.smk"
include: "rules/fetch.smk"
include: "rules/corpus.smk"
include: "rules/stand_ins.smk"
include: "rules/tokenize.smk"
include: "rules/pretrain.smk"
include: "rules/propagate.smk"
include: "rules/calibrate.smk"
include: "rules/evaluate.smk"
include: "rules/jobs.smk"
include: "rules/paper.smk"


if PUBLISHED_DONORS:

    include: "rules/adopt.smk"


localrules:
    all,
    lock_sources,
    fetch_package,
    fetch_dataset,
    fetch_model,
    fetch_benchmark,
    fetch_all,
    preflight,
    write_job,
    corpus,
    gather_scores,
    gather_metrics,
    identify_run,
    record_config,
    make_table,
    report_vocabularies,
    tokenizers,
    models,
    plot_figure1,
    plot_figure2,
    plot_figure3,
    plot_symbols,
    plot_training,
    make_search_table,
    list_errors,
    build_report,
    write_model_cards,


onstart:
    # To fetch needs neither GPU nor partition, and may happen on another machine.
    planned = {job.rule.name for job in workflow.dag.needrun_jobs()}
    if config["preflight"] and not planned <= FETCHING:
        check_before_start()


# A rule with a script repeats when what the script or the library behind it does changes; comments do not count.
for each in workflow.rules:
    if each.script:
        each.set_params(code=script_version(each.script))


rule all:
    default_target: True
    input:
        final_outputs(),
