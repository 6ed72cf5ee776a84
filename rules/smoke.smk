"""A few true steps on the true number of GPUs, before a run spends money: alone, or before the first training."""


rule smoke:
    input:
        config="<results>/config.yaml",
    output:
        measured="<results>/smoke.json",
    log:
        "<logs>/smoke.log",
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=COMPUTE["gpus_per_job"],
        nodes=1,
        mem_mb=COMPUTE["memory_mb"],
        runtime=60,
    message:
        "Measuring a few steps on the GPUs of a training job"
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu} --nodes {resources.nodes}"
        " lep.smoke --config {input.config:q} --output {output.measured:q} > {log:q} 2>&1"
