"""The records of Darumeru: the miniature that is made from the corpus, or those of the hub or of a local folder."""


rule make_benchmark:
    input:
        train="<results>/corpus/train.jsonl",
        benchmark="<results>/corpus/benchmark.jsonl",
    output:
        manifest="<results>/benchmark/manifest.json",
    log:
        "<logs>/make_benchmark.log",
    benchmark:
        "<benchmarks>/make_benchmark.tsv"
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


rule fetch_benchmark:
    input:
        files=ancient(sources.benchmark_files(RUN)),
    output:
        manifest="<results>/sources/benchmark/manifest.json",
    log:
        "<logs>/fetch_benchmark.log",
    benchmark:
        "<benchmarks>/fetch_benchmark.tsv"
    localrule: True
    conda:
        "../envs/evaluate.yaml"
    params:
        options=sources.benchmark_options(RUN),
    message:
        "Reading the records of Darumeru"
    shell:
        "HF_HUB_OFFLINE=0 python -m lep.fetch benchmark {params.options:q}"
        " --output $(dirname {output.manifest:q}) > {log:q} 2>&1"
