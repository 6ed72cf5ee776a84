"""What training text shares with held-out text, read again from the published files, part by part."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lep.corpus.parts import read_part
from lep.files import read_jsonl, write_json

FROM = 40  # characters; shorter paragraphs, such as names and greetings, may occur twice by chance
SHOWN = 20  # of what is shared


def find_overlap(training: Path, part: int, parts: int, heldout: Sequence[Path], target: Path) -> None:
    """Write `{"documents": number read, "shared": number found, "first": messages}` for one part of the training text.

    Shared is a group of documents, or a paragraph of `FROM` characters or more, whatever its case and spaces. The
    held-out text is in memory.
    """
    groups: set[str] = set()
    paragraphs: dict[str, str] = {}
    for path in heldout:
        for document in read_jsonl(path):
            groups.add(document["group"])
            paragraphs |= dict.fromkeys(_paragraphs(document), document["id"])
    documents, found = 0, []
    for document in read_part(training, part, parts):
        documents += 1
        if document["group"] in groups:
            found.append(f"{document['id']}: its group is in both training and held-out text")
        for text in _paragraphs(document):
            if text in paragraphs:
                found.append(f"{document['id']} repeats held-out {paragraphs[text]}: {text[:60]!r}")
    write_json(target, {"documents": documents, "shared": len(found), "first": found[:SHOWN]})


def _paragraphs(document: dict) -> Iterator[str]:
    for paragraph in document["paragraphs"]:
        text = " ".join(paragraph["text"].casefold().split())
        if len(text) >= FROM:
            yield text
