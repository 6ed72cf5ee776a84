"""Training of the stand-in models, for `stand_ins: trained`; else the shipped ones of data/stand_ins are used."""


rule train_original_tokenizer:
    input:
        documents="<results>/corpus/train.jsonl",
    output:
        manifest="<results>/stand_ins/{family}/tokenizer/manifest.json",
    log:
        "<logs>/train_original_tokenizer/{family}.log",
    benchmark:
        "<benchmarks>/train_original_tokenizer/{family}.tsv"
    conda:
        "../envs/train.yaml"
    params:
        size=lambda wildcards: config["stand_in_training"]["tokenizer_size"][
            wildcards.family
        ],
        russian=config["stand_in_training"]["russian_share"]["tokenizer"],
        characters=config["stand_in_training"]["tokenizer_characters"],
    message:
        "Training the original tokenizer of the stand-in family {wildcards.family}"
    script:
        "../scripts/train_original_tokenizer.py"


rule train_stand_in:
    input:
        job="<results>/jobs/train_stand_in/{family}/{role}.json",
        tokenizer=lambda wildcards: RUN.manifest(
            "stand_ins", family_of(wildcards.family), "tokenizer"
        ),
        documents="<results>/corpus/train.jsonl",
        parent=branch(
            lambda wildcards: wildcards.role == "instruct",
            then=lambda wildcards: RUN.manifest(
                "stand_ins", family_of(wildcards.family), "base"
            ),
            otherwise=[],
        ),
    output:
        manifest="<results>/stand_ins/{family}/{role}/manifest.json",
    log:
        "<logs>/train_stand_in/{family}/{role}.log",
    benchmark:
        "<benchmarks>/train_stand_in/{family}/{role}.tsv"
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        mem_mb=COMPUTE["memory_mb"],
        runtime=COMPUTE["runtime_minutes"],
    message:
        "Training the stand-in {wildcards.family}/{wildcards.role}"
    shell:
        "python -m lep.stand_ins.train --config {input.job:q} > {log:q} 2>&1"
