"""A perfect copier under each kind of vocabulary: what `cp_sent_*` can reach at most.

Generated tokens are counted, and the token that holds the stop string is dropped whole. A vocabulary with one token for
the full stop and the line ends loses the full stop: so the published 0.980 of Llama 3's own vocabularies, and the 1.000
of all others.
"""

import json
from pathlib import Path

import pytest
from darumeru import scoring, task
from darumeru.data import TINY
from darumeru.specs import PREFIX, STOP
from lep.vocabulary.originals import byte_level_tokenizer, import_tokenizer
from lep.vocabulary.spm import to_fast_tokenizer, train_sentencepiece
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.evaluator import evaluate
from lm_eval.tasks import TaskManager
from tokenizers import models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

ROOT = Path(__file__).parents[2]
TEXTS = {
    name: [json.loads(line)["outputs"] for line in (TINY / name / "test.jsonl").read_text("utf-8").splitlines()]
    for name in ("cp_sent_en", "cp_sent_ru")
}
LINES = [text for texts in TEXTS.values() for text in texts]


def copied(tokenizer: PreTrainedTokenizerFast, name: str, stop: str = STOP) -> list[dict]:
    """Tokens of each sentence, and the scores of its perfect copy."""
    return [
        scoring.copy_scores(text, text, tokenizer, 128, stop) | {"n": len(scoring.token_ids(tokenizer, text))}
        for text in TEXTS[name]
    ]


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level vocabulary that, like Llama 3's, holds `.` and the line ends as one token."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer = byte_level_tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=2000, initial_alphabet=alphabet, special_tokens=["<s>", "</s>"])
    tokenizer.train_from_iterator([f"{line}\n\n" for line in LINES], trainer)
    folder = tmp_path_factory.mktemp("byte_level")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast.chat_template = "{% for m in messages %}<s>{{ m['content'] }}</s>{% endfor %}"
    fast.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", TEXTS)
def test_a_token_of_full_stop_and_line_ends_costs_one(name: str, byte_level: Path) -> None:
    tokenizer = task.load_tokenizer(str(byte_level))
    assert tokenizer.tokenize("мир.\n\n")[-1] == ".ĊĊ"
    for scores in copied(tokenizer, name):
        assert scores["length_ratio"] == pytest.approx((scores["n"] - 1) / scores["n"])
        assert scores["length_ratio_text"] == scores["copied"] == 1
    assert all(scores["length_ratio"] == 1 for scores in copied(tokenizer, name, stop=""))


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_the_stand_ins_lose_nothing(family: str, name: str) -> None:
    """Mistral's vocabulary writes line ends as bytes; the small byte-level one joins no punctuation with them."""
    tokenizer = task.load_tokenizer(str(ROOT / "data" / "stand_ins" / family / "base"))
    assert {scores["length_ratio"] for scores in copied(tokenizer, name)} == {1}


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_replacement_vocabularies_lose_nothing(model_type: str, tmp_path: Path) -> None:
    train_sentencepiece(LINES * 20, model_type, 400, tmp_path / "spm.model")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=to_fast_tokenizer(tmp_path / "spm.model", model_type))
    for name in TEXTS:
        assert {scores["length_ratio"] for scores in copied(tokenizer, name)} == {1}


@pytest.mark.parametrize("package", ["llama-models", "mistral-common"])
def test_the_original_vocabularies(package: str, tmp_path: Path) -> None:
    """Llama 3 ends every sentence one token short, Mistral none."""
    wheel = next((ROOT / "data" / "downloads").glob(f"{package.replace('-', '_')}-*.whl"), None)
    if wheel is None:
        pytest.skip(f"needs the wheel of {package} in data/downloads")
    import_tokenizer(package, wheel, tmp_path / "tokenizer")
    tokenizer = task.load_tokenizer(str(tmp_path / "tokenizer"))
    lost = int(package == "llama-models")
    for name in TEXTS:
        for scores in copied(tokenizer, name):
            assert scores["length_ratio"] == pytest.approx((scores["n"] - lost) / scores["n"])
            assert scores["length_ratio_text"] == 1


class Copier(LM):
    """Hands over what every backend does: the text in front of the stop string."""

    tokenizer_name = "copier"

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def generate_until(self, requests: list[Instance]) -> list[str]:
        return [request.doc["target"] for request in requests]

    def apply_chat_template(self, messages: list[dict], add_generation_prompt: bool = True) -> str:
        return self.tokenizer.apply_chat_template(messages, tokenize=False)

    def loglikelihood(self, requests: list[Instance]) -> list:
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


@pytest.mark.parametrize("chat", [False, True])
def test_through_the_harness(byte_level: Path, chat: bool) -> None:
    """A base model is stopped by a line end, a chat model by a token of its own: one metric for every backend."""
    metadata = {"tokenizer": str(byte_level), "darumeru_tiny": True, "darumeru_draws": 0}
    manager = TaskManager(include_path=str(task.FOLDER), include_defaults=False, metadata=metadata)
    loaded = manager.load([PREFIX + name for name in TEXTS])
    copier = Copier(task.load_tokenizer(str(byte_level)))
    found = evaluate(copier, loaded, bootstrap_iters=0, apply_chat_template=chat, fewshot_as_multiturn=True)["results"]
    for name in TEXTS:
        expected = copied(copier.tokenizer, name, "" if chat else STOP)
        mean = sum(scores["length_ratio"] for scores in expected) / len(expected)
        assert found[PREFIX + name]["score,none"] == found[PREFIX + name]["length_ratio,none"] == pytest.approx(mean)
        assert (mean == 1) == chat
        assert found[PREFIX + name]["length_ratio_text,none"] == 1
