from pathlib import Path

import pytest
from fixtures.corpus import FIXTURES
from fixtures.vocabularies import SIZES, build, model
from lep.names import NEW_VOCABULARIES
from lep.stand_ins.tokenizer import train_original_tokenizer
from lep.vocabulary.train import train_vocabulary_model
from tokenizers import Tokenizer, processors


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`{family}/original` and `{family}/{kind}` for both families, and the two SentencePiece models."""
    root = tmp_path_factory.mktemp("vocabularies")
    corpus = root / "corpus.jsonl"
    corpus.write_bytes(b"".join((FIXTURES / f"{s}.jsonl").read_bytes() for s in ("train", "validation", "benchmark")))
    for model_type, size in SIZES.items():
        train_vocabulary_model(
            corpus,
            model_type,
            size,
            model(root, model_type),
            characters=10**6,
            languages=["ru"],
            weights=None,
            threads=1,
        )
    for family, size in (("mistral", 700), ("llama", 500)):
        original = root / family / "original"
        train_original_tokenizer(corpus, family, size, 0.1, 60_000, original)
        if family == "llama":  # as in the published tokenizer: the template is one of several processors
            tokenizer = Tokenizer.from_file(str(original / "tokenizer.json"))
            byte_level = processors.ByteLevel(trim_offsets=False)
            tokenizer.post_processor = processors.Sequence([byte_level, tokenizer.post_processor])
            tokenizer.save(str(original / "tokenizer.json"))
        for kind in NEW_VOCABULARIES:
            build(root, family, kind, root / family / kind)
    return root
