"""Learned Embedding Propagation to the instruct models (paper section 2.2)."""


rule propagate_embeddings:
    input:
        base=model("{family}", "base"),
        instruct=model("{family}", "instruct"),
        donor=rules.select_donor.output.manifest,
        operator=rules.make_operator.output.manifest,
        code=library("propagate"),
    output:
        manifest=model("{family}", "{vocabulary}", "{method}"),
    log:
        logs("propagate_embeddings/{family}/{vocabulary}/{method}"),
    benchmark:
        times("propagate_embeddings/{family}/{vocabulary}/{method}")
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        mem_mb=COMPUTE["memory_mb"],
    params:
        method=lambda wildcards: wildcards.method,
        seed=config["seed"],
        device=COMPUTE["device"],
    message:
        "Propagating {wildcards.family}/{wildcards.vocabulary} by {wildcards.method}"
    script:
        "../scripts/propagate_embeddings.py"
