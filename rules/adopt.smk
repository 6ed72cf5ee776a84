"""Published models in the place of trained ones (`donor: published`); read only where the configuration asks for it."""


ruleorder: adopt_donor > pretrain
ruleorder: adopt_vocabulary > build_vocabulary


localrules:
    fetch_donor,
    adopt_vocabulary,


rule fetch_donor:
    output:
        manifest=f"{RESULTS}/sources/donors/{{family}}/{{vocabulary}}/manifest.json",
    log:
        logs("fetch_donor/{family}/{vocabulary}"),
    benchmark:
        times("fetch_donor/{family}/{vocabulary}")
    conda:
        "../envs/corpus.yaml"
    params:
        reference=lambda wildcards: donor_reference(**wildcards),
    message:
        "Fetching the donor {params.reference[path]}"
    shell:
        "HF_HUB_OFFLINE=0 python -m lep.fetch hub --kind model --repository {params.reference[path]}"
        " --revision {params.reference[revision]} --output $(dirname {output.manifest}) > {log} 2>&1"


rule adopt_vocabulary:
    input:
        donor=published_donor,
    output:
        manifest=f"{RESULTS}/vocabularies/{{family}}/{{vocabulary}}/manifest.json",
    log:
        logs("adopt_vocabulary/{family}/{vocabulary}"),
    benchmark:
        times("adopt_vocabulary/{family}/{vocabulary}")
    conda:
        "../envs/train.yaml"
    message:
        "Taking over the published vocabulary {wildcards.family}/{wildcards.vocabulary}"
    script:
        "../scripts/adopt_vocabulary.py"


rule adopt_donor:
    input:
        job=job_file("adopt", "{family}", "{vocabulary}"),
        base=model("{family}", "base"),
        model=model("{family}", "{vocabulary}", "init"),
        donor=published_donor,
        validation=documents("validation"),
    output:
        manifest=f"{RESULTS}/pretraining/{{family}}/{{vocabulary}}/manifest.json",
        checkpoints=[
            model("{family}", "{vocabulary}", checkpoint) for checkpoint in CHECKPOINTS
        ],
    log:
        logs("adopt_donor/{family}/{vocabulary}"),
    benchmark:
        times("adopt_donor/{family}/{vocabulary}")
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=min(1, COMPUTE["gpus_per_job"]),
        mem_mb=COMPUTE["memory_mb"],
        runtime=COMPUTE["runtime_minutes"],
    message:
        "Taking over the published model {wildcards.family}/{wildcards.vocabulary}"
    shell:
        "python -m lep.pretraining.adopt --config {input.job} > {log} 2>&1"
