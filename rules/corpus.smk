"""From source files to the clean corpus, its splits and its data card.

Every shard is a job: read and cleaned, searched for repeats (job n searches the n-th range of keys), filtered. Between
the steps one job joins what all shards found, so that the next step has few inputs, however many shards there are.
"""

SHARDS = range(config["corpus"]["shards"])
PARTS = range(config["corpus"]["parts"])


rule prepare_shard:
    input:
        fetched=sources.corpus_files(RUN, own=False),
        own=ancient(sources.corpus_files(RUN, own=True)),
        table=sources.TABLE,
    output:
        temp(directory("<results>/shards/prepared/{shard}")),
    log:
        "<logs>/prepare_shard/{shard}.log",
    benchmark:
        "<benchmarks>/prepare_shard/{shard}.tsv"
    conda:
        "../envs/corpus.yaml"
    params:
        sources=sources.corpus_sources(RUN),
        shards=config["corpus"]["shards"],
        recipe=recipes.cleaning(RUN),
    message:
        "Reading and cleaning shard {wildcards.shard} of the corpus"
    script:
        "../scripts/prepare_shard.py"


# The shards are `temp` and stay until `filter_shard` has read them, which is after the jobs that search them.
rule list_prepared_shards:
    input:
        expand("<results>/shards/prepared/{shard}", shard=SHARDS),
    output:
        temp("<results>/shards/prepared.txt"),
    log:
        "<logs>/list_prepared_shards.log",
    localrule: True
    conda:
        "../envs/corpus.yaml"
    message:
        "All shards of the corpus are cleaned"
    shell:
        r"printf '%s\n' {input:q} > {output:q} 2> {log:q}"


rule find_repeated_documents:
    input:
        shards=rules.list_prepared_shards.output[0],
    output:
        temp("<results>/shards/repeated_documents/{shard}.npy"),
    log:
        "<logs>/find_repeated_documents/{shard}.log",
    benchmark:
        "<benchmarks>/find_repeated_documents/{shard}.tsv"
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
        shards=rules.list_prepared_shards.output[0],
        documents="<results>/shards/repeated_documents.npy",
    output:
        temp("<results>/shards/repeated_paragraphs/{shard}.npy"),
    log:
        "<logs>/find_repeated_paragraphs/{shard}.log",
    benchmark:
        "<benchmarks>/find_repeated_paragraphs/{shard}.tsv"
    conda:
        "../envs/corpus.yaml"
    message:
        "Looking for repeated paragraphs, part {wildcards.shard}"
    script:
        "../scripts/find_repeated_paragraphs.py"


rule join_repeats:
    input:
        expand("<results>/shards/repeated_{{unit}}/{shard}.npy", shard=SHARDS),
    output:
        temp("<results>/shards/repeated_{unit}.npy"),
    log:
        "<logs>/join_repeats/{unit}.log",
    wildcard_constraints:
        unit="documents|paragraphs",
    conda:
        "../envs/corpus.yaml"
    message:
        "Joining the repeated {wildcards.unit} of all parts"
    script:
        "../scripts/join_repeats.py"


rule filter_shard:
    input:
        shard="<results>/shards/prepared/{shard}",
        documents="<results>/shards/repeated_documents.npy",
        paragraphs="<results>/shards/repeated_paragraphs.npy",
    output:
        temp(directory("<results>/shards/filtered/{shard}")),
    log:
        "<logs>/filter_shard/{shard}.log",
    benchmark:
        "<benchmarks>/filter_shard/{shard}.tsv"
    conda:
        "../envs/corpus.yaml"
    params:
        recipe=recipes.splits(RUN),
    message:
        "Writing shard {wildcards.shard} into the splits, without its repeats"
    script:
        "../scripts/filter_shard.py"


rule build_corpus:
    input:
        shards=expand("<results>/shards/filtered/{shard}", shard=SHARDS),
    output:
        manifest="<results>/corpus/manifest.json",
        train="<results>/corpus/train.jsonl",
        validation="<results>/corpus/validation.jsonl",
        benchmark="<results>/corpus/benchmark.jsonl",
        tokenizer="<results>/corpus/tokenizer.jsonl",
        card="<results>/corpus/data_card.json",
    log:
        "<logs>/build_corpus.log",
    benchmark:
        "<benchmarks>/build_corpus.tsv"
    conda:
        "../envs/corpus.yaml"
    params:
        origins=sources.corpus_origins(RUN),
        recipe=recipes.splits(RUN),
        cleaning=recipes.cleaning(RUN),
        maximum_broken_share=config["corpus"]["maximum_broken_share"],
    message:
        "Joining the shards of the corpus and proving that its splits are disjoint"
    script:
        "../scripts/build_corpus.py"


# Not from the keys of the shards, by which the splits were made: from the text that is trained on.
rule find_overlap:
    input:
        training="<results>/corpus/train.jsonl",
        heldout=[
            "<results>/corpus/validation.jsonl",
            "<results>/corpus/benchmark.jsonl",
        ],
    output:
        "<results>/parts/overlap/{part}.json",
    log:
        "<logs>/find_overlap/{part}.log",
    benchmark:
        "<benchmarks>/find_overlap/{part}.tsv"
    conda:
        "../envs/corpus.yaml"
    params:
        parts=config["corpus"]["parts"],
    message:
        "Looking for held-out text in part {wildcards.part} of the training text"
    script:
        "../scripts/find_overlap.py"


rule plot_data_card:
    input:
        card=rules.build_corpus.output.card,
    output:
        pdf="<results>/figures/data_card.pdf",
        png="<results>/figures/data_card.png",
        csv="<results>/figures/data_card.csv",
    log:
        "<logs>/plot_data_card.log",
    benchmark:
        "<benchmarks>/plot_data_card.tsv"
    conda:
        "../envs/report.yaml"
    params:
        languages=list(RUN.languages),
    message:
        "Drawing the data card of the corpus"
    script:
        "../scripts/plot_data_card.py"


rule corpus:
    input:
        rules.build_corpus.output.manifest,
        rules.plot_data_card.output.png,
    localrule: True
