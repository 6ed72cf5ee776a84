"""What the corpus rules are told."""


def corpus_sources():
    """The sources as the corpus builder takes them: name, reader, path, recorded hash."""
    recorded = read_sources(Path(workflow.basedir) / "data/sources.csv")
    return [
        {
            "name": source["name"],
            "reader": source["reader"],
            "path": (folder if "dataset" in source else str)(source_path(source)),
            "split": source.get("split"),
            "sha256": (
                recorded[source["package"]]["sha256"]
                if "package" in source
                else source.get("sha256", "unpinned")
            ),
        }
        for source in config["corpus"]["sources"]
    ]


def corpus_recipe():
    return {
        key: value for key, value in config["corpus"].items() if key != "sources"
    } | {"seed": config["seed"]}
