"""Checks of the `vocabulary` section of the configuration, done before any rule is planned."""

from pathlib import Path

from lep.names import VOCABULARIES


def original_faults(config: dict) -> list[str]:
    """Families that `vocabulary.originals` names wrongly."""
    names = [family["name"] for family in config["families"]]
    given = [original["family"] for original in config["vocabulary"]["originals"]]
    return [
        f"vocabulary.originals: {name} must be named once and be one of the families {', '.join(names)}"
        for name in dict.fromkeys(given)
        if name not in names or given.count(name) > 1
    ]


def model_faults(config: dict, root: Path) -> list[str]:
    """Ready SentencePiece models that no vocabulary uses, that are not there, or that are something else."""
    given = config["vocabulary"]["models"]
    if not given:
        return []
    from lep.vocabulary import pieces  # only here: its library takes time to import

    used = {
        f"{VOCABULARIES[name].model_type}-{family[VOCABULARIES[name].size_key]}"
        for family in config["families"]
        for name in family["vocabularies"]
    }
    faults = []
    for name, path in given.items():
        model_type, size = name.split("-")
        if name not in used:
            faults.append(f"vocabulary.models: no vocabulary is made from {name}; these are: {', '.join(sorted(used))}")
        elif not (root / path).is_file():
            faults.append(f"vocabulary.models.{name}: {path} does not exist; name a SentencePiece .model file")
        else:
            found = pieces.model_faults(root / path, model_type, int(size))
            faults += [f"vocabulary.models.{name}: {fault}" for fault in found]
    return faults
