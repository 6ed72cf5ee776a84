"""Records as items, items as messages, messages as text (paper section 2.3).

An item is one question to a model, a flat mapping:

- `id`
- `user`: the user's turn
- `lead`: start of the assistant's turn, such as "Ответ:"
- `target`: right answer after the lead
- `options`: choices, or for `rank` the sentences to score
- `gold`: index of the right option; -1 = none
- `headline`: text above the first shot
- `meta`: JSON, further values for the metric
"""

import json
from collections.abc import Callable, Sequence

from darumeru.mmlu_subjects import CATEGORIES
from darumeru.specs import LETTERS, Spec

RUCOLA_OFFSET = 29  # first row of the paper's shots
_HEADLINES = {
    "nlpcore_rummlu": "Вопросы с вариантами ответа ({}).",
    "nlpcore_enmmlu": "The following are multiple choice questions about {}.",
}
_RUCOLA = "Приемлемо ли предложение (синтаксис, морфология, семантика)? 1 - да, 0 - нет.\nТекст: {}"
_ABSTRACTIVE = "Напиши краткую аннотацию на русском языке.\nТекст: {}"
_EXTRACTIVE = "Найди наиболее важные предложения статьи.\nТекст: {}"


def make_items(spec: Spec, record: dict, row: int) -> list[dict]:
    """Items of a record: two for PARus (both orders of the options), one for other tasks. `row` is its index."""
    special = {"parus": _parus, "nlpcore_mmlu": _mmlu, "rucola": _rucola, "treeway": _treeway}
    items = special.get(spec.subset, _plain)(spec, record, row)
    return [{**item, "lead": record.get("lead", spec.lead)} for item in items]


def make_shot(spec: Spec, record: dict, row: int) -> dict:
    """A record as a shot; for PARus only with the given order of options."""
    return make_items(spec, record, row)[0]


def _plain(spec: Spec, record: dict, row: int) -> list[dict]:
    outputs, meta = record["outputs"], record.get("meta") or {}
    number, user = _number(meta, row), record["instruction"].format(**record["inputs"])
    if spec.name == "multiq":
        answers = [outputs] if isinstance(outputs, str) else list(outputs)
        return [_item(number, user, answers[0], meta={"answers": answers})]
    if spec.name == "use":
        keys = {"variant": meta["variant"], "task": str(meta["id_task"]), "type": meta["type"]}
        return [_item(number, user, outputs, meta=keys)]
    return [_item(number, user, outputs, spec.options)]


def _number(record: dict, row: int) -> object:
    """The record's own id; its row if it has none, or null."""
    number = record.get("id")
    return row if number is None else number


def _item(
    number: object, user: str, target: str, options: Sequence[str] = (), meta: dict | None = None, headline: str = ""
) -> dict:
    return {
        "id": str(number),
        "user": user,
        "target": target,
        "options": list(options),
        "gold": list(options).index(target) if target in options else -1,
        "headline": headline,
        "meta": json.dumps(meta or {}, ensure_ascii=False),
    }


def _parus(spec: Spec, record: dict, row: int) -> list[dict]:
    """Both orders of the options: a pair is right only if the model finds the answer in both."""
    inputs, number = record["inputs"], _number(record["meta"], row)
    swapped = {**inputs, "choice1": inputs["choice2"], "choice2": inputs["choice1"]}
    other = {"1": "2", "2": "1"}[record["outputs"]]
    return [
        _item(f"{number}/{order}", record["instruction"].format(**texts), target, spec.options, {"pair": str(number)})
        for order, (texts, target) in enumerate([(inputs, record["outputs"]), (swapped, other)])
    ]


def _mmlu(spec: Spec, record: dict, row: int) -> list[dict]:
    language = "en" if spec.name == "nlpcore_enmmlu" else "ru"
    lines = [record[f"question_{language}"]]
    lines += [f"{a}. {text}" for a, text in zip(LETTERS, record[f"choices_{language}"], strict=True)]
    subject = record["subject"]
    meta = {"subject": subject, "category": record.get("category") or CATEGORIES[subject]}
    headline = _HEADLINES[spec.name].format(subject.replace("_", " "))
    return [_item(row, "\n".join(lines), LETTERS[record["answer"]], spec.options, meta, headline)]


def _rucola(spec: Spec, record: dict, row: int) -> list[dict]:
    number = _number(record, row)
    return [_item(number, _RUCOLA.format(record["sentence"]), str(record["acceptable"]), spec.options)]


def _treeway(spec: Spec, record: dict, row: int) -> list[dict]:
    sentences, text = record["src_sents"], " ".join(record["src_sents"])
    if spec.kind == "rank":
        gold = sorted(set(record["extractive_summary"]))
        first = sentences[gold[0]]
        return [_item(row, _EXTRACTIVE.format(text), first, sentences, {"gold": gold})]
    return [_item(row, _ABSTRACTIVE.format(text), " ".join(record["summary_sents"]))]


def choose_shots(spec: Spec, item: dict, pool: Sequence[dict], count: int) -> list[dict]:
    """The first `count` shots for an item, in the order in which `conversation` adds them.

    MMLU: rows of the item's subject. RuCoLA: rows from 29 on, if the split is long enough.
    """
    if spec.measure == "categories":
        subject = json.loads(item["meta"])["subject"]
        pool = [shot for shot in pool if json.loads(shot["meta"])["subject"] == subject]
    if spec.name == "rucola" and len(pool) > RUCOLA_OFFSET + count:
        pool = pool[RUCOLA_OFFSET:]
    return list(pool[:count])


def conversation(spec: Spec, item: dict, shots: Sequence[dict]) -> list[dict[str, str]]:
    """Messages of the shots, then of the item. The last turn is the assistant's unfinished lead, if it is not empty.

    Each shot is inserted before the earlier ones, so the order is reversed. Shots of MMLU keep their order, and the
    first one has a headline.
    """
    ordered = list(shots) if spec.measure == "categories" else list(reversed(shots))
    messages = []
    for index, shot in enumerate(ordered):
        user = f"{shot['headline']}\n\n{shot['user']}" if index == 0 and shot["headline"] else shot["user"]
        messages += [_message("user", user), _message("assistant", f"{shot['lead']} {shot['target']}".lstrip())]
    messages.append(_message("user", item["user"]))
    return [*messages, _message("assistant", item["lead"])] if item["lead"] else messages


def render(messages: Sequence[dict[str, str]], chat_template: Callable | None) -> str:
    """The prompt as text.

    - With `chat_template(messages, add_generation_prompt=...)`: as the template writes it.
    - Without (base models): turns end with a line end, finished answers with an empty line.
    """
    open_turn = messages[-1]["role"] == "assistant"
    if chat_template is not None:
        return chat_template(list(messages), add_generation_prompt=not open_turn)
    text = "".join(m["content"] + ("\n" if m["role"] == "user" else "\n\n") for m in messages)
    return text.removesuffix("\n\n") if open_turn else text


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
