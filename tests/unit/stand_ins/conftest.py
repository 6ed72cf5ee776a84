from pathlib import Path

import pytest
from fixtures.stand_ins import CORPUS, SIZES
from lep.stand_ins.tokenizer import train_original_tokenizer


@pytest.fixture(scope="session")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tokenizers")
    for family, size in SIZES.items():
        train_original_tokenizer(CORPUS, family, size, 0.1, 40_000, root / family)
    return root
