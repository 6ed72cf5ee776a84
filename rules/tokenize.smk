"""Source models in the model store, new vocabularies, and models with averaged rows for them (paper section 2.1)."""


rule import_model:
    input:
        source=source_model,
    output:
        manifest=model("{family}", "{role}"),
    log:
        logs("import_model/{family}/{role}"),
    benchmark:
        times("import_model/{family}/{role}")
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=COMPUTE["memory_mb"],
    params:
        dtype=COMPUTE["dtype"],
    message:
        "Importing {wildcards.family}/{wildcards.role} into the model store"
    script:
        "../scripts/import_model.py"


rule train_sentencepiece:
    input:
        documents=documents("train"),
    output:
        model=f"{RESULTS}/vocabularies/sentencepiece/{{model_type}}-{{size}}.model",
    log:
        logs("train_sentencepiece/{model_type}-{size}"),
    benchmark:
        times("train_sentencepiece/{model_type}-{size}")
    conda:
        "../envs/tokenize.yaml"
    threads: config["vocabulary"]["threads"]
    params:
        settings=config["vocabulary"],
    message:
        "Training a SentencePiece {wildcards.model_type} model of {wildcards.size} pieces"
    script:
        "../scripts/train_sentencepiece.py"


rule build_vocabulary:
    input:
        original=model("{family}", "base"),
        model=vocabulary_model,
    output:
        manifest=f"{RESULTS}/vocabularies/{{family}}/{{vocabulary}}/manifest.json",
    log:
        logs("build_vocabulary/{family}/{vocabulary}"),
    benchmark:
        times("build_vocabulary/{family}/{vocabulary}")
    conda:
        "../envs/tokenize.yaml"
    params:
        keep=lambda wildcards: (
            FAMILIES[wildcards.family]["optimized_keep"]
            if wildcards.vocabulary == "optimized"
            else None
        ),
    message:
        "Building the vocabulary {wildcards.family}/{wildcards.vocabulary}"
    script:
        "../scripts/build_vocabulary.py"


rule measure_vocabularies:
    input:
        tokenizers=list(all_vocabularies().values()),
        documents=documents("benchmark"),
    output:
        metrics=f"{RESULTS}/vocabularies/metrics.csv",
    log:
        logs("measure_vocabularies"),
    benchmark:
        times("measure_vocabularies")
    conda:
        "../envs/tokenize.yaml"
    params:
        names=list(all_vocabularies()),
    message:
        "Measuring symbols per token on held-out text"
    script:
        "../scripts/measure_vocabularies.py"


rule make_operator:
    input:
        base=model("{family}", "base"),
        vocabulary=rules.build_vocabulary.output.manifest,
    output:
        manifest=f"{RESULTS}/operators/{{family}}/{{vocabulary}}/manifest.json",
    log:
        logs("make_operator/{family}/{vocabulary}"),
    benchmark:
        times("make_operator/{family}/{vocabulary}")
    conda:
        "../envs/train.yaml"
    message:
        "Making the averaging operator {wildcards.family}/{wildcards.vocabulary}"
    script:
        "../scripts/make_operator.py"


rule initialise_embeddings:
    input:
        base=model("{family}", "base"),
        operator=rules.make_operator.output.manifest,
        vocabulary=rules.build_vocabulary.output.manifest,
    output:
        manifest=model("{family}", "{vocabulary}", "init"),
    log:
        logs("initialise_embeddings/{family}/{vocabulary}"),
    benchmark:
        times("initialise_embeddings/{family}/{vocabulary}")
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=COMPUTE["memory_mb"],
    params:
        seed=config["seed"],
    message:
        "Averaging old rows for {wildcards.family}/{wildcards.vocabulary}"
    script:
        "../scripts/initialise_embeddings.py"
