"""Prompts, letter by letter: five shots as plain text, none under a chat template, and what shots are taken."""

import json
from pathlib import Path

import pytest
from darumeru import data, prompts
from darumeru.specs import SPECS
from fixtures.darumeru import records

SPLITS = records()


def items(task: str) -> list[dict]:
    """The items of the test split."""
    spec = SPECS[task]
    rows = SPLITS[spec.subset, spec.test]
    return [item for row, record in enumerate(rows) for item in prompts.make_items(spec, record, row)]


def pool_of(task: str) -> list[dict]:
    """The examples to choose shots from."""
    spec = SPECS[task]
    return [prompts.make_shot(spec, record, row) for row, record in enumerate(SPLITS[spec.subset, spec.shots])]


def build(task: str, count: int, chat: bool = False, index: int = 0) -> str:
    spec = SPECS[task]
    item = items(task)[index]
    shots = prompts.choose_shots(spec, item, pool_of(task), count) if count else []
    template = None
    if chat:

        def template(messages: list[dict], add_generation_prompt: bool) -> str:
            turns = "".join(f"<{m['role']}>{m['content']}" for m in messages)
            return f"{turns}<assistant>" if add_generation_prompt else turns

    return prompts.render(prompts.conversation(spec, item, shots), template)


def test_five_shots_of_a_base_model() -> None:
    """Shots are put in front one by one, so the fifth stands first."""
    assert build("rwsd", 5) == (
        "Кот 104 спал. Он ел. «Он» - «Кот»?\nОтвет: Да\n\n"
        "Кот 103 спал. Он ел. «Он» - «Кот»?\nОтвет: Нет\n\n"
        "Кот 102 спал. Он ел. «Он» - «Кот»?\nОтвет: Да\n\n"
        "Кот 101 спал. Он ел. «Он» - «Кот»?\nОтвет: Нет\n\n"
        "Кот 100 спал. Он ел. «Он» - «Кот»?\nОтвет: Да\n\n"
        "Кот 0 спал. Он ел. «Он» - «Кот»?\nОтвет:"
    )


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (
            "rummlu",
            "<user>Вопрос: Что такое 0?\nA. вариант 0 A\nB. вариант 0 B\nC. вариант 0 C\nD. вариант 0 D"
            "<assistant>Ответ:",
        ),
        ("nlpcore_rummlu", "<user>Вопрос 0?\nA. да\nB. нет\nC. всё\nD. ничто<assistant>Ответ:"),
        ("nlpcore_enmmlu", "<user>Question 0?\nA. yes\nB. no\nC. all\nD. none<assistant>Answer:"),
        ("multiq", "<user>Река течёт. Город стоит. Что стоит 0?<assistant>Ответ:"),
        ("parus", "<user>Случай 0. Почему?\n1. Шёл дождь\n2. Светило солнце<assistant>Ответ:"),
        ("rcb", "<user>Дом 0. Стоит. 1, 2 или 3?<assistant>Ответ:"),
        ("use", "<user>Задание 1<assistant>Ответ:"),
        (
            "rucola",
            "<user>Приемлемо ли предложение (синтаксис, морфология, семантика)? 1 - да, 0 - нет.\n"
            "Текст: Кот спит 0.<assistant>Ответ:",
        ),
        (
            "treeway_abstractive",
            "<user>Напиши краткую аннотацию на русском языке.\nТекст: Предложение 0 номер 0. "
            "Предложение 0 номер 1 и ещё слова. Предложение 0 номер 2 и ещё слова и ещё слова. "
            "Предложение 0 номер 3 и ещё слова и ещё слова и ещё слова.<assistant>TL;DR:",
        ),
        ("cp_sent_ru", "<user>Повтори: Жил был старый кот и видел.<assistant>"),
        ("cp_sent_en", "<user>Copy: There was an old cat who.<assistant>"),
    ],
)
def test_no_shot_of_a_chat_model(task: str, text: str) -> None:
    assert build(task, 0, chat=True) == text


def test_extractive_prompt_leaves_the_sentence_open() -> None:
    text = build("treeway_extractive", 0)
    assert text.startswith("Найди наиболее важные предложения статьи.\nТекст: Предложение 0 номер 0.")
    assert text.endswith("\nНаиболее важные предложения статьи:")
    (item,) = prompts.make_items(SPECS["treeway_extractive"], SPLITS["treeway", "test"][0], 0)
    assert item["options"] == SPLITS["treeway", "test"][0]["src_sents"]


def test_headline_of_mmlu_stands_once_above_shots_in_order() -> None:
    text = build("nlpcore_enmmlu", 2, index=4)
    question = "Question {}?\nA. yes\nB. no\nC. all\nD. none\nAnswer:{}"
    assert text == (
        "The following are multiple choice questions about kings.\n\n"
        f"{question.format(10, ' C')}\n\n{question.format(11, ' D')}\n\n{question.format(4, '')}"
    )
    assert build("nlpcore_rummlu", 1).startswith("Вопросы с вариантами ответа (звёзды).\n\nВопрос 10?")


def test_shots_of_a_copy_task_have_no_lead() -> None:
    assert build("cp_sent_en", 1) == (
        "Copy: was an old cat who had.\nwas an old cat who had.\n\nCopy: There was an old cat who.\n"
    )


def test_rucola_takes_shots_from_row_29() -> None:
    pool = pool_of("rucola")
    spec, item = SPECS["rucola"], items("rucola")[0]
    assert [shot["id"] for shot in prompts.choose_shots(spec, item, pool, 5)] == ["29", "30", "31", "32", "33"]
    assert [shot["id"] for shot in prompts.choose_shots(spec, item, pool[:34], 5)] == ["0", "1", "2", "3", "4"]


def test_shots_under_a_chat_template_are_turns() -> None:
    assert build("rwsd", 1, chat=True) == (
        "<user>Кот 100 спал. Он ел. «Он» - «Кот»?<assistant>Ответ: Да"
        "<user>Кот 0 спал. Он ел. «Он» - «Кот»?<assistant>Ответ:"
    )


def test_parus_has_both_orders() -> None:
    record = records()["parus", "test"][1]
    first, second = prompts.make_items(SPECS["parus"], record, 0)
    assert (first["target"], second["target"]) == ("2", "1")
    assert first["user"].endswith("1. Шёл дождь\n2. Светило солнце")
    assert second["user"].endswith("1. Светило солнце\n2. Шёл дождь")
    assert json.loads(first["meta"]) == json.loads(second["meta"]) == {"pair": "1"}


def test_shots_of_parus_are_records_each_once(benchmark: Path) -> None:
    """Five shots are five records in their order, none of them turned round."""
    spec, splits = SPECS["parus"], data.load("parus", darumeru_data=str(benchmark))
    first = splits["test"][0]
    shots = prompts.choose_shots(spec, first, list(splits["shots"]), 5)
    given = records()["parus", "prompt"][:5]
    assert [shot["id"] for shot in shots] == [f"{record['meta']['id']}/0" for record in given]
    assert [shot["target"] for shot in shots] == [record["outputs"] for record in given]
