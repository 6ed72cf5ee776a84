"""The model class that shares prefixes: the harness's own answers in fewer computations."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from darumeru import prefix_lm, task
from darumeru.specs import PREFIX, SPECS
from fixtures.harness import make_lm, run
from lm_eval.models.huggingface import HFLM


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several rounds for the short answers of these tests."""
    monkeypatch.setattr(prefix_lm, "ROUND", 2)


class Counting(prefix_lm.PrefixLM):
    """Notes the rows that the model sees, and what their batches share."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.rows: list[tuple[int, ...]] = []
        self.shared: list[int] = []  # length of the prefix of each batch

    def _logits(self, rows: list, shared: int, scored: list) -> tuple:
        self.rows += [tuple(row) for row in rows]
        self.shared.append(shared)
        return super()._logits(rows, shared, scored)

    def _generate(self, rows: list, shared: int, settings: dict) -> list[str]:
        self.rows += [tuple(row) for row in rows]
        self.shared.append(shared)
        return super()._generate(rows, shared, settings)


CHOICE = [name for name, spec in SPECS.items() if spec.kind == "choice"]


@pytest.mark.parametrize(("shots", "chat"), [(3, False), (0, True), (2, True)])
def test_one_forward_a_question_and_one_bos(load: Callable, model: Path, shots: int, chat: bool) -> None:
    counting = make_lm(model, Counting)
    loaded = load([PREFIX + name for name in CHOICE], shots)
    run(counting, loaded, chat)
    questions = sum(len(one.eval_docs) for one in loaded["tasks"].values())
    assert len(counting.rows) == questions
    run(counting, load([PREFIX + "multiq", PREFIX + "cp_sent_ru", PREFIX + "treeway_extractive"], shots), chat)
    bos = counting.tokenizer.bos_token_id
    assert all(row[0] == bos and row.count(bos) == 1 for row in counting.rows)


def outcome(found: dict) -> dict:
    return {
        (name, sample["doc_id"]): (sample["arguments"], sample["resps"], sample["score"])
        for name, samples in found["samples"].items()
        for sample in samples
    }


def assert_same_answers(ours: dict, theirs: dict) -> None:
    assert ours.keys() == theirs.keys()
    for key in ours:
        assert ours[key][0] == theirs[key][0], key  # prompts
        assert ours[key][2] == theirs[key][2], key  # values
        for mine, other in zip(ours[key][1], theirs[key][1], strict=True):
            if isinstance(mine[0], str):
                assert mine == other, key
            else:
                assert mine[0][0] == pytest.approx(other[0][0], abs=1e-3), key
                assert mine[0][1] == other[0][1], key


@pytest.mark.parametrize(("shots", "chat"), [(3, False), (0, True)])
def test_shared_prefixes_change_no_answer(load: Callable, model: Path, shots: int, chat: bool) -> None:
    ours = run(make_lm(model), load(["darumeru"], shots, darumeru_limit=4), chat)
    theirs = run(make_lm(model, HFLM), load(["darumeru"], shots, darumeru_limit=4), chat)
    assert_same_answers(outcome(ours), outcome(theirs))


def test_batch_size_changes_no_answer(load: Callable, model: Path) -> None:
    one, many = (run(make_lm(model, batch_size=size), load(["darumeru"], 2, darumeru_limit=4)) for size in (1, 16))
    assert_same_answers(outcome(one), outcome(many))


class Rounds(prefix_lm.PrefixLM):
    """Notes the tokens that each call of `generate` adds, as (rows, tokens)."""

    def _model_generate(self, context: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        output = super()._model_generate(context, *args, **kwargs)
        self.made = [*getattr(self, "made", []), output[:, context.shape[1] :]]
        return output


def test_an_answer_that_has_ended_leaves_its_batch(model: Path) -> None:
    """With a token as end that only one answer has, the others are as before, and computed without it."""
    lm = make_lm(model, Rounds)
    rows = [lm.tok_encode(text) for text in ("А роза упала", "В начале было слово", "Иди и смотри", "Кто там?")]
    settings = {"until": ["\0"], "max_gen_toks": 8, "do_sample": False}
    lm.model.generation_config.eos_token_id = None
    whole = lm._generate(rows, 0, settings)
    made = torch.cat(lm.made, 1)
    assert [tuple(part.shape) for part in lm.made] == [(4, 2)] * 4
    place, end = next(
        (row, int(token))
        for row, answer in enumerate(made)
        for token in answer[:4]
        if not any((other == token).any() for i, other in enumerate(made) if i != row)
    )
    lm.made, lm.model.generation_config.eos_token_id = [], [end]
    ended = lm._generate(rows, 0, settings)
    first = int((made[place] == end).nonzero()[0])
    assert [len(part) for part in lm.made] == [4 if 2 * number <= first else 3 for number in range(4)]
    assert [a for i, a in enumerate(ended) if i != place] == [a for i, a in enumerate(whole) if i != place]
    assert ended[place].startswith(lm.tok_decode(made[place][:first].tolist()))


@pytest.mark.parametrize(("window", "near"), [(32, False), (260, True)])
def test_a_sliding_window_is_respected(load: Callable, model: Path, window: int, near: bool) -> None:
    """Prompts longer than the window share no prefix, shorter ones do; the answers are the harness's own."""
    from transformers import MistralConfig, MistralForCausalLM

    tokenizer = task.load_tokenizer(str(model))
    torch.manual_seed(1)
    config = MistralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, initializer_range=0.4, sliding_window=window,
    )  # fmt: skip
    windowed = MistralForCausalLM(config).eval()
    names = [PREFIX + name for name in ("rwsd", "multiq", "treeway_abstractive")]
    ours, theirs = (
        kind(pretrained=windowed, tokenizer=tokenizer, batch_size=4, max_length=1024) for kind in (Counting, HFLM)
    )
    assert_same_answers(outcome(run(ours, load(names, 2))), outcome(run(theirs, load(names, 2))))
    assert max(map(len, ours.rows)) > window
    assert any(ours.shared) == near


def test_batches_share_what_rows_have_in_common() -> None:
    head = list(range(100, 140))
    rows = [[*head, 1, 2], [5, 6, 7], [*head, 1], [*head, 9, 9, 9], [5, 8]]
    plan = prefix_lm.batches(rows, [1] * 5, 2)
    assert sorted(i for _, chunk in plan for i in chunk) == [0, 1, 2, 3, 4]
    assert (0, [1, 4]) in plan
    shared = [entry for entry in plan if entry[0]]
    assert [prefix for prefix, _ in shared] == [40, 40]
    assert sorted(i for _, chunk in shared for i in chunk) == [0, 2, 3]
    assert prefix_lm.batches(rows, [5] * 5, 8)[-1][0] == 36  # the scored tokens stay out of the prefix
