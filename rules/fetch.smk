"""The only rules that use the network."""


# Has no output: it always runs when it is asked for, and nothing else asks for it.
rule lock_sources:
    log:
        logs("lock_sources"),
    conda:
        "../envs/corpus.yaml"
    params:
        references=unpinned_references(),
        lock=LOCK,
    message:
        "Looking up the revisions of what is not pinned"
    shell:
        "HF_HUB_OFFLINE=0 python -m lep.fetch lock --lock {params.lock} {params.references} > {log} 2>&1"


# On a machine with network, before the others run without: `snakemake --profile slurm fetch_all`.
rule fetch_all:
    input:
        fetched(),
    message:
        "Everything is fetched"


# The checks themselves are made before the first job of any run that asks for them (Snakefile, onstart).
rule preflight:
    message:
        "Nothing stands in the way of a run"


rule fetch_package:
    input:
        table="data/sources.csv",
    output:
        file=f"{RESULTS}/sources/{{package}}.{{suffix}}",
    log:
        logs("fetch_package/{package}.{suffix}"),
    benchmark:
        times("fetch_package/{package}.{suffix}")
    conda:
        "../envs/corpus.yaml"
    resources:
        # No parameter: another place of the same file repeats nothing.
        local_dir=config["data"]["local_dir"],
    message:
        "Fetching the package {wildcards.package}"
    shell:
        "HF_HUB_OFFLINE=0 python -m lep.fetch package --name {wildcards.package} --sources {input.table}"
        " --local-dir {resources.local_dir} --output {output.file} > {log} 2>&1"


# The archive of the machine's own release, so the versions are the machine's; what came is in the manifest.
rule fetch_debian:
    input:
        table="data/sources.csv",
    output:
        manifest=f"{RESULTS}/sources/debian/{{name}}/manifest.json",
    log:
        logs("fetch_debian/{name}"),
    benchmark:
        times("fetch_debian/{name}")
    conda:
        "../envs/corpus.yaml"
    resources:
        local_dir=config["data"]["local_dir"],
    params:
        packages=lambda wildcards: debian_packages(wildcards.name),
    message:
        "Fetching Debian packages: {params.packages}"
    shell:
        "python -m lep.fetch debian --sources {input.table} --local-dir {resources.local_dir}"
        " --output $(dirname {output.manifest}) {params.packages} > {log} 2>&1"


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
        "HF_HUB_OFFLINE=0 python -m lep.fetch hub --kind dataset --repository {params.reference[repository]}"
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
        reference=lambda wildcards: model_reference(**wildcards),
    message:
        "Fetching the model {params.reference[path]}"
    shell:
        "HF_HUB_OFFLINE=0 python -m lep.fetch hub --kind model --repository {params.reference[path]}"
        " --revision {params.reference[revision]} --output $(dirname {output.manifest}) > {log} 2>&1"


rule fetch_benchmark:
    input:
        files=benchmark_files(),
    output:
        manifest=f"{RESULTS}/sources/benchmark/manifest.json",
    log:
        logs("fetch_benchmark"),
    benchmark:
        times("fetch_benchmark")
    conda:
        "../envs/evaluate.yaml"
    params:
        origin=benchmark_origin(),
    message:
        "Reading the records of Darumeru"
    shell:
        "HF_HUB_OFFLINE=0 python -m lep.fetch benchmark {params.origin} --output $(dirname {output.manifest}) > {log} 2>&1"
