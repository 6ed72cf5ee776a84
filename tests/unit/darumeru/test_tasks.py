"""The 17 tasks inside the harness: what is asked of a model, and what answers are worth."""

import json
import logging
import zlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from darumeru import metrics, prefix_lm, request_types, task
from darumeru.specs import GROUPS, PREFIX, SPECS
from fixtures.darumeru import records, write_benchmark, write_model
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM

LENGTHS = {"default": 6, "cp_para_en": 9}
logging.getLogger("lm_eval").setLevel(logging.ERROR)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_benchmark(tmp_path_factory.mktemp("benchmark"))


@pytest.fixture(scope="module")
def load(model: Path, benchmark: Path) -> Callable:
    """load(names, shots, **metadata): the loaded tasks as the harness takes them."""

    def loader(names: list[str], shots: int = 0, **metadata: object) -> dict:
        settings = {"tokenizer": str(model), "max_length": 1024, "darumeru_data": str(benchmark)}
        settings |= {"darumeru_max_new_tokens": LENGTHS, "darumeru_draws": 0} | metadata
        manager = TaskManager(include_path=str(task.FOLDER), include_defaults=False, metadata=settings)
        loaded = manager.load(names)
        for one in loaded["tasks"].values():
            if one.get_config("num_fewshot") != 0:
                one.set_config("num_fewshot", shots)
        return loaded

    return loader


def make_lm(model: Path, kind: type = prefix_lm.PrefixLM, batch_size: int = 4) -> HFLM:
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    return kind(pretrained=loaded, tokenizer=task.load_tokenizer(str(model)), batch_size=batch_size, max_length=1024)


def run(language_model: LM, loaded: dict, chat: bool = False) -> dict:
    return evaluate(
        language_model, loaded, bootstrap_iters=0, apply_chat_template=chat, fewshot_as_multiturn=True, log_samples=True
    )


class Knowing(LM):
    """Answers from the documents: always right, or (`right=False`) always the first option and nothing else."""

    def __init__(self, right: bool) -> None:
        super().__init__()
        self.right = right

    def loglikelihood_distinct(self, requests: list[Instance]) -> list:
        return [(float(r.idx == (r.doc["gold"] if self.right else 0)), True) for r in requests]

    def loglikelihood_shortest(self, requests: list[Instance]) -> list:
        return [(float(self.right and r.idx in json.loads(r.doc["meta"])["gold"]), True) for r in requests]

    def generate_until(self, requests: list[Instance]) -> list[str]:
        return [f" {r.doc['target']}" if self.right else "" for r in requests]

    def loglikelihood(self, requests: list[Instance]) -> list:
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


def test_all_tasks_and_groups_load(load: Callable) -> None:
    loaded = load(["darumeru"])
    assert set(loaded["tasks"]) == {PREFIX + name for name in SPECS}
    for group, tasks in GROUPS.items():
        assert set(loaded["group_map"][group]) == {PREFIX + name for name in tasks}
    assert set(loaded["group_map"]["darumeru"]) == set(GROUPS)


def test_oracle_scores_one_everywhere(load: Callable) -> None:
    results = run(Knowing(right=True), load(["darumeru"], darumeru_max_new_tokens={}, darumeru_draws=50))["results"]
    for name in [*(PREFIX + name for name in SPECS), *GROUPS, "darumeru"]:
        assert results[name]["score,none"] == pytest.approx(1.0), name
        assert results[name]["score_stderr,none"] == pytest.approx(0.0), name


class ByContent(Knowing):
    """Blind to order: prefers the option with the greatest text, wherever it stands in the question."""

    def __init__(self) -> None:
        super().__init__(right=True)

    def loglikelihood_distinct(self, requests: list[Instance]) -> list:
        return [(self.preference(r.doc["user"], r.args[1].strip()), True) for r in requests]

    @staticmethod
    def preference(question: str, option: str) -> float:
        lines = [line for line in question.splitlines() if line.startswith(f"{option}. ")]
        return float(zlib.crc32(lines[0].partition(". ")[2].encode()))


