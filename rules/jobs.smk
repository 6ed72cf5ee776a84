"""The settings of every expensive job as a JSON file: all that the job reads of the configuration, and nothing else."""

MEASURED_FIRST = {
    "pretrain",
    "pretrain_direct",
    "pretrain_sweep",
    "calibrate",
    "answer_prompts",
}


# Trainings and answers wait for the smoke job where a run begins with checks. Through their settings, whose content stays
# the same: an input of the trainings themselves would repeat them when `preflight` changes.
rule write_job:
    input:
        lambda wildcards: (
            ancient(f"{RUN.results}/smoke.json")
            if config["preflight"] and wildcards.rule_name in MEASURED_FIRST
            else []
        ),
    output:
        job="<results>/{seed}jobs/{rule_name}/{target}.json",
    log:
        "<logs>/{seed}write_job/{rule_name}/{target}.log",
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        job=lambda wildcards: jobs.job_settings(
            RUN.at(wildcards.seed),
            wildcards.rule_name,
            *wildcards.target.split("/"),
        ),
    message:
        "Writing the settings of {wildcards.rule_name} {wildcards.seed}{wildcards.target}"
    script:
        "../scripts/write_job.py"
