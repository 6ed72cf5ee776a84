"""From source files to the clean corpus, its splits, and the miniature benchmark."""


rule build_corpus:
    input:
        sources=[source_path(source) for source in config["corpus"]["sources"]],
        table="data/sources.csv",
    output:
        manifest=f"{RESULTS}/corpus/manifest.json",
        train=documents("train"),
        validation=documents("validation"),
        benchmark=documents("benchmark"),
    log:
        logs("build_corpus"),
    benchmark:
        times("build_corpus")
    conda:
        "../envs/corpus.yaml"
    params:
        sources=corpus_sources(),
        recipe=corpus_recipe(),
    message:
        "Cleaning, deduplicating and splitting the corpus"
    script:
        "../scripts/build_corpus.py"


rule make_benchmark:
    input:
        train=documents("train"),
        benchmark=documents("benchmark"),
    output:
        manifest=f"{RESULTS}/benchmark/manifest.json",
    log:
        logs("make_benchmark"),
    benchmark:
        times("make_benchmark")
    conda:
        "../envs/corpus.yaml"
    params:
        test_items=config["evaluation"]["items"],
        items_per_task=config["evaluation"]["items_per_task"],
        seed=config["seed"],
    message:
        "Making the miniature Darumeru tasks from the corpus"
    script:
        "../scripts/make_benchmark.py"
