"""Published models in the place of trained donors (`donor: published`)."""


ruleorder: adopt_donor > pretrain
ruleorder: adopt_vocabulary > build_vocabulary


rule fetch_donor:
    output:
        manifest="<results>/sources/donors/{family}/{vocabulary}/manifest.json",
    log:
        "<logs>/fetch_donor/{family}/{vocabulary}.log",
    benchmark:
        "<benchmarks>/fetch_donor/{family}/{vocabulary}.tsv"
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        reference=lambda wildcards: sources.donor_reference(RUN, **wildcards),
    message:
        "Fetching the donor {params.reference[path]}"
    shell:
        "HF_HUB_OFFLINE=0 python -m lep.fetch hub --kind model --repository {params.reference[path]:q}"
        " --revision {params.reference[revision]:q} --subfolder={params.reference[subfolder]:q}"
        " --output $(dirname {output.manifest:q}) > {log:q} 2>&1"


rule adopt_vocabulary:
    input:
        donor=lambda wildcards: sources.published_donor(RUN, **wildcards),
    output:
        manifest="<results>/vocabularies/{family}/{vocabulary}/manifest.json",
    log:
        "<logs>/adopt_vocabulary/{family}/{vocabulary}.log",
    benchmark:
        "<benchmarks>/adopt_vocabulary/{family}/{vocabulary}.tsv"
    localrule: True
    conda:
        "../envs/train.yaml"
    params:
        content=lambda wildcards: CONTENTS.of(
            [sources.published_donor(RUN, **wildcards)]
        ),
    message:
        "Taking over the published vocabulary {wildcards.family}/{wildcards.vocabulary}"
    script:
        "../scripts/adopt_vocabulary.py"


rule adopt_donor:
    input:
        job="<results>/{seed}jobs/adopt_donor/{family}/{vocabulary}.json",
        base="<results>/models/{family}/base/manifest.json",
        model="<results>/models/{family}/{vocabulary}/init/manifest.json",
        donor=lambda wildcards: sources.published_donor(
            RUN, wildcards.family, wildcards.vocabulary
        ),
        validation="<results>/corpus/validation.jsonl",
    output:
        manifest="<results>/{seed}pretraining/{family}/{vocabulary}/manifest.json",
        checkpoints=expand(
            "<results>/{{seed}}models/{{family}}/{{vocabulary}}/{checkpoint}/manifest.json",
            checkpoint=RUN.checkpoints,
        ),
    log:
        "<logs>/{seed}adopt_donor/{family}/{vocabulary}.log",
    benchmark:
        "<benchmarks>/{seed}adopt_donor/{family}/{vocabulary}.tsv"
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=ONE_GPU,
        mem_mb=COMPUTE["memory_mb"],
        runtime=LIMITS.of("adopt_donor"),
    params:
        content=lambda wildcards: CONTENTS.of(
            [sources.published_donor(RUN, wildcards.family, wildcards.vocabulary)]
        ),
    message:
        "Taking over the published model {wildcards.seed}{wildcards.family}/{wildcards.vocabulary}"
    shell:
        "python -m lep.pretraining.adopt --config {input.job:q} > {log:q} 2>&1"
