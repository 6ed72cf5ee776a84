"""From source files to the clean corpus, its splits, and the miniature benchmark."""


rule build_corpus:
    input:
        sources=[source_path(source) for source in config["corpus"]["sources"]],
        table="data/sources.csv",
        code=library("corpus"),
    output:
        manifest=f"{RESULTS}/corpus/manifest.json",
    log:
        logs("build_corpus"),
    benchmark:
        times("build_corpus")
    message:
        "Cleaning, deduplicating and splitting the corpus"
    conda:
        "../envs/corpus.yaml"
    params:
        sources=corpus_sources(),
        recipe=corpus_recipe(),
    script:
        "../scripts/build_corpus.py"


rule make_benchmark:
    input:
        corpus=rules.build_corpus.output.manifest,
        code=library("benchmark"),
    output:
        manifest=f"{RESULTS}/benchmark/manifest.json",
    log:
        logs("make_benchmark"),
    benchmark:
        times("make_benchmark")
    message:
        "Making the miniature Darumeru tasks from the corpus"
    conda:
        "../envs/corpus.yaml"
    params:
        items=config["evaluation"]["items"],
        seed=config["seed"],
    script:
        "../scripts/make_benchmark.py"
