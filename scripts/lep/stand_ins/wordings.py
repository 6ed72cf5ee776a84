"""Wordings of the questions that the stand-ins are trained on; none is a wording of the benchmark.

A space stands before each quoted word, as in running text: a tokenizer then gives both the same tokens.
"""

from collections.abc import Mapping

# {text}, {word}, {options}, ... are filled by the makers in `questions`.
WORDINGS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "en": {
        "copy": (
            "Repeat exactly: {text}",
            "Copy this text without changes: {text}",
            "Write the text again:\n{text}",
            "Say once more: {text}",
            "Once again: {text}",
            "Repeat: {text}",
            "Copy the sentence: {text}",
            "Please copy: {text}",
            "A copy: {text}",
            "Copy out:\n{text}",
            "Repeat these words: {text}",
            "Please repeat this text: {text}",
        ),
        "named": (
            "{text} Which of these words is in the text?\n{options}",
            "Text: {text}\nWho or what is mentioned?\n{options}",
            "Read: {text} One of these is in it. Which?\n{options}",
            "{text}\nWhat does the text name?\n{options}",
        ),
        "next": (
            "{text} What stands next to the word {word} here?\n{options}",
            "Text: {text}\nWhich word is said after {word}?\n{options}",
            "{text}\nChoose the neighbour of the word {word}.\n{options}",
        ),
        "ending": (
            "{text} What are the last words?\n{options}",
            "Read the text: {text}\nHow does it go on after the words: {head}?\n{options}",
            "{text}\nChoose the end of the text.\n{options}",
        ),
        "pairs": (
            "{text} Which belongs to {word}?\n{options}",
            "Known: {text}\nWhat goes with {word}?\n{options}",
            "List: {text}\nChoose the partner of {word}.\n{options}",
        ),
        "gap": ("{text} Fill in the gap: {gap}\n{options}", "Text: {text}\nLeft out here: {gap}\n{options}"),
        "cause": (
            "{text} Which statement belongs to it?\n1. {one}\n2. {two}",
            "Text: {text} What was the cause?\n1. {one}\n2. {two}",
            "{text}\nWhat came of it?\n1. {one}\n2. {two}",
        ),
        "entailment": (
            "{text} Claim: {claim}. Is it true (1), false (2) or not said (3)?",
            "Read: {text} Is this so: {claim}? 1 = yes, 2 = no, 3 = unknown",
            "{text}\nClaim: {claim}\n1 true, 2 false, 3 unclear",
        ),
        "refers": (
            "{text} Is it about {word}? Yes or No",
            "Text: {text} Does the text speak of {word}? (Yes/No)",
            "{text}\nIs {word} meant here? Yes/No",
        ),
        "order": (
            "Is the sentence correct? 1 - yes, 0 - no. {text}",
            "{text} Is this good English (1) or not (0)?",
            "Sentence: {text}\nWell formed: 1, badly formed: 0.",
        ),
        "following": (
            "{text} The word after {word}?",
            "Text: {text}\nFind the word that follows {word}.",
            "{text}\nWhat is written right after {word}?",
        ),
        "exam_last": ("Write the last word: {text}", "{text} What is the last word?"),
        "exam_first": ("Write the first word: {text}", "{text} What is the first word?"),
        "exam_number": ("Number of the line with the word {word}: {options}", "Where is the word {word}? {options}"),
        "exam_matching": ("Match the same words. {text} | {options}", "Find equal words: {text} | {options}"),
        "summary": ("In short?\n{text}", "Sum the text up: {text}", "Give a summary.\nText: {text}"),
        "important": ("Which sentence matters most? {text}", "Choose the main sentence.\nText: {text}"),
    },
    "ru": {
        "copy": (
            "Повтори точно: {text}",
            "Перепиши текст слово в слово: {text}",
            "Напиши этот текст ещё раз:\n{text}",
            "Скажи снова: {text}",
            "Ещё раз: {text}",
            "Копия: {text}",
            "Перепиши фразу: {text}",
            "Повтори эти слова: {text}",
        ),
        "named": (
            "{text} Какое из этих слов есть в тексте?\n{options}",
            "Прочти: {text}\nКто или что упоминается?\n{options}",
            "Вопрос: {text} Что из этого там есть?\n{options}",
            "{text}\nО чём говорит текст?\n{options}",
        ),
        "next": (
            "{text} Что стоит рядом со словом {word}?\n{options}",
            "Прочти: {text}\nКакое слово сказано после {word}?\n{options}",
            "{text}\nВыбери соседа слова {word}.\n{options}",
        ),
        "ending": (
            "{text} Какие слова последние?\n{options}",
            "Прочти: {text}\nЧто идёт после слов: {head}?\n{options}",
            "{text}\nВыбери конец текста.\n{options}",
        ),
        "pairs": (
            "{text} Что относится к {word}?\n{options}",
            "Известно: {text}\nЧто в паре с {word}?\n{options}",
            "Список: {text}\nВыбери пару для {word}.\n{options}",
        ),
        "gap": ("{text} Заполни пропуск: {gap}\n{options}", "Прочти: {text}\nЧто выпало: {gap}\n{options}"),
        "cause": (
            "{text} Какое утверждение сюда относится?\n1. {one}\n2. {two}",
            "Прочти: {text} Почему так?\n1. {one}\n2. {two}",
            "{text}\nЧто было потом?\n1. {one}\n2. {two}",
        ),
        "entailment": (
            "{text} Тезис: {claim}. Он верен (1), неверен (2) или не назван (3)?",
            "Прочти: {text} Так ли это: {claim}? 1 = да, 2 = нет, 3 = не сказано",
            "{text}\nТезис: {claim}\n1 правда, 2 ложь, 3 неизвестно",
        ),
        "refers": (
            "{text} Это про слово {word}? Да или Нет",
            "Прочти: {text} Говорит ли текст о слове {word}? (Да/Нет)",
            "{text}\nЗдесь имеется в виду {word}? Да/Нет",
        ),
        "order": (
            "Правильно ли предложение? 1 - да, 0 - нет. {text}",
            "{text} Так говорят по-русски (1) или нет (0)?",
            "Фраза: {text}\nВерно построена: 1, неверно: 0.",
        ),
        "following": (
            "{text} Слово после {word}?",
            "Прочти: {text}\nНайди слово, которое идёт за {word}.",
            "{text}\nЧто написано сразу после {word}?",
        ),
        "exam_last": ("Последнее слово: {text}", "{text} Какое слово последнее?"),
        "exam_first": ("Первое слово: {text}", "{text} Какое слово первое?"),
        "exam_number": ("Номер строки со словом {word}: {options}", "Где слово {word}? {options}"),
        "exam_matching": ("Соедини равные слова. {text} | {options}", "Найди одинаковые слова: {text} | {options}"),
        "summary": ("Кратко?\n{text}", "Подведи итог: {text}", "Сократи.\nТекст: {text}"),
        "important": ("Какое предложение главное? {text}", "Выбери главное предложение.\nТекст: {text}"),
    },
}
# Text before the answer of a kind, by language; `choices.LEADS` for the other kinds.
SPECIAL_LEADS = {
    "copy": {"en": "", "ru": ""},
    "summary": {"en": "TL;DR:", "ru": "TL;DR:"},
    "important": {"en": "Most important sentence:", "ru": "Важные предложения текста:"},
}
