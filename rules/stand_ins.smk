"""Training of the stand-in models, for `stand_ins: trained`; else the shipped ones of data/stand_ins are used."""


rule train_original_tokenizer:
    input:
        documents=documents("train"),
    output:
        manifest=f"{RESULTS}/stand_ins/{{family}}/tokenizer/manifest.json",
    log:
        logs("train_original_tokenizer/{family}"),
    benchmark:
        times("train_original_tokenizer/{family}")
    conda:
        "../envs/train.yaml"
    params:
        size=lambda wildcards: config["stand_in_training"]["tokenizer_size"][
            wildcards.family
        ],
        russian=config["stand_in_training"]["russian_share"],
        characters=config["stand_in_training"]["tokenizer_characters"],
    message:
        "Training the original tokenizer of the stand-in family {wildcards.family}"
    script:
        "../scripts/train_original_tokenizer.py"


rule train_stand_in:
    input:
        job=job_file("stand_ins", "{family}", "{role}"),
        tokenizer=rules.train_original_tokenizer.output.manifest,
        documents=documents("train"),
        parent=lambda wildcards: (
            f"{RESULTS}/stand_ins/{wildcards.family}/base/manifest.json"
            if wildcards.role == "instruct"
            else []
        ),
    output:
        manifest=f"{RESULTS}/stand_ins/{{family}}/{{role}}/manifest.json",
    log:
        logs("train_stand_in/{family}/{role}"),
    benchmark:
        times("train_stand_in/{family}/{role}")
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        mem_mb=COMPUTE["memory_mb"],
        runtime=COMPUTE["runtime_minutes"],
    message:
        "Training the stand-in {wildcards.family}/{wildcards.role}"
    shell:
        "python -m lep.stand_ins.train --config {input.job} > {log} 2>&1"
