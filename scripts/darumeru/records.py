"""Fields of the records, and conversion of the published layout to ours."""

from collections.abc import Mapping

from darumeru.mmlu_subjects import CATEGORIES
from darumeru.specs import LETTERS, SPECS

_OPTIONS = [f"inputs.option_{letter}" for letter in "abcd"]
_COMMON = ["instruction", "inputs", "outputs"]
_COPY = [*_COMMON, "inputs.text"]
FIELDS = {
    "rummlu": [*_COMMON, "inputs.text", *_OPTIONS],
    "ruopenbookqa": [*_COMMON, "inputs.question", *_OPTIONS],
    "ruworldtree": [*_COMMON, "inputs.question", *_OPTIONS],
    "parus": [*_COMMON, "inputs.premise", "inputs.choice1", "inputs.choice2", "meta.id"],
    "rcb": [*_COMMON, "inputs.premise", "inputs.hypothesis"],
    "rwsd": [*_COMMON, "inputs.text", "inputs.span1_text", "inputs.span2_text"],
    "multiq": [*_COMMON, "inputs.support_text", "inputs.text", "inputs.question"],
    "use": [*_COMMON, "inputs.task", "inputs.text", "meta.id_task", "meta.variant", "meta.type"],
    "nlpcore_mmlu": ["subject", "question_ru", "choices_ru", "question_en", "choices_en", "answer"],
    "rucola": ["sentence", "acceptable"],
    "treeway": ["src_sents", "summary_sents", "extractive_summary"],
    "cp_sent_en": _COPY, "cp_para_en": _COPY, "cp_sent_ru": _COPY, "cp_para_ru": _COPY,
}  # fmt: skip


class DataError(ValueError):
    """Records are missing, or lack a field."""


def unified(subset: str, record: dict) -> dict:
    """Convert a record to the layout of `FIELDS`. A record that has this layout already is not changed.

    Published records of Darumeru differ in this:

    - `messages` instead of `instruction`: the user's turn with the names of `inputs` in braces, then the assistant's
      lead, followed by the answer in prompt rows
    - MultiQ: answers are segments
    - RWSD: an answer may say more than the option
    - RuCoLA: the label is called `label`
    """
    found = dict(record)
    inputs, outputs = found.get("inputs"), found.get("outputs")
    if subset == "rucola" and "label" in found:
        found.setdefault("acceptable", found["label"])
    if subset.startswith("cp_") and isinstance(inputs, Mapping) and "text" in inputs:
        found.setdefault("outputs", inputs["text"])
    if subset == "multiq" and isinstance(outputs, list):
        found["outputs"] = [answer["segment"] if isinstance(answer, Mapping) else answer for answer in outputs]
    if subset == "rwsd" and isinstance(outputs, str):
        found["outputs"] = next((o for o in SPECS["rwsd"].options if outputs.startswith(o)), outputs)
    if "instruction" not in found and isinstance(found.get("messages"), list) and isinstance(inputs, Mapping):
        answer = found.get("outputs")
        found |= _turns(found["messages"], inputs, answer[0] if isinstance(answer, list) and answer else answer)
    return found


def _turns(messages: list, inputs: Mapping, answer: object) -> dict[str, str]:
    """`instruction` and `lead` from the messages of a published record; {} if these have another form."""
    contents = [message.get("content") for message in messages if isinstance(message, Mapping)]
    if not contents or not all(isinstance(content, str) for content in contents):
        return {}
    try:
        said = contents[1].format(**inputs).strip() if len(contents) > 1 else ""
    except (LookupError, ValueError, AttributeError):  # braces that name nothing of the inputs
        return {}
    return {"instruction": contents[0], "lead": said.removesuffix(str(answer)).rstrip()}


def check(subset: str, record: dict, where: str) -> None:
    """Raise `DataError` if a record lacks a field, or has one of another type; the message names the field."""
    for field in FIELDS[subset]:
        value: object = record
        for part in field.split("."):
            if not isinstance(value, dict) or part not in value:
                raise DataError(f"{where} has no field {field!r}; found the columns {', '.join(_columns(record))}")
            value = value[part]
        if fault := _type_fault(subset, field, value):
            raise DataError(f"{where}: `{field}` is {ascii(value)[:60]}; {fault}")
    if subset == "treeway":
        _check_indices(record["extractive_summary"], len(record["src_sents"]), where)
    if subset == "nlpcore_mmlu" and not record.get("category") and record["subject"] not in CATEGORIES:
        raise DataError(f"{where}: subject {record['subject']!r} is not one of MMLU's; add a field `category`")


def _type_fault(subset: str, field: str, value: object) -> str:
    """What to write in a field instead of its value; "" if the value can be used."""
    name = "inputs.*" if field.startswith("inputs.") else field
    kind, wanted = _KINDS.get(f"{subset}.{field}") or _KINDS.get(name, _ANY)
    return "" if kind(value) else f"write {wanted}"


def _is_text(value: object) -> bool:
    """Whether a value is text that can be written: JSON may hold half of a surrogate pair."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_TEXT, _TEXTS, _ANY = (_is_text, "text"), (_are_texts, "a list of texts"), (lambda value: True, "anything")
_CHOICES = (lambda value: _are_texts(value) and len(value) == len(LETTERS), f"a list of {len(LETTERS)} texts")
_KINDS = {
    **dict.fromkeys(("instruction", "outputs", "subject", "question_ru", "question_en", "sentence"), _TEXT),
    "inputs.*": _TEXT,
    "multiq.outputs": (lambda value: _is_text(value) or _are_texts(value), "text, or a list of texts"),
    **dict.fromkeys(("src_sents", "summary_sents"), _TEXTS),
    **dict.fromkeys(("choices_ru", "choices_en"), _CHOICES),
    "answer": (lambda value: _is_whole(value) and 0 <= value < len(LETTERS), f"a number from 0 to {len(LETTERS) - 1}"),
    "acceptable": (lambda value: _is_whole(value) and value in (0, 1), "0 or 1"),
    # All nulls would be one variant of the exam, or one kind of question.
    **dict.fromkeys(
        ("meta.variant", "meta.id_task", "meta.type"), (lambda value: value is not None, "its name or number")
    ),
    "extractive_summary": (lambda value: isinstance(value, list) and all(map(_is_whole, value)), "a list of indices"),
}


def _check_indices(indices: list[int], sentences: int, where: str) -> None:
    """Raise `DataError` if no sentence is marked, or one that does not exist: no ranking could find it."""
    if not indices:
        raise DataError(f"{where}: `extractive_summary` is empty; each document needs at least one index")
    if beyond := [index for index in indices if not 0 <= index < sentences]:
        raise DataError(
            f"{where}: `extractive_summary` names sentence {beyond[0]}, but `src_sents` has {sentences}, counted from "
            "0; correct the index or leave the record out"
        )


def _columns(record: dict) -> list[str]:
    nested = {key: value for key, value in record.items() if isinstance(value, dict)}
    return [key for key in record if key not in nested] + [f"{key}.{k}" for key, value in nested.items() for k in value]
