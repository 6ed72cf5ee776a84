"""Source models in the model store."""


rule import_model:
    input:
        source=lambda wildcards: sources.source_model(RUN, **wildcards),
    output:
        manifest="<results>/models/{family}/{role}/manifest.json",
    log:
        "<logs>/import_model/{family}/{role}.log",
    benchmark:
        "<benchmarks>/import_model/{family}/{role}.tsv"
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=COMPUTE["memory_mb"],
    params:
        dtype=COMPUTE["dtype"],
        content=lambda wildcards: CONTENTS.of([sources.source_model(RUN, **wildcards)]),
    message:
        "Importing {wildcards.family}/{wildcards.role} into the model store"
    script:
        "../scripts/import_model.py"
