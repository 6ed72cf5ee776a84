"""From source files to the clean corpus, its splits and its data card; the miniature benchmark.

Every shard is a job: read and cleaned, searched for repeats (shard n searches the n-th range of keys), filtered.
"""


rule prepare_shard:
    input:
        sources=[source_path(source) for source in config["corpus"]["sources"]],
        table="data/sources.csv",
    output:
        temp(directory(shard_file("prepared", "{shard}"))),
    log:
        logs("prepare_shard/{shard}"),
    benchmark:
        times("prepare_shard/{shard}")
    conda:
        "../envs/corpus.yaml"
    params:
        sources=corpus_sources(),
        shards=config["corpus"]["shards"],
        recipe=cleaning_recipe(),
    message:
        "Reading and cleaning shard {wildcards.shard} of the corpus"
    script:
        "../scripts/prepare_shard.py"


rule find_repeated_documents:
    input:
        shards=all_shards("prepared"),
    output:
        temp(shard_file("documents", "{shard}", ".npy")),
    log:
        logs("find_repeated_documents/{shard}"),
    benchmark:
        times("find_repeated_documents/{shard}")
    conda:
        "../envs/corpus.yaml"
    params:
        broken_records=config["corpus"]["broken_records"],
        threshold=config["corpus"]["near_duplicates"]["threshold"],
    message:
        "Looking for near duplicates, part {wildcards.shard}"
    script:
        "../scripts/find_repeated_documents.py"


rule find_repeated_paragraphs:
    input:
        shards=all_shards("prepared"),
        documents=all_shards("documents", ".npy"),
    output:
        temp(shard_file("paragraphs", "{shard}", ".npy")),
    log:
        logs("find_repeated_paragraphs/{shard}"),
    benchmark:
        times("find_repeated_paragraphs/{shard}")
    conda:
        "../envs/corpus.yaml"
    message:
        "Looking for repeated paragraphs, part {wildcards.shard}"
    script:
        "../scripts/find_repeated_paragraphs.py"


rule filter_shard:
    input:
        shard=shard_file("prepared", "{shard}"),
        documents=all_shards("documents", ".npy"),
        paragraphs=all_shards("paragraphs", ".npy"),
    output:
        temp(directory(shard_file("filtered", "{shard}"))),
    log:
        logs("filter_shard/{shard}"),
    benchmark:
        times("filter_shard/{shard}")
    conda:
        "../envs/corpus.yaml"
    params:
        recipe=split_recipe(),
    message:
        "Dealing shard {wildcards.shard} out into the splits"
    script:
        "../scripts/filter_shard.py"


rule build_corpus:
    input:
        shards=all_shards("filtered"),
    output:
        manifest=f"{RESULTS}/corpus/manifest.json",
        train=documents("train"),
        validation=documents("validation"),
        benchmark=documents("benchmark"),
        tokenizer=documents("tokenizer"),
        card=f"{RESULTS}/corpus/data_card.json",
    log:
        logs("build_corpus"),
    benchmark:
        times("build_corpus")
    conda:
        "../envs/corpus.yaml"
    params:
        origins=corpus_origins(),
        recipe=split_recipe(),
        cleaning=cleaning_recipe(),
    message:
        "Joining the shards of the corpus and proving that its splits are disjoint"
    script:
        "../scripts/build_corpus.py"


rule plot_data_card:
    input:
        card=f"{RESULTS}/corpus/data_card.json",
    output:
        pdf=f"{RESULTS}/figures/data_card.pdf",
        png=f"{RESULTS}/figures/data_card.png",
        csv=f"{RESULTS}/figures/data_card.csv",
    log:
        logs("plot_data_card"),
    benchmark:
        times("plot_data_card")
    conda:
        "../envs/report.yaml"
    params:
        languages=list(LANGUAGES),
    message:
        "Drawing the data card of the corpus"
    script:
        "../scripts/plot_data_card.py"


rule corpus:
    input:
        f"{RESULTS}/corpus/manifest.json",
        f"{RESULTS}/figures/data_card.png",


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
