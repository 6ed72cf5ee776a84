"""Which documents are packed: shares of languages, weights of domains, reserved documents."""

import json
from collections import Counter
from pathlib import Path

import pytest
from fixtures.pretraining import write_documents
from lep.config import UserError
from lep.pretraining.selection import PackingRecipe, Selection, count_part, is_reserved, select_documents, selected


def counted(path: Path, recipe: PackingRecipe, parts: int = 1) -> Selection:
    found = [json.loads(json.dumps(count_part(path, part, parts, recipe))) for part in range(parts)]
    return select_documents(found, recipe)


def chosen(path: Path, recipe: PackingRecipe) -> list[dict]:
    return list(selected(path, 0, 1, counted(path, recipe)))


def test_language_shares(tmp_path: Path) -> None:
    path = write_documents(tmp_path / "corpus", [("ru", ["я" * 10])] * 80 + [("en", ["a" * 10])] * 100)
    recipe = PackingRecipe(block_size=4, language_weights={"ru": 0.8, "en": 0.2}, reserve=0)
    documents = chosen(path, recipe)
    assert documents == chosen(path, recipe)
    assert Counter(document["language"] for document in documents) == {"ru": 80, "en": 20}
    assert counted(path, recipe).counts == {"unused_characters": 800}
    assert len(chosen(path, PackingRecipe(block_size=4, reserve=0))) == 180
    assert Counter(d["language"] for d in chosen(path, PackingRecipe(4, {"ru": 1.0}, reserve=0))) == {"ru": 80}


def test_domain_weights_repeat_documents_far_apart(tmp_path: Path) -> None:
    path = write_documents(tmp_path / "corpus", [("ru", ["я" * 10])] * 400, domains=("wiki", "news", "prose", "law"))
    weights = {"wiki": 2.0, "news": 0.5, "law": 1.25}
    found = [document["id"] for document in chosen(path, PackingRecipe(4, domain_weights=weights, reserve=0))]
    counts = Counter(int(name[1:]) % 4 for name in found)
    assert (counts[0], counts[2]) == (200, 100)
    assert 30 < counts[1] < 70
    assert 110 < counts[3] < 140
    first, second = (i for i, name in enumerate(found) if name == "d0")
    assert second - first > 200  # in another pass over the text
    alone = {d["id"] for d in chosen(path, PackingRecipe(4, domain_weights={"news": 0.5}, reserve=0))}
    assert {name for name in found if int(name[1:]) % 4 == 1} < alone  # weights of others move no choice


def test_language_shares_count_repeated_documents(tmp_path: Path) -> None:
    texts = [("ru", ["я" * 10]), ("en", ["a" * 10])] * 200
    path = write_documents(tmp_path / "corpus", texts, domains=("wiki", "news"))
    recipe = PackingRecipe(4, {"ru": 0.8, "en": 0.2}, {"wiki": 2.0}, reserve=0)
    assert Counter(document["language"] for document in chosen(path, recipe)) == {"ru": 400, "en": 100}


def test_reserved_documents_are_never_packed(tmp_path: Path) -> None:
    path = write_documents(tmp_path / "corpus", [("ru", ["я" * 10])] * 200)
    recipe = PackingRecipe(block_size=4, reserve=0.3, seed=5)
    groups = {document["group"] for document in chosen(path, recipe)}
    assert groups == {f"d{n}" for n in range(200) if not is_reserved(f"d{n}", 0.3, 5)}
    left_out = 200 - len(groups)
    assert 30 < left_out < 90
    assert counted(path, recipe).counts == {
        "reserved_documents": left_out,
        "reserved_characters": 10 * left_out,
    }


def test_a_weight_of_a_domain_that_does_not_occur_is_refused(tmp_path: Path) -> None:
    path = write_documents(tmp_path / "corpus", [("ru", ["я" * 10])] * 4, domains=("wiki", "news"))
    with pytest.raises(UserError, match="domain sofware; the domains of the corpus are news, wiki"):
        counted(path, PackingRecipe(4, domain_weights={"sofware": 3, "wiki": 2}), parts=2)


def test_parts_choose_what_the_whole_chooses(tmp_path: Path) -> None:
    texts = [("ru", ["я" * (5 + n % 7)]) if n % 3 else ("en", ["a" * 10]) for n in range(300)]
    path = write_documents(tmp_path / "corpus", texts, domains=("wiki", "news"))
    recipe = PackingRecipe(4, {"ru": 0.8, "en": 0.2}, {"wiki": 1.5}, reserve=0.1)
    whole = counted(path, recipe)
    for parts in (2, 5, 1000):
        assert counted(path, recipe, parts) == whole
        found = [d["id"] for part in range(parts) for d in selected(path, part, parts, whole)]
        assert Counter(found) == Counter(d["id"] for d in chosen(path, recipe))
