"""Checks of access, versions, partitions, GPUs and disk: alone, or before the first job (`preflight: true`)."""

import subprocess
import tempfile

from lep.fetch.endpoint import elsewhere_fault
from snakemake.exceptions import WorkflowError


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


onstart:
    planned = {job.rule.name for job in workflow.dag.needrun_jobs()}
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
            ]
            checked = subprocess.run(
                command, env=os.environ | {"HF_HUB_OFFLINE": "0"}
            )
        if checked.returncode:
            raise WorkflowError(
                "the run was not started: see above (preflight: false in the configuration starts it all the same)"
            )
