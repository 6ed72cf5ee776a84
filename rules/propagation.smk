"""Averaging operators, initial embeddings (paper section 2.1.2), and Learned Embedding Propagation (section 2.2)."""


rule make_operator:
    input:
        base="<results>/models/{family}/base/manifest.json",
        vocabulary="<results>/vocabularies/{family}/{vocabulary}/manifest.json",
    output:
        manifest="<results>/operators/{family}/{vocabulary}/manifest.json",
    log:
        "<logs>/make_operator/{family}/{vocabulary}.log",
    benchmark:
        "<benchmarks>/make_operator/{family}/{vocabulary}.tsv"
    conda:
        "../envs/train.yaml"
    message:
        "Making the averaging operator {wildcards.family}/{wildcards.vocabulary}"
    script:
        "../scripts/make_operator.py"


rule initialise_embeddings:
    input:
        base="<results>/models/{family}/base/manifest.json",
        operator=rules.make_operator.output.manifest,
        vocabulary="<results>/vocabularies/{family}/{vocabulary}/manifest.json",
    output:
        manifest="<results>/models/{family}/{vocabulary}/init/manifest.json",
    log:
        "<logs>/initialise_embeddings/{family}/{vocabulary}.log",
    benchmark:
        "<benchmarks>/initialise_embeddings/{family}/{vocabulary}.tsv"
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


# One job makes the models of all methods: they share tokenizers, operator and start-up. A further instruct model of a
# base takes base, operator and donor of its family.
rule propagate_embeddings:
    input:
        unpack(
            lambda wildcards: models.propagation_inputs(
                RUN.at(wildcards.seed), wildcards.family, wildcards.vocabulary
            )
        ),
        own=RUN.own_map,
    output:
        manifests=expand(
            "<results>/{{seed}}models/{{family}}/{{vocabulary}}/{method}/manifest.json",
            method=RUN.methods,
        ),
    log:
        "<logs>/{seed}propagate_embeddings/{family}/{vocabulary}.log",
    benchmark:
        "<benchmarks>/{seed}propagate_embeddings/{family}/{vocabulary}.tsv"
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        mem_mb=COMPUTE["memory_mb"],
    params:
        **recipes.propagation(RUN),
        methods=RUN.methods,
        seed=config["seed"],
        device=COMPUTE["device"],
    message:
        "Propagating {wildcards.seed}{wildcards.family}/{wildcards.vocabulary}"
    script:
        "../scripts/propagate_embeddings.py"


# The control `direct`: the instruct model itself gets the vocabulary and is trained (`pretrain_direct`).
rule initialise_direct:
    input:
        **rules.initialise_embeddings.input,
        instruct="<results>/models/{family}/instruct/manifest.json",
    output:
        manifest="<results>/models/{family}/{vocabulary}/on_instruct/init/manifest.json",
    log:
        "<logs>/initialise_direct/{family}/{vocabulary}.log",
    benchmark:
        "<benchmarks>/initialise_direct/{family}/{vocabulary}.tsv"
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=COMPUTE["memory_mb"],
    params:
        seed=config["seed"],
    message:
        "Averaging old rows of the instruct model for {wildcards.family}/{wildcards.vocabulary}"
    script:
        "../scripts/initialise_embeddings.py"


rule make_control:
    input:
        base="<results>/models/{family}/base/manifest.json",
        instruct="<results>/models/{family}/instruct/manifest.json",
        donor=branch(
            lambda wildcards: wildcards.control == "direct",
            then="<results>/{seed}models/{family}/{vocabulary}/on_instruct/cpt-100/manifest.json",
            otherwise="<results>/{seed}models/{family}/{vocabulary}/donor/manifest.json",
        ),
        operator=rules.make_operator.output.manifest,
    output:
        manifest="<results>/{seed}models/{family}/{vocabulary}/{control}/manifest.json",
    log:
        "<logs>/{seed}make_control/{family}/{vocabulary}/{control}.log",
    benchmark:
        "<benchmarks>/{seed}make_control/{family}/{vocabulary}/{control}.tsv"
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        mem_mb=COMPUTE["memory_mb"],
    params:
        control="{control}",
        seed=config["seed"],
    message:
        "Making the control {wildcards.seed}{wildcards.family}/{wildcards.vocabulary}/{wildcards.control}"
    script:
        "../scripts/make_control.py"
