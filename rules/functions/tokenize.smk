"""Which files belong to which vocabulary."""


def vocabulary_model(wildcards):
    """The SentencePiece model behind a vocabulary: `unigram` has its own, all others come from BPE."""
    family = FAMILIES[wildcards.family]
    size = family[
        (
            "replacement_size"
            if wildcards.vocabulary in ("bpe", "unigram")
            else "extension_size"
        )
    ]
    model_type = "unigram" if wildcards.vocabulary == "unigram" else "bpe"
    return f"{RESULTS}/vocabularies/sentencepiece/{model_type}-{size}/manifest.json"


ORIGINALS = {
    original["family"]: original["package"]
    for original in config["vocabulary"]["originals"]
}


def vocabulary(family, name):
    """The manifest of a tokenizer folder; the original vocabulary is a package's, else that of the base model."""
    if name == "original" and family in ORIGINALS:
        return f"{RESULTS}/vocabularies/originals/{family}/manifest.json"
    if name == "original":
        return model(family, "base")
    return f"{RESULTS}/vocabularies/{family}/{name}/manifest.json"


def all_vocabularies():
    """{family/vocabulary: manifest} with the original ones."""
    return {
        f"{family}/{name}": vocabulary(family, name)
        for family, settings in FAMILIES.items()
        for name in ["original", *settings["vocabularies"]]
    }


def union_options(wildcards):
    """How two vocabularies are united; the replacing ones have no such choice."""
    if wildcards.vocabulary in ("bpe", "unigram"):
        return {}
    return config["vocabulary"]["extended"]


def vocabulary_outputs():
    """All vocabularies with the report on them."""
    return [
        *all_vocabularies().values(),
        rules.measure_vocabularies.output.metrics,
        *rules.report_vocabularies.output,
    ]
