"""Embedding pre-training of the base models, and the choice of the donor (paper sections 2.4.1 and 3.2)."""


rule pack_corpus:
    input:
        documents=documents("train"),
        tokenizer=rules.build_vocabulary.output.manifest,
    output:
        manifest=f"{RESULTS}/packed/{{family}}/{{vocabulary}}/manifest.json",
    log:
        logs("pack_corpus/{family}/{vocabulary}"),
    benchmark:
        times("pack_corpus/{family}/{vocabulary}")
    conda:
        "../envs/train.yaml"
    threads: config["pretraining"]["packing_threads"]
    params:
        recipe=packing_recipe(),
    message:
        "Packing the corpus for {wildcards.family}/{wildcards.vocabulary}"
    script:
        "../scripts/pack_corpus.py"


rule pretrain:
    input:
        job=job_file("pretrain", "{family}", "{vocabulary}"),
        model=model("{family}", "{vocabulary}", "init"),
        data=rules.pack_corpus.output.manifest,
        validation=documents("validation"),
    output:
        manifest=f"{RESULTS}/pretraining/{{family}}/{{vocabulary}}/manifest.json",
        checkpoints=[
            model("{family}", "{vocabulary}", checkpoint) for checkpoint in CHECKPOINTS
        ],
    log:
        logs("pretrain/{family}/{vocabulary}"),
    benchmark:
        times("pretrain/{family}/{vocabulary}")
    # Much waits for each run, so they start as early as they can.
    priority: 10
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=COMPUTE["gpus_per_job"],
        nodes=1,
        mem_mb=COMPUTE["memory_mb"],
        runtime=COMPUTE["runtime_minutes"],
        # No parameter: a finished run is not repeated for it.
        minutes=config["pretraining"]["chunk_minutes"],
    message:
        "Pre-training the embeddings of {wildcards.family}/{wildcards.vocabulary}"
    # `exec`: a signal reaches the training and not a shell that waits for it.
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu} --nodes {resources.nodes}"
        " lep.pretraining.pretrain --config {input.job} --minutes {resources.minutes} > {log} 2>&1"


rule pretrain_sweep:
    input:
        job=job_file("pretrain_sweep", "{family}", "{vocabulary}", "{rate}"),
        model=model("{family}", "{vocabulary}", "init"),
        data=rules.pack_corpus.output.manifest,
        validation=documents("validation"),
    output:
        manifest=f"{RESULTS}/sweep/{{family}}/{{vocabulary}}/{{rate}}/manifest.json",
    log:
        logs("pretrain_sweep/{family}/{vocabulary}/{rate}"),
    benchmark:
        times("pretrain_sweep/{family}/{vocabulary}/{rate}")
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=COMPUTE["gpus_per_job"],
        nodes=1,
        mem_mb=COMPUTE["memory_mb"],
        runtime=COMPUTE["runtime_minutes"],
        minutes=config["pretraining"]["chunk_minutes"],
    message:
        "Trying learning rate {wildcards.rate} for {wildcards.family}/{wildcards.vocabulary}"
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu} --nodes {resources.nodes}"
        " lep.pretraining.pretrain --config {input.job} --minutes {resources.minutes} > {log} 2>&1"


rule select_donor:
    input:
        scores=(
            [f"{RESULTS}/evaluation/{{family}}/{{vocabulary}}/pretraining/scores.csv"]
            if BENCHMARKED
            else []
        ),
        models=rules.pretrain.output.checkpoints,
    output:
        manifest=model("{family}", "{vocabulary}", "donor"),
    log:
        logs("select_donor/{family}/{vocabulary}"),
    benchmark:
        times("select_donor/{family}/{vocabulary}")
    conda:
        "../envs/train.yaml"
    message:
        "Choosing the donor {wildcards.family}/{wildcards.vocabulary}"
    script:
        "../scripts/select_donor.py"


rule plot_training:
    input:
        manifests=list(pretraining_runs().values()),
    output:
        png=report(
            [paths["png"] for paths in training_figures().values()],
            caption="report/training.rst",
            category="Training",
        ),
        others=[
            paths[kind]
            for paths in training_figures().values()
            for kind in ("pdf", "csv")
        ],
    log:
        logs("plot_training"),
    conda:
        "../envs/report.yaml"
    params:
        families=reported_families(),
        runs=pretraining_runs(),
        figures=training_figures(),
    message:
        "Curves of the embedding pre-training"
    script:
        "../scripts/plot_training.py"


rule make_search_table:
    input:
        manifests=[
            manifest
            for rates in sweep_manifests().values()
            for manifest in rates.values()
        ],
    output:
        csv=report(
            f"{RESULTS}/tables/learning_rates.csv",
            caption="report/learning_rates.rst",
            category="Training",
        ),
        md=f"{RESULTS}/tables/learning_rates.md",
    log:
        logs("make_search_table"),
    conda:
        "../envs/report.yaml"
    params:
        runs=sweep_manifests(),
    message:
        "Table of learning rates"
    script:
        "../scripts/make_search_table.py"
