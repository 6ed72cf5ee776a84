"""Miniature of the unified state exam (USE): variants of 26 tasks worth 34 points, from held-out text.

Types of answers, as in the exam: one word (`text`), numbers of the right options (`choice`), numbers matched to
letters (`matching`). Points:

- task 8, matching, 5 points: parts of speech of words
- task 16, choice, 2 points: places of the missing commas
- task 26, matching, 4 points: words removed from a text
- the 23 other tasks: 1 point each
"""

import random
import re
from collections import defaultdict
from collections.abc import Callable

from lep.stand_ins.benchmark.items import PROMPTS, Plan, filled, shuffled, too_few
from lep.stand_ins.benchmark.morphology import adjective, is_name, lemma, noun, part_of_speech, readings
from lep.stand_ins.benchmark.texts import Texts, capitalised, clauses, sentences, tokens, words

TASKS = 26
POINTS = {8: 5, 16: 2, 26: 4}  # by task; 1 for the others
TEMPLATES = {
    "text": "{task}: {text}",
    "choice": "{task}: {choices}",
    "choice_text": "{task}: {text}",
    "matching": "{task}. {text} | {choices}",
}
_KINDS = {
    "NOUN": "существительное",
    "VERB": "глагол",
    "PREP": "предлог",
    "NPRO": "местоимение",
    "ADVB": "наречие",
    "INFN": "инфинитив",
    "NUMR": "числительное",
    "CONJ": "союз",
}
_CYRILLIC = "АБВГД"
_SPELLING = re.compile(r"[аоеи]")


class _Pool:
    """Held-out sentences, clauses and word forms, in random order."""

    def __init__(self, texts: Texts, rng: random.Random):
        self.rng = rng
        self.used: set[str] = set()  # inputs of the tasks so far
        passages = texts.russian("bible", held_out=True)
        found = dict.fromkeys(c for p in passages for c in clauses(p.text) if 3 <= len(words(c)) <= 8 and len(c) <= 60)
        self.clauses = shuffled((clause for clause in found if texts.unseen(clause)), rng)
        found = dict.fromkeys(s for p in passages for s in sentences(p.text) if 25 <= len(s) <= 75)
        self.sentences = shuffled((sentence for sentence in found if texts.unseen(sentence)), rng)
        forms: dict[str, list[str]] = defaultdict(list)
        found = (word for p in passages for word, start, _ in tokens(p.text) if start and len(word) > 2)
        for word in dict.fromkeys(found):
            kind = part_of_speech(word)
            if kind in _KINDS and word.islower() and not word.count("-"):
                forms[kind].append(word)
        self.forms = {kind: shuffled(rows, rng) for kind, rows in forms.items()}

    def some(self, kind: str, count: int) -> list[str] | None:
        """`count` distinct words of a part of speech; None if there are fewer."""
        rows = self.forms.get(kind, [])
        return self.rng.sample(rows, count) if len(rows) >= count else None


Made = tuple[str, dict, str] | None  # (type, inputs, answer); None if the drawn text is unfit


