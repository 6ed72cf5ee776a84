"""What the corpus rules are told."""


def corpus_sources():
    """The sources as the readers take them: name, reader, path, recorded hash, and what their records do not say."""
    places = ("package", "dataset", "debian", "licence")
    return [
        {key: value for key, value in source.items() if key not in places}
        | {
            "path": (folder if "dataset" in source or "debian" in source else str)(
                source_path(source)
            ),
            "sha256": (
                PACKAGES[source["package"]]["sha256"]
                if "package" in source
                else source.get("sha256", "unpinned")
            ),
        }
        for source in config["corpus"]["sources"]
    ]


def corpus_origins():
    """Where each source is from, its version and its licence, for the data card."""
    return [
        {"name": source["name"]} | corpus_origin(source)
        for source in config["corpus"]["sources"]
    ]


def corpus_origin(source):
    unstated = source.get("licence", "not stated")
    if "path" in source:
        version = source.get("sha256", "unpinned")
        return {"from": "a local file", "version": version, "licence": unstated}
    if "dataset" in source:
        place = dataset_reference(source["name"])
        return {
            "from": place["repository"],
            "version": place["revision"],
            "licence": unstated,
        }
    names = source["debian"] if "debian" in source else [source["package"]]
    rows = [PACKAGES[name] for name in names]
    return {
        "from": f"{rows[0]['origin']}: {', '.join(names)}",
        "version": ", ".join(unique(row["version"] for row in rows)),
        "licence": "; ".join(unique(row["licence"] for row in rows)),
    }


def unique(values):
    return list(dict.fromkeys(values))


def cleaning_recipe():
    keys = ("quality", "near_duplicates", "broken_records", "maximum_record_mb")
    return {key: config["corpus"][key] for key in keys} | {"languages": LANGUAGES}


def split_recipe():
    keys = (
        "validation_fraction",
        "benchmark_fraction",
        "tokenizer_fraction",
    )
    return {key: config["corpus"][key] for key in keys} | {"seed": config["seed"]}


def shard_file(step, shard, suffix=""):
    return f"{RESULTS}/shards/{step}/{shard}{suffix}"


def all_shards(step, suffix=""):
    return [
        shard_file(step, shard, suffix) for shard in range(config["corpus"]["shards"])
    ]
