"""The settings of every expensive job as a JSON file: all that the job reads of the configuration, and nothing else."""

JOBS = {
    "stand_ins": stand_in_job,
    "adopt": adopt_job,
    "pretrain": pretrain_job,
    "pretrain_sweep": sweep_job,
    "answers": answer_job,
    "calibrate": calibrate_job,
    "evaluate": evaluate_job,
    "evaluate_part": evaluate_part_job,
    "samples": lambda name: sample_job(),
}


rule write_job:
    output:
        job=job_file("{step}", "{target}"),
    log:
        logs("write_job/{step}/{target}"),
    conda:
        "../envs/corpus.yaml"
    params:
        job=lambda wildcards: JOBS[wildcards.step](*Path(wildcards.target).parts),
    message:
        "Writing the settings of {wildcards.step} {wildcards.target}"
    script:
        "../scripts/write_job.py"
