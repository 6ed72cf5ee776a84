"""Checks of access, versions, partitions, GPUs and disk: alone, or before the first job (`preflight: true`)."""

import subprocess
import tempfile

from lep.fetch.endpoint import elsewhere_fault
from snakemake.exceptions import WorkflowError

from lep.compute.determinism import NO_GPU
from lep.compute.place import has_gpu
from lep.log import writing_fault

# Rules with jobs that compute on `compute.device`.
ON_DEVICE = {*jobs.JOBS, "propagate_embeddings"} - {"train_stand_in"}


rule preflight:
    input:
        config="<results>/config.yaml",
    log:
        "<logs>/preflight.log",
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        # Of the Python that runs Snakemake: its versions are checked, not those of an environment.
        python=sys.executable,
    message:
        "Checking access, versions, partitions, GPUs and disk"
    shell:
        "HF_HUB_OFFLINE=0 {params.python:q} -m lep.planning.preflight --config {input.config:q} 2>&1 | tee {log:q}"


# A few true steps on the true number of GPUs: alone, or before the first training.
rule smoke:
    input:
        config="<results>/config.yaml",
    output:
        measured="<results>/smoke.json",
    log:
        "<logs>/smoke.log",
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=COMPUTE["gpus_per_job"],
        nodes=1,
        mem_mb=COMPUTE["memory_mb"],
        runtime=60,
    message:
        "Measuring a few steps on the GPUs of a training job"
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu:q} --nodes {resources.nodes:q}"
        " lep.smoke --config {input.config:q} --output {output.measured:q} > {log:q} 2>&1"


onstart:
    needed = list(workflow.dag.needrun_jobs())
    planned = {job.rule.name for job in needed}
    # Only where the jobs run: the machine that submits to a cluster needs no GPU.
    if (
        COMPUTE["device"] == "cuda"
        and workflow.local_exec
        and not workflow.touch
        and planned & ON_DEVICE
        and not has_gpu()
    ):
        raise WorkflowError(NO_GPU)
    if (
        planned & {"probe_judge", "answer_prompts", "grade_answers"}
        and JUDGE["backend"] == "openai"
        and not workflow.local_exec
        and (fault := elsewhere_fault(JUDGE["endpoint"]))
    ):
        raise WorkflowError(f"the run was not started: {fault}")
    # Skip the checks when only fetch rules run: they need no GPU and often run on another machine.
    if config["preflight"] and not planned <= FETCHING | {
        "preflight",
        "record_config",
    }:
        with tempfile.NamedTemporaryFile(
            "w", suffix=".json", encoding="utf-8"
        ) as file:
            json.dump(config, file)
            file.flush()
            command = [
                sys.executable,
                "-m",
                "lep.planning.preflight",
                "--config",
                file.name,
                *(["--here"] if workflow.local_exec else []),
            ]
            checked = subprocess.run(
                command, env=os.environ | {"HF_HUB_OFFLINE": "0"}
            )
        if checked.returncode:
            raise WorkflowError(
                "the run was not started: see above (preflight: false in the configuration starts it all the same)"
            )
    # A forced run is a run: progress that an earlier one kept is for continuing after a kill.
    if not workflow.touch:
        for job in needed:
            if workflow.dag.reason(job).forced and job.rule.name in jobs.JOBS:
                jobs.forget_progress(
                    RUN.at(job.wildcards_dict.get("seed", "")),
                    job.rule.name,
                    job.input.job,
                )


onerror:
    if fault := writing_fault(ROOT / RUN.results):
        print(
            f"error: {fault}; logs may be empty or cut. Make room and start the same command again: it goes on",
            file=sys.stderr,
        )
