"""Embedding pre-training of the base models, and the choice of the donor (paper sections 2.4.1 and 3.2)."""

# {run, or all: {format: path}} of the training curves
CURVES = {
    run: {
        kind: f"{RUN.results}/figures/{name}.{kind}" for kind in ("pdf", "png", "csv")
    }
    for run, name in [
        ("all", "training"),
        *((run, f"training/{run}") for run in models.pretraining_runs(RUN)),
    ]
}
SWEEP = models.sweep_runs(RUN)


rule count_part:
    input:
        documents="<results>/corpus/train.jsonl",
    output:
        "<results>/parts/counts/{part}.json",
    log:
        "<logs>/count_part/{part}.log",
    benchmark:
        "<benchmarks>/count_part/{part}.tsv"
    conda:
        "../envs/train.yaml"
    params:
        parts=config["corpus"]["parts"],
        recipe=recipes.packing(RUN),
    message:
        "Counting the text of part {wildcards.part}"
    script:
        "../scripts/count_part.py"


rule pack_part:
    input:
        documents="<results>/corpus/train.jsonl",
        counts=expand("<results>/parts/counts/{part}.json", part=PARTS),
        tokenizer="<results>/vocabularies/{family}/{vocabulary}/manifest.json",
    output:
        temp(directory("<results>/parts/packed/{family}/{vocabulary}/{part}")),
    log:
        "<logs>/pack_part/{family}/{vocabulary}/{part}.log",
    benchmark:
        "<benchmarks>/pack_part/{family}/{vocabulary}/{part}.tsv"
    conda:
        "../envs/train.yaml"
    threads: config["pretraining"]["packing_threads"]
    params:
        recipe=recipes.packing(RUN),
    message:
        "Packing part {wildcards.part} of the corpus for {wildcards.family}/{wildcards.vocabulary}"
    script:
        "../scripts/pack_part.py"


rule pack_corpus:
    input:
        parts=expand(
            "<results>/parts/packed/{{family}}/{{vocabulary}}/{part}", part=PARTS
        ),
        counts=expand("<results>/parts/counts/{part}.json", part=PARTS),
        tokenizer="<results>/vocabularies/{family}/{vocabulary}/manifest.json",
        corpus="<results>/corpus/manifest.json",
    output:
        manifest="<results>/packed/{family}/{vocabulary}/manifest.json",
    log:
        "<logs>/pack_corpus/{family}/{vocabulary}.log",
    benchmark:
        "<benchmarks>/pack_corpus/{family}/{vocabulary}.tsv"
    conda:
        "../envs/train.yaml"
    params:
        recipe=recipes.packing(RUN),
    message:
        "Joining the blocks of {wildcards.family}/{wildcards.vocabulary}"
    script:
        "../scripts/pack_corpus.py"


rule pretrain:
    input:
        job="<results>/{seed}jobs/pretrain/{family}/{vocabulary}.json",
        model="<results>/models/{family}/{vocabulary}/init/manifest.json",
        data=rules.pack_corpus.output.manifest,
        validation="<results>/corpus/validation.jsonl",
    output:
        manifest="<results>/{seed}pretraining/{family}/{vocabulary}/manifest.json",
        checkpoints=expand(
            "<results>/{{seed}}models/{{family}}/{{vocabulary}}/{checkpoint}/manifest.json",
            checkpoint=RUN.checkpoints,
        ),
    log:
        "<logs>/{seed}pretrain/{family}/{vocabulary}.log",
    benchmark:
        "<benchmarks>/{seed}pretrain/{family}/{vocabulary}.tsv"
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
        "Pre-training the embeddings of {wildcards.seed}{wildcards.family}/{wildcards.vocabulary}"
    # `exec`: a signal reaches the training and not a shell that waits for it.
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu:q} --nodes {resources.nodes:q}"
        " lep.pretraining.pretrain --config {input.job:q} --minutes {resources.minutes:q} > {log:q} 2>&1"


# The control `direct` (Table S1): the same training, with the instruct model instead of the base.
use rule pretrain as pretrain_direct with:
    input:
        job="<results>/{seed}jobs/pretrain_direct/{family}/{vocabulary}.json",
        model="<results>/models/{family}/{vocabulary}/on_instruct/init/manifest.json",
        data=rules.pack_corpus.output.manifest,
        validation="<results>/corpus/validation.jsonl",
    output:
        manifest="<results>/{seed}direct/{family}/{vocabulary}/manifest.json",
        checkpoint="<results>/{seed}models/{family}/{vocabulary}/on_instruct/cpt-100/manifest.json",
    log:
        "<logs>/{seed}pretrain_direct/{family}/{vocabulary}.log",
    benchmark:
        "<benchmarks>/{seed}pretrain_direct/{family}/{vocabulary}.tsv"
    message:
        "Pre-training the embeddings of {wildcards.seed}{wildcards.family}/instruct for {wildcards.vocabulary}"


rule pretrain_sweep:
    input:
        job="<results>/jobs/pretrain_sweep/{family}/{vocabulary}/{rate}.json",
        model="<results>/models/{family}/{vocabulary}/init/manifest.json",
        data=rules.pack_corpus.output.manifest,
        validation="<results>/corpus/validation.jsonl",
    output:
        manifest="<results>/sweep/{family}/{vocabulary}/{rate}/manifest.json",
    log:
        "<logs>/pretrain_sweep/{family}/{vocabulary}/{rate}.log",
    benchmark:
        "<benchmarks>/pretrain_sweep/{family}/{vocabulary}/{rate}.tsv"
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
        "exec python -m lep.compute.place --gpus {resources.gpu:q} --nodes {resources.nodes:q}"
        " lep.pretraining.pretrain --config {input.job:q} --minutes {resources.minutes:q} > {log:q} 2>&1"


rule select_donor:
    input:
        scores=(
            ["<results>/{seed}evaluation/{family}/{vocabulary}/pretraining/scores.csv"]
            if RUN.is_benchmarked
            else []
        ),
        models=rules.pretrain.output.checkpoints,
    output:
        manifest="<results>/{seed}models/{family}/{vocabulary}/donor/manifest.json",
    log:
        "<logs>/{seed}select_donor/{family}/{vocabulary}.log",
    benchmark:
        "<benchmarks>/{seed}select_donor/{family}/{vocabulary}.tsv"
    conda:
        "../envs/train.yaml"
    message:
        "Choosing the donor {wildcards.seed}{wildcards.family}/{wildcards.vocabulary}"
    script:
        "../scripts/select_donor.py"


rule plot_training:
    input:
        manifests=list(models.pretraining_runs(RUN).values()),
    output:
        png=report(
            [paths["png"] for paths in CURVES.values()],
            caption="report/training.rst",
            category="Training",
        ),
        others=[paths[kind] for paths in CURVES.values() for kind in ("pdf", "csv")],
    log:
        "<logs>/plot_training.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        families=recipes.families(RUN),
        runs=models.pretraining_runs(RUN),
        figures=CURVES,
    message:
        "Drawing the curves of the embedding pre-training"
    script:
        "../scripts/plot_training.py"


rule make_sweep_table:
    input:
        manifests=[path for rates in SWEEP.values() for path in rates.values()],
    output:
        csv=report(
            "<results>/tables/sweep.csv",
            caption="report/sweep.rst",
            category="Training",
        ),
        md="<results>/tables/sweep.md",
    log:
        "<logs>/make_sweep_table.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        runs=SWEEP,
    message:
        "Making the table of the learning-rate sweep"
    script:
        "../scripts/make_sweep_table.py"
