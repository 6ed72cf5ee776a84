"""The data card of a corpus: sizes by domain and language, origins, what was dropped and why."""

from collections.abc import Mapping, Sequence

UNITS = ("documents", "characters", "bytes")
# The card's words for each counted reason of `lep.corpus.quality`, `lep.corpus.deduplication` and `lep.corpus.readers`.
REASONS = {
    "records/empty_file": "files without content",
    "records/not_utf8": "records that are not UTF-8",
    "records/not_json": "records that are not JSON",
    "records/wrong_type": "records with a field of a wrong type",
    "records/no_text": "records without the text column",
    "records/too_long": "records that are too long",
    "documents/other_language": "documents in another language",
    "documents/empty": "documents without a good paragraph",
    "documents/few_words": "documents of too few words",
    "documents/word_length": "documents of too short or too long words",
    "documents/badly_formatted": "documents that lost too many paragraphs",
    "documents/same_id": "documents with the id of an earlier one",
    "documents/near_duplicate": "near duplicates of an earlier document",
    "documents/repeated": "documents of repeated paragraphs only",
    "paragraphs/short": "short paragraphs",
    "paragraphs/foreign": "paragraphs in another script",
    "paragraphs/metadata": "metadata lines",
    "paragraphs/comments": "paragraphs of comment sections",
    "paragraphs/symbols": "paragraphs of symbols",
    "paragraphs/of_dropped_documents": "paragraphs of dropped documents",
    "paragraphs/repeated": "paragraphs that occur before",
}

_CHARACTERS = "characters/dropped/"  # counts of removed characters by script


def make_card(
    counts: Mapping[str, int], overlap: Mapping[str, Mapping[str, int]], origins: Sequence[Mapping[str, str]]
) -> dict:
    """The card as plain data.

    - `counts`: sums over all shards
    - `overlap`: what each pair of splits shares
    - `origins`: name, origin, version (or hash, or commit) and licence of each source
    """
    return {
        "sources": [dict(origin) for origin in origins],
        "by_source": _sizes(counts, "source/"),
        "by_domain": _sizes(counts, "domain/"),
        "by_split": _sizes(counts, ""),
        "read": {unit: counts.get(f"{unit}/read", 0) for unit in ("documents", "paragraphs")},
        "kept": {"paragraphs": counts.get("paragraphs/kept", 0)},
        "dropped": {reason: counts[reason] for reason in REASONS if counts.get(reason)},
        "characters": {
            key.removeprefix(_CHARACTERS): number
            for key, number in sorted(counts.items())
            if key.startswith(_CHARACTERS)
        },
        "overlap": {pair: dict(shared) for pair, shared in overlap.items()},
    }


def card_text(card: Mapping) -> str:
    """The card in Markdown."""
    parts = ["# Data card", ""]
    for title, key in (("Splits", "by_split"), ("Domains", "by_domain"), ("Sources", "by_source")):
        rows = [
            (name, language, *(f"{sizes.get(unit, 0):,}" for unit in UNITS))
            for name, languages in card[key].items()
            for language, sizes in languages.items()
        ]
        parts += _table(title, ("", "language", *UNITS), rows)
    dropped = [(REASONS[reason], f"{number:,}") for reason, number in card["dropped"].items()]
    read, kept = card["read"], card["kept"]
    parts += [f"Read: {read['documents']:,} documents, {read['paragraphs']:,} paragraphs; "
              f"{kept['paragraphs']:,} paragraphs kept.", ""]  # fmt: skip
    parts += _table("Dropped", ("what", "number"), dropped)
    by_script = [(name, f"{number:,}") for name, number in card["characters"].items()]
    parts += _table("Dropped characters", ("script", "number"), by_script)
    shared = [(pair, *(str(number) for number in kinds.values())) for pair, kinds in card["overlap"].items()]
    parts += _table("Shared by two splits", ("splits", "groups", "paragraphs"), shared)
    origins = [tuple(source[key] for key in ("name", "from", "version", "licence")) for source in card["sources"]]
    parts += _table("Origin", ("source", "from", "version", "licence"), origins)
    return "\n".join(parts)


def _sizes(counts: Mapping[str, int], prefix: str) -> dict[str, dict[str, dict[str, int]]]:
    """{name: {language: {unit: size}}} from the counts `{prefix}{name}/{language}/{unit}`, in alphabetical order."""
    found: dict = {}
    for key in sorted(counts):
        name, *rest = key.removeprefix(prefix).rsplit("/", 2)
        if key.startswith(prefix) and len(rest) == 2 and rest[1] in UNITS and (prefix or "/" not in name):
            found.setdefault(name, {}).setdefault(rest[0], {})[rest[1]] = counts[key]
    return found


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"## {title}", "", "| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]