def use(texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    """Splits of the exam: the test has `plan.items` / 26 whole variants (rounded, at least one).

    The prompt rows are short tasks of one more variant, always with tasks 8, 16 and 26.
    """
    pool = _Pool(texts, rng)
    variants = max(1, round(plan.items / TASKS))
    places = [(variant, number) for variant in range(1, variants + 1) for number in range(1, TASKS + 1)]
    tests = [_task(pool, plan, number, variant, plan.test) for variant, number in places]
    numbers = sorted([8, 16, 26, *rng.sample([n for n in range(1, TASKS) if n not in POINTS], PROMPTS - len(POINTS))])
    shots = [_task(pool, plan, number, 0, plan.shot) for number in numbers]
    for index, record in enumerate(shots + tests):
        record["meta"] = {"id": index} | record["meta"]
    return {"prompt": shots, "test": tests}


def _task(pool: _Pool, plan: Plan, number: int, variant: int, limit: int) -> dict:
    """One task with at most `limit` characters; its number decides its maker. `UserError` after 400 failed tries."""
    maker = _SPECIAL.get(number) or _MAKERS[number % len(_MAKERS)]
    for _ in range(400):
        made = maker(pool)
        if made is None:
            continue
        kind, inputs, answer = made
        template = TEMPLATES["choice_text" if kind == "choice" and not inputs["choices"] else kind]
        record = {"instruction": template, "inputs": inputs, "outputs": answer}
        if filled(record) <= limit and str(inputs) not in pool.used:
            pool.used.add(str(inputs))
            points = POINTS.get(number, 1)
            record["meta"] = {"id_task": str(number), "variant": variant, "type": kind, "score": points}
            return record
    raise too_few(f"{plan.task} (task {number})", 0, 1, "sentences that fit")


def _inputs(task: str, text: str = "", choices: str = "") -> dict:
    return {"task": task, "text": text, "choices": choices, "additional_text": ""}


def _numbered(options: list[str]) -> str:
    return " ".join(f"{number}) {option}" for number, option in enumerate(options, start=1))


def _single(task: str, wanted: Callable[[str], bool]) -> Callable[[_Pool], Made]:
    """Maker of a `text` task: find the only word of a sentence that is `wanted`."""

    def make(pool: _Pool) -> Made:
        clause = pool.rng.choice(pool.clauses) if pool.clauses else ""
        found = [word for word, _, _ in tokens(clause) if wanted(word)]
        if len(found) != 1 or len(found[0]) < 2 or "-" in found[0]:
            return None
        return "text", _inputs(task, f"{capitalised(clause)}."), found[0].lower()

    return make


def _is(*kinds: str) -> Callable[[str], bool]:
    """Test for words that can be of these parts of speech; a sentence with two possible ones is unfit."""

    def wanted(word: str) -> bool:
        return any(str(reading.tag.POS) in kinds for reading in readings(word))

    return wanted


def _which(task: str, kind: str, others: tuple[str, ...]) -> Callable[[_Pool], Made]:
    """Maker of a `choice` task: among four words, the numbers of the one or two of a part of speech."""

    def make(pool: _Pool) -> Made:
        count = pool.rng.choice((1, 2))
        right = pool.some(kind, count)
        wrong = [row[0] for _ in range(4 - count) if (row := pool.some(pool.rng.choice(others), 1))]
        options = shuffled([*(right or []), *wrong], pool.rng)
        if right is None or len(set(options)) != 4:
            return None
        answer = ",".join(str(number) for number, option in enumerate(options, start=1) if option in right)
        return "choice", _inputs(task, choices=_numbered(options)), answer

    return make


def _gender(pool: _Pool) -> Made:
    """Choice: feminine nouns."""
    nouns = [word for word in pool.some("NOUN", min(12, len(pool.forms.get("NOUN", [])))) or [] if noun(word)][:4]
    right = [word for word in nouns if noun(word).tag.gender == "femn"]
    if len(nouns) != 4 or not 1 <= len(right) <= 2:
        return None
    answer = ",".join(str(number) for number, word in enumerate(nouns, start=1) if word in right)
    return "choice", _inputs("Номера слов женского рода", choices=_numbered(nouns)), answer


def _vowel(pool: _Pool) -> Made:
    """Choice: words with one vowel removed; which ones miss the letter `о`?"""
    rows = pool.some("NOUN", 4)
    if rows is None:
        return None
    letters, options = [], []
    for word in rows:
        places = [match.start() for match in _SPELLING.finditer(word, 1, len(word) - 1)]
        if not places:
            return None
        place = pool.rng.choice(places)
        letters.append(word[place])
        options.append(f"{word[:place]}_{word[place + 1 :]}")
    answer = ",".join(str(number) for number, letter in enumerate(letters, start=1) if letter == "о")
    if not 1 <= len(answer) <= 3:
        return None
    return "choice", _inputs("В каких словах пропущена буква О", choices=_numbered(options)), answer


def _lemma_of(pool: _Pool) -> Made:
    """Text: dictionary form of a noun."""
    row = pool.some("NOUN", 1)
    if row is None or not noun(row[0]) or lemma(row[0]) == row[0].lower():
        return None
    forms = {reading.normal_form for reading in readings(row[0])}
    return ("text", _inputs("Начальная форма слова", row[0]), lemma(row[0])) if len(forms) == 1 else None


def _parts_of_speech(pool: _Pool) -> Made:
    """Matching: five words and their parts of speech (task 8)."""
    kinds = pool.rng.sample(sorted(kind for kind in _KINDS if pool.forms.get(kind)), min(5, len(pool.forms)))
    found = [pool.some(kind, 1) for kind in kinds]
    if len(kinds) < 5 or not all(found):
        return None
    order = shuffled(kinds, pool.rng)
    text = " ".join(f"{letter}) {word[0]}" for letter, word in zip(_CYRILLIC, found, strict=True))
    answer = ",".join(str(order.index(kind) + 1) for kind in kinds)
    return "matching", _inputs("Часть речи", text, _numbered([_KINDS[kind] for kind in order])), answer


def _commas(pool: _Pool) -> Made:
    """Choice: numbered places of a sentence; which ones had a comma (task 16)?"""
    sentence = pool.rng.choice(pool.sentences) if pool.sentences else ""
    plain = not re.search(r"[;:()!?\"«»-]", sentence)
    gaps = [match.start() for match in re.finditer(r",? (?=[а-яё])", sentence)]
    right = [gap for gap in gaps if sentence[gap] == ","]
    wrong = [gap for gap in gaps if sentence[gap] != ","]
    if not plain or not 1 <= len(right) <= 3 or len(right) != sentence.count(",") or len(wrong) < 2:
        return None
    shown = sorted(right + pool.rng.sample(wrong, 2))
    pieces, last = [], 0
    for number, gap in enumerate(shown, start=1):
        pieces.append(f"{sentence[last:gap]} ({number})")
        last = gap + (sentence[gap] == ",")
    answer = ",".join(str(shown.index(gap) + 1) for gap in right)
    return "choice", _inputs("Где нужны запятые", "".join(pieces) + sentence[last:]), answer


def _gaps(pool: _Pool) -> Made:
    """Matching: four words removed from a sentence, and their places (task 26)."""
    sentence = pool.rng.choice(pool.sentences) if pool.sentences else ""
    fits = [t for t in tokens(sentence) if len(t[0]) > 3 and words(sentence).count(t[0].lower().replace("ё", "е")) == 1]
    if len(fits) < 4:
        return None
    taken = sorted(pool.rng.sample(fits, 4), key=lambda token: token[1])
    options = shuffled([word.lower() for word, _, _ in taken], pool.rng)
    pieces, last = [], 0
    for letter, (_, start, end) in zip(_CYRILLIC, taken, strict=False):
        pieces.append(f"{sentence[last:start]}({letter})")
        last = end
    answer = ",".join(str(options.index(word.lower()) + 1) for word, _, _ in taken)
    text = "".join(pieces) + sentence[last:]
    return "matching", _inputs("Верни слова на места", text, _numbered(options)), answer


_SPECIAL = {8: _parts_of_speech, 16: _commas, 26: _gaps}
_MAKERS = (
    _single("Выпиши глагол", _is("VERB", "INFN")),
    _which("Номера глаголов", "VERB", ("NOUN", "PREP", "ADVB")),
    _single("Выпиши предлог", _is("PREP")),
    _gender,
    _single("Выпиши имя", is_name),
    _vowel,
    _single("Выпиши прилагательное", adjective),
    _which("Номера наречий", "ADVB", ("NOUN", "VERB", "PREP")),
    _lemma_of,
)
