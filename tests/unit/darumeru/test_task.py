"""The 17 tasks inside the harness: what is asked of a model, and what answers are worth."""

import json
import zlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from darumeru import metrics, task
from darumeru.specs import GROUPS, PREFIX, SPECS
from fixtures.darumeru import records, write_benchmark
from fixtures.harness import LENGTHS, make_lm, run
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM


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
