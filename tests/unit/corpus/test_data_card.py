"""The data card: what was read, kept and dropped, and why."""

import json
from collections import Counter
from pathlib import Path

from fixtures.corpus import build, raw, source, splits, words, write_lines
from lep.corpus.assembly import CARD
from lep.corpus.data_card import REASONS
from lep.corpus.documents import SPLITS
from lep.manifest import verify


def test_facts_and_card_count_what_the_files_hold(tmp_path: Path) -> None:
    target = build([source(raw(tmp_path / "raw.jsonl", range(60)))], tmp_path / "corpus")
    manifest, card = verify(target), json.loads((target / CARD).read_text(encoding="utf-8"))
    assert {f"{split}.jsonl" for split in (*SPLITS, "tokenizer")} | {CARD, "data_card.md"} == manifest["files"].keys()
    total: Counter = Counter()
    for split, documents in splits(target).items():
        texts = [p["text"] for d in documents for p in d["paragraphs"]]
        sizes = {
            "documents": len(documents),
            "characters": sum(map(len, texts)),
            "bytes": sum(len(t.encode()) for t in texts),
        }
        assert card["by_split"][split] == {"ru": sizes}
        assert {unit: manifest["facts"][f"{split}/ru/{unit}"] for unit in sizes} == sizes
        total.update(sizes)
    assert card["by_domain"] == {"undefined": {"ru": total}}
    assert card["by_source"] == {"raw": {"ru": total}}
    assert card["dropped"] == {"paragraphs/repeated": 48}
    assert card["read"]["paragraphs"] == card["kept"]["paragraphs"] + 48 == 120
    text = (target / "data_card.md").read_text(encoding="utf-8")
    assert f"| undefined | ru | 60 | {total['characters']:,} | {total['bytes']:,} |" in text
    assert "| paragraphs that occur before | 48 |" in text


def test_every_paragraph_that_was_read_is_accounted_for(tmp_path: Path) -> None:
    records = [
        {"text": f"Хороший абзац {n}.\nмало\nIn English only.\nТеги: раз, два, три\nХороший повтор"} for n in range(50)
    ]
    records += [{"text": " ".join(words(1, 100))}] * 2 + [
        {"text": "Хороший абзац.\nКомментарии (2)\nСпасибо за текст!"}
    ]
    given = [source(write_lines(tmp_path / "raw.jsonl", records))]
    card = json.loads((build(given, tmp_path / "corpus", shards=3) / CARD).read_text())
    lost = {reason: number for reason, number in card["dropped"].items() if reason.startswith("paragraphs/")}
    assert card["read"]["paragraphs"] == card["kept"]["paragraphs"] + sum(lost.values())
    assert lost.keys() == {
        f"paragraphs/{r}" for r in ("short", "foreign", "metadata", "comments", "repeated", "of_dropped_documents")
    }
    assert card["dropped"]["documents/near_duplicate"] == 1
    assert card["dropped"].keys() <= REASONS.keys()
