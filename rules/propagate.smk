"""Learned Embedding Propagation to the instruct models (paper section 2.2)."""


# One job makes the models of all methods: they share tokenizers, operator and start-up.
rule propagate_embeddings:
    input:
        base=model("{family}", "base"),
        instruct=model("{family}", "instruct"),
        donor=rules.select_donor.output.manifest,
        operator=rules.make_operator.output.manifest,
    output:
        manifests=[model("{family}", "{vocabulary}", method) for method in METHODS],
    log:
        logs("propagate_embeddings/{family}/{vocabulary}"),
    benchmark:
        times("propagate_embeddings/{family}/{vocabulary}")
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        mem_mb=COMPUTE["memory_mb"],
    params:
        methods=METHODS,
        seed=config["seed"],
        device=COMPUTE["device"],
        token_text=config["propagation"]["token_text"],
    message:
        "Propagating {wildcards.family}/{wildcards.vocabulary}"
    script:
        "../scripts/propagate_embeddings.py"