LETTERED = ("rummlu", "ruopenbookqa", "ruworldtree", "nlpcore_rummlu", "nlpcore_enmmlu")


def test_order_of_options_does_not_matter_to_a_model_blind_to_it(load: Callable, tmp_path: Path) -> None:
    """The same questions with their options turned round give every item the same verdict."""
    names = [PREFIX + name for name in LETTERED]
    turned = {key: [turn(row) for row in rows] for key, rows in records().items()}
    found = [
        run(ByContent(), load(names)),
        run(ByContent(), load(names, darumeru_data=str(write_benchmark(tmp_path, turned)))),
    ]
    for name in names:
        verdicts = [[s["score"]["gold"] == s["score"]["pred"] for s in one["samples"][name]] for one in found]
        picks = [[s["score"]["pred"] for s in one["samples"][name]] for one in found]
        assert verdicts[0] == verdicts[1], name
        assert picks[0] != picks[1], name
        scores = [one["results"][name]["score,none"] for one in found]
        assert scores[0] == pytest.approx(scores[1]), name


def turn(record: dict) -> dict:
    """A record with its lettered options in reverse order."""
    record = json.loads(json.dumps(record))
    if "option_a" in record.get("inputs", {}):
        texts = [record["inputs"][f"option_{letter}"] for letter in "abcd"]
        record["inputs"] |= {f"option_{letter}": text for letter, text in zip("abcd", reversed(texts), strict=True)}
        record["outputs"] = "DCBA"["ABCD".index(record["outputs"])]
    for key in ("choices_ru", "choices_en"):
        if key in record:
            record[key].reverse()
    if "answer" in record:
        record["answer"] = 3 - record["answer"]
    return record


def test_parus_counts_every_pair_of_a_model_blind_to_order(load: Callable) -> None:
    """Right in one order, right in the other: the score of pairs is the accuracy, not its square."""
    name = PREFIX + "parus"
    results = run(ByContent(), load([name]))["results"][name]
    assert results["score,none"] == results["accuracy,none"]
    assert 0 < results["score,none"] < 1


def test_constant_answer_scores_chance(load: Callable) -> None:
    """The right answers of the fixture are spread evenly. PARus is the exception: a constant is never right twice."""
    found = run(Knowing(right=False), load(["darumeru"]))
    for name in SPECS:
        values = [sample["score"] for sample in found["samples"][PREFIX + name]]
        score = found["results"][PREFIX + name]["score,none"]
        expected = 0.0 if name == "parus" else metrics.chance(name, values)
        assert score == pytest.approx(expected), name


def test_harness_and_our_aggregation_agree(load: Callable, model: Path) -> None:
    found = run(make_lm(model), load(["darumeru"], 2, darumeru_draws=100, darumeru_limit=4))
    scores = {}
    for name in SPECS:
        values = [sample["score"] for sample in found["samples"][PREFIX + name]]
        for metric, value in metrics.aggregate(name, values).items():
            assert found["results"][PREFIX + name][f"{metric},none"] == pytest.approx(value)
        scores[name] = metrics.aggregate(name, values)["score"]
        draws = metrics.bootstrap(name, values, 100, task.SEED)["score"]
        assert found["results"][PREFIX + name]["score_stderr,none"] == pytest.approx(draws.std())
    for group, tasks in GROUPS.items():
        mean = sum(scores[name] for name in tasks) / len(tasks)
        assert found["groups"][group]["score,none"] == pytest.approx(mean)
    assert found["groups"]["darumeru"]["score,none"] == pytest.approx(sum(scores.values()) / 17)


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


def test_extractive_scores_equal_a_plain_forward_pass(load: Callable, model: Path) -> None:
    language_model = make_lm(model)
    samples = run(language_model, load([PREFIX + "treeway_extractive"]))["samples"][PREFIX + "treeway_extractive"]
    for sample in samples[:3]:
        pairs = [language_model._encode_pair(*arguments) for arguments in sample["arguments"]]
        shortest = min(len(continuation) for _, continuation in pairs)
        assert shortest < max(len(continuation) for _, continuation in pairs)
        for (context, continuation), response in zip(pairs, sample["resps"], strict=True):
            ids = torch.tensor([context + continuation[:shortest]])
            with torch.no_grad():
                logprobs = language_model.model(ids).logits.log_softmax(-1)[0]
            expected = sum(float(logprobs[i - 1, ids[0, i]]) for i in range(len(context), ids.shape[1]))
            assert response[0][0] == pytest.approx(expected, abs=1e-3)


