"""The settings of every expensive job as a JSON file: all that the job reads of the configuration, and nothing else."""


rule write_job:
    output:
        job="<results>/jobs/{rule_name}/{target}.json",
    log:
        "<logs>/write_job/{rule_name}/{target}.log",
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        job=lambda wildcards: jobs.job_settings(
            RUN, wildcards.rule_name, *wildcards.target.split("/")
        ),
    message:
        "Writing the settings of {wildcards.rule_name} {wildcards.target}"
    script:
        "../scripts/write_job.py"
