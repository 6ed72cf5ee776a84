from pathlib import Path

import pytest
from fixtures.corpus import FIXTURES
from fixtures.miniature import ITEMS, LIMIT, document, made_documents, made_of, read, write
from lep.stand_ins.benchmark.miniature import make_benchmark
from lep.stand_ins.benchmark.texts import Texts


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("corpus")
    benchmark = read(FIXTURES / "benchmark.jsonl") + made_documents()
    return write(folder / "train.jsonl", read(FIXTURES / "train.jsonl")), write(folder / "benchmark.jsonl", benchmark)


@pytest.fixture(scope="session")
def made(corpus, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("made") / "benchmark"
    make_benchmark(*corpus, output, ITEMS, 42, LIMIT, {"rcb": 9})
    return output


@pytest.fixture(scope="session")
def texts(corpus) -> Texts:
    return Texts(*corpus)


@pytest.fixture(scope="session")
def hand_made() -> Texts:
    return made_of([document("bible/01/001", "ru", ["Совсем другой текст."])], made_documents())