def test_distinct_length() -> None:
    assert request_types.distinct_length([[7, 1, 5], [7, 2], [7, 3, 3]]) == 2
    assert request_types.distinct_length([[1, 9], [2, 9]]) == 1
    assert request_types.distinct_length([[1, 2], [1, 2, 3]]) == 3
    assert (
        request_types.distinct_length([[1, 9], [2, 9], [2, 9]]) == 1
    )  # padding of a parallel run repeats the last request


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


def test_shots_that_do_not_fit_are_dropped(load: Callable, model: Path) -> None:
    """The shot that would be added last goes first; the context holds the answer too, the longest prompt does not."""
    names = [PREFIX + "multiq"]
    tokenizer = task.load_tokenizer(str(model))

    def prompts(**metadata: object) -> tuple[list[str], int]:
        loaded = load(names, 5, **metadata)
        one = loaded["tasks"][names[0]]
        docs = list(one.eval_docs)
        return [one.fewshot_context(doc, 5) for doc in docs], one.dropped_shots

    whole, dropped = prompts()
    assert dropped == 0
    longest = max(len(tokenizer.encode(text)) for text in whole)
    fitting, dropped = prompts(max_length=longest + LENGTHS["default"])
    assert (fitting, dropped) == (whole, 0)
    assert prompts(darumeru_max_prompt_tokens=longest) == (whole, 0)
    for limit in ({"max_length": longest + LENGTHS["default"] - 1}, {"darumeru_max_prompt_tokens": longest - 1}):
        shorter, dropped = prompts(**limit)
        assert dropped > 0
        for full, text in zip(whole, shorter, strict=True):
            assert full.endswith(text)
            assert len(tokenizer.encode(text)) <= longest - 1
    bare = load(names, 5, max_length=20)["tasks"][names[0]]
    doc = bare.eval_docs[0]
    assert bare.fewshot_context(doc, 5) == f"{doc['user']}\nОтвет:"
    assert (bare.dropped_shots, bare.cut_prompts) == (5, 1)
    bare = load(names, 5, darumeru_max_prompt_tokens=20)["tasks"][names[0]]
    assert bare.fewshot_context(doc, 5) == f"{doc['user']}\nОтвет:"  # longer than 20, and the context holds it whole
    assert (bare.dropped_shots, bare.cut_prompts) == (5, 0)


def test_length_of_answers(load: Callable) -> None:
    def length(name: str, **metadata: object) -> int:
        return load([PREFIX + name], **metadata)["tasks"][PREFIX + name].max_new_tokens

    paper = {"darumeru_max_new_tokens": {}, "max_length": 4096}
    names = ("multiq", "treeway_abstractive", "cp_sent_en", "cp_para_ru")
    assert [length(name, **paper) for name in names] == [64, 512, 128, 1024]
    assert length("cp_para_ru", max_length=1024, darumeru_max_new_tokens={}) == 512
    assert (length("cp_para_en"), length("multiq")) == (9, 6)


def test_base_models_stop_at_the_line_end_and_chat_models_do_not(load: Callable) -> None:
    one = load([PREFIX + "use"])["tasks"][PREFIX + "use"]
    doc = one.eval_docs[0]
    settings = defaultdict(dict)
    for chat in (False, True):
        settings[chat] = one.construct_requests(doc, "x", apply_chat_template=chat, metadata=("use", 0, 1))[0].args[1]
    assert settings[False]["until"] == ["\n"]
    assert settings[True]["until"] == []
    assert settings[False]["do_sample"] is False


def test_request_types_are_added_to_the_harness_once() -> None:
    request_types.install()
    assert HFLM.loglikelihood_shortest is request_types.loglikelihood_shortest
    assert HFLM.loglikelihood_distinct is request_types.loglikelihood_distinct
