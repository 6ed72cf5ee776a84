"""The miniature benchmark: schemas, balance, length, no overlap, right labels, the same bytes twice."""

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import pairwise, product
from pathlib import Path

import pytest
from lep.config import UserError
from lep.manifest import verify
from lep.stand_ins.benchmark.items import PROMPTS, Plan, balanced, choose, generator
from lep.stand_ins.benchmark.miniature import (
    SUBSETS,
    comprehension,
    exam,
    grammar,
    knowledge,
    make_benchmark,
    mmlu,
    summary_copy,
)
from lep.stand_ins.benchmark.morphology import inflected, lemma
from lep.stand_ins.benchmark.texts import Seen, Texts, clauses, excerpt, sentences, words

FIXTURES = Path(__file__).parents[3] / "data" / "fixtures" / "corpus"
LIMIT = 1150
ITEMS = 6
HELD_OUT_TASKS = (
    "multiq",
    "parus",
    "rcb",
    "rwsd",
    "rucola",
    "treeway",
    "cp_sent_ru",
    "cp_para_ru",
    "cp_sent_en",
    "cp_para_en",
)
FACTS = (
    ("Плотник чинил крышу", "дождь шел всю неделю"),
    ("Рыбаки вернулись рано", "море бушевало с утра"),
    ("Пастух развел костер", "ночь была холодная"),
    ("Гончар смеялся громко", "кувшин вышел кривой"),
    ("Купец закрыл лавку", "товар закончился вчера"),
    ("Мельник спал спокойно", "жернова стояли тихо"),
    ("Садовник радовался весне", "яблони зацвели дружно"),
    ("Дети побежали домой", "гроза приближалась быстро"),
    ("Кузнец купил уголь", "горн остыл совсем"),
    ("Писец зажег лампу", "стемнело очень рано"),
    ("Воины стояли молча", "полководец говорил тихо"),
    ("Лодка плыла медленно", "ветер стих совсем"),
    ("Козы ушли далеко", "сторож уснул днем"),
    ("Лекарь собрал травы", "больные ждали помощи"),
    ("Путник снял плащ", "солнце грело сильно"),
    ("Пекарь встал затемно", "город просил булок"),
    ("Ткачи пели песни", "работа спорилась отлично"),
    ("Хозяин продал осла", "корма осталось мало"),
)
MEN = ("плотник", "пастух", "кузнец", "рыбак", "гончар", "купец", "писец", "лекарь", "мельник", "пекарь")
WOMEN = ("вдова", "невеста", "царица", "служанка", "соседка", "сестра")
DEEDS = ("ждал у старых ворот", "пел возле колодца", "нес тяжелый мешок", "искал потерянные ключи")
ACTS = (
    "был там, но ушел",
    "ел суп, и пил",
    "шел вперед, и пел",
    "знал дело, и жил",
    "спал днем, и встал",
    "видел реку",
)
HE = ("он вернулся очень поздно", "он молча кивнул всем", "потом он долго смеялся")
SHE = ("она вернулась очень поздно", "она молча кивнула всем", "потом она долго смеялась")


def made_documents() -> list[dict]:
    """Held-out Russian documents in which every label can be checked by eye."""
    causal = [f"{effect}, ибо {cause}." for effect, cause in FACTS]
    women = {deed: inflected(deed.split()[0], frozenset({"femn"})) for deed in DEEDS}
    persons = [f"{man.capitalize()} {deed}, и не спешил." for man, deed in product(MEN, DEEDS)]
    persons += [
        f"{woman.capitalize()} {women[deed]} {deed.split(' ', 1)[1]}, и не спешила."
        for woman, deed in product(WOMEN, DEEDS)
    ]
    pronouns = [f"Говорят, {clause}." for clause in HE + SHE]
    short = [f"{effect}. {cause.capitalize()}." for effect, cause in zip(*[iter(f[0] for f in FACTS)] * 2, strict=True)]
    short += [f"{a.capitalize()}. {b.capitalize()}." for a, b in zip(*[iter(f[1] for f in FACTS)] * 2, strict=True)]
    long = [
        f"В тот день {a[0].lower()} и никуда не торопился. А вечером {b[0].lower()}, и было тихо кругом."
        for a, b in zip(FACTS, FACTS[5:] + FACTS[:5], strict=True)
    ]
    brief = [f"{man.capitalize()} {act}." for act, man in product(ACTS, MEN)]
    rows = {"906": brief, "902": persons, "903": pronouns, "904": short, "905": long}
    rows |= {f"91{number}": causal[number::3] for number in range(3)}
    return [document(f"bible/66/{chapter}", "ru", verses) for chapter, verses in rows.items()]


def document(identity: str, language: str, verses: list[str], title: str = "Книга 1", source: str = "bible") -> dict:
    number = identity.removeprefix("bible/")
    return {
        "id": identity,
        "group": identity,
        "source": source,
        "domain": "scripture",
        "language": language,
        "title": title,
        "paragraphs": [{"id": f"{number}/{index:03d}", "text": text} for index, text in enumerate(verses, start=1)],
    }


def write(path: Path, documents: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in documents), encoding="utf-8")
    return path


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("corpus")
    benchmark = read(FIXTURES / "benchmark.jsonl") + made_documents()
    return write(folder / "train.jsonl", read(FIXTURES / "train.jsonl")), write(folder / "benchmark.jsonl", benchmark)


@pytest.fixture(scope="module")
def made(corpus, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("made") / "benchmark"
    make_benchmark(*corpus, output, ITEMS, 42, LIMIT, {"rcb": 9})
    return output


@pytest.fixture(scope="module")
def texts(corpus) -> Texts:
    return Texts(*corpus)


def splits(folder: Path, subset: str) -> tuple[list[dict], list[dict]]:
    names = {"nlpcore_mmlu": ("dev", "test"), "rucola": ("train", "validation")}.get(subset, ("prompt", "test"))
    assert sorted(p.name for p in (folder / subset).iterdir()) == sorted(f"{name}.jsonl" for name in names)
    return tuple(read(folder / subset / f"{name}.jsonl") for name in names)


def rendered(subset: str, row: dict, language: str = "ru") -> str:
    """A row as a prompt with its answer, as long as a loader may make it."""
    if "instruction" in row:
        answer = row["outputs"] if isinstance(row["outputs"], str) else max(row["outputs"], key=len)
        return row["instruction"].format(**row["inputs"]) + f"\nОтвет: {answer}\n\n"
    if subset == "rucola":
        return "Приемлем ли текст с точки зрения синтаксиса, морфологии и семантики? Ответь 0 или 1.\nТекст: " + (
            f"{row['sentence']}\nОтвет: {row['acceptable']}\n\n"
        )
    if subset == "treeway":
        text, summary = (" ".join(row[key]) for key in ("src_sents", "summary_sents"))
        return f"Составь краткую аннотацию.\nТекст: {text}\nTL;DR: {summary}\n\n"
    lines = [f"{letter}. {text}" for letter, text in zip("ABCD", row[f"choices_{language}"], strict=True)]
    return "\n".join([row[f"question_{language}"], *lines, "Answer: A\n\n"])


def test_manifest_lists_every_subset(made):
    facts = verify(made)["facts"]
    assert {name.split("/")[0] for name in facts} == set(SUBSETS)
    assert facts["rcb/test"] == 9
    assert facts["use/test"] == 26
    assert facts["nlpcore_mmlu/dev"] == 30


@pytest.mark.parametrize("subset", ["rummlu", "ruopenbookqa", "ruworldtree"])
def test_multiple_choice_schema_and_balance(made, subset):
    key = "text" if subset == "rummlu" else "question"
    shots, tests = splits(made, subset)
    assert (len(shots), len(tests)) == (PROMPTS, ITEMS)
    for row in shots + tests:
        options = [row["inputs"][f"option_{letter}"] for letter in "abcd"]
        assert len(set(options)) == 4
        assert set(row["inputs"]) - {key, "subject"} == {f"option_{letter}" for letter in "abcd"}
        assert ("domain" in row["meta"]) == (subset == "rummlu")
    assert len({row["inputs"][key] for row in shots + tests}) == PROMPTS + ITEMS
    for rows in (shots, tests):
        counts = Counter(row["outputs"] for row in rows)
        assert set(counts) == set("ABCD")
        assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize(
    ("subset", "inputs", "answers"),
    [
        ("parus", {"premise", "choice1", "choice2"}, "12"),
        ("rcb", {"premise", "hypothesis"}, "123"),
        ("rwsd", {"text", "span1_text", "span2_text"}, ("Да", "Нет")),
    ],
)
def test_comprehension_schema_and_balance(made, subset, inputs, answers):
    for rows in splits(made, subset):
        assert all(set(row["inputs"]) == inputs and all(row["inputs"].values()) for row in rows)
        counts = Counter(row["outputs"] for row in rows)
        assert set(counts) == set(answers)
        assert max(counts.values()) - min(counts.values()) <= 1
    shots, tests = splits(made, subset)
    assert [row["meta"]["id"] for row in shots + tests] == list(range(len(shots) + len(tests)))


def test_mmlu_schema(made):
    dev, tests = splits(made, "nlpcore_mmlu")
    assert {row["category"] for row in tests} == {"STEM", "humanities", "social sciences", "other"}
    assert set(Counter(row["subject"] for row in dev).values()) == {mmlu.DEV}
    for row in dev + tests:
        assert len(set(row["choices_ru"])) == len(set(row["choices_en"])) == 4
        assert row["answer"] in range(4)


def test_rucola_is_half_and_half(made):
    for rows in splits(made, "rucola"):
        assert sum(row["acceptable"] for row in rows) == len(rows) // 2
        assert all((row["error_type"] == "0") == (row["acceptable"] == 1) for row in rows)
        assert set(rows[0]) == {"id", "sentence", "acceptable", "error_type", "detailed_source"}


def test_use_variant_is_worth_34_points(made):
    shots, tests = splits(made, "use")
    assert len(shots) == PROMPTS
    assert {row["meta"]["variant"] for row in shots}.isdisjoint({row["meta"]["variant"] for row in tests})
    assert sum(row["meta"]["score"] for row in tests) == 34
    assert [row["meta"]["id_task"] for row in tests] == [str(number) for number in range(1, 27)]
    special = {
        row["meta"]["id_task"]: (row["meta"]["type"], row["meta"]["score"]) for row in tests if row["meta"]["score"] > 1
    }
    assert special == {"8": ("matching", 5), "16": ("choice", 2), "26": ("matching", 4)}
    for row in shots + tests:
        assert set(row["inputs"]) == {"task", "text", "choices", "additional_text"}
        kind = row["meta"]["type"]
        assert re.fullmatch(r"[а-я]+" if kind == "text" else r"\d(,\d)*", row["outputs"])
        if kind == "matching":
            assert len(row["outputs"].split(",")) == row["meta"]["score"]


def test_treeway_labels_are_the_oracle(made):
    for rows in splits(made, "treeway"):
        for row in rows:
            assert 4 <= len(row["src_sents"]) <= 6
            assert 1 <= len(row["extractive_summary"]) <= 2
            assert row["extractive_summary"] == summary_copy.oracle(row["src_sents"], " ".join(row["summary_sents"]))


def test_copies(made):
    for subset in ("cp_sent_en", "cp_para_en", "cp_sent_ru", "cp_para_ru"):
        for rows in splits(made, subset):
            assert all(row["outputs"] == row["inputs"]["text"] and "\n" not in row["outputs"] for row in rows)
    assert all(
        90 <= len(row["outputs"]) <= 140 for task in ("cp_para_ru", "cp_para_en") for row in splits(made, task)[1]
    )
    assert all(25 <= len(row["outputs"]) <= 60 for rows in splits(made, "cp_sent_ru") for row in rows)


@pytest.mark.parametrize("subset", list(SUBSETS))
def test_five_shots_and_the_longest_item_fit(made, subset):
    english = subset.endswith("_en")
    for language in ("ru", "en") if subset == "nlpcore_mmlu" else ("ru",):
        shots, tests = splits(made, subset)
        groups = defaultdict(list)
        for row in shots:
            groups[row.get("subject")].append(len(rendered(subset, row, language)))
        longest = max(sum(sorted(sizes)[-5:]) for sizes in groups.values())
        total = longest + max(len(rendered(subset, row, language)) for row in tests)
        assert total <= (2000 if english or language == "en" else LIMIT)


def test_same_bytes_whatever_the_order_of_the_corpus_and_of_sets(corpus, made, tmp_path):
    reordered = [write(tmp_path / path.name, read(path)[::-1]) for path in corpus]
    code = (
        "from lep.stand_ins.benchmark.miniature import make_benchmark as m\n"
        "import sys\n"
        f"m(*sys.argv[1:], {ITEMS}, 42, {LIMIT}, {{'rcb': 9}})"
    )
    arguments = [str(path) for path in (*reordered, tmp_path / "again")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=os.environ | {"PYTHONHASHSEED": "7"})
    assert (tmp_path / "again" / "manifest.json").read_bytes() == (made / "manifest.json").read_bytes()


def test_another_seed_asks_other_questions(texts):
    plan = Plan("multiq", ITEMS, LIMIT)
    one, other = (comprehension.multiq(texts, plan, generator(seed, "multiq")) for seed in (1, 2))
    assert one != other


# --- held-out text only ----------------------------------------------------------------------------------------------


def quoted(subset: str, row: dict) -> list[str]:
    """The held-out texts a row is made from (spoilt sentences have none)."""
    if subset == "rucola":
        return [row["sentence"]] if row["acceptable"] else []
    if subset == "treeway":
        return row["src_sents"]
    if subset == "rwsd":
        return sentences(row["inputs"]["text"])
    keys = {"multiq": ("support_text", "text"), "parus": ("premise", "choice1", "choice2"), "rcb": ("premise",)}
    return [row["inputs"][key] for key in keys.get(subset, ("text",))]


@pytest.mark.parametrize("subset", HELD_OUT_TASKS)
def test_held_out_tasks_share_nothing_with_the_training_text(corpus, made, subset):
    def joined(path: Path) -> str:
        # By document and by language: paragraphs follow each other within a document only.
        return " | ".join(" ".join(words(" ".join(p["text"] for p in d["paragraphs"]))) for d in read(path))

    train, benchmark = (f" {joined(path)} " for path in corpus)
    texts = [text for rows in splits(made, subset) for row in rows for text in quoted(subset, row)]
    assert texts
    for text in texts:
        assert f" {' '.join(words(text))} " in benchmark
        for sentence in sentences(text):
            assert f" {' '.join(words(sentence))} " not in train


def test_a_sentence_that_leaked_into_training_is_not_used(corpus, made, tmp_path):
    leaked = splits(made, "cp_sent_ru")[1][0]["outputs"]
    train = write(
        tmp_path / "train.jsonl", [*read(corpus[0]), document("bible/01/900", "ru", [f"Было так. {leaked.upper()}"])]
    )
    texts = Texts(train, corpus[1])
    rows = summary_copy.copying("ru", "sent")(texts, Plan("cp_sent_ru", ITEMS, LIMIT), generator(42, "cp_sent_ru"))
    assert all(leaked != row["outputs"] for split in rows.values() for row in split)


def test_seen_finds_words_in_a_row_but_not_across_paragraphs():
    seen = Seen(["И был вечер, и было утро: день один.", "Ещё слово."])
    assert seen.contains("БЫЛО утро - день")
    assert not seen.contains("день один еще")
    assert not seen.contains("утро было")
    assert seen.count(["и"], at_most=9) == 2
    assert seen.contains("еще слово")


def test_a_run_of_eight_words_counts_as_seen():
    seen = Seen(["раз два три четыре пять шесть семь восемь девять"])
    assert seen.overlaps("Ноль, раз два три четыре пять шесть семь восемь!")
    assert not seen.overlaps("Ноль, раз два три четыре пять шесть семь!")
    assert seen.overlaps("Совсем другое дело. Раз два.")


def test_excerpt_takes_whole_clauses_around_a_word():
    text = "Первое дело, второе дело; третье дело."
    start = text.index("второе")
    assert excerpt(text, start, start + 6, 12) == "второе дело"
    assert excerpt(text, start, start + 6, 30) == "Первое дело, второе дело"
    assert excerpt(text, start, start + 6, 5) is None
    assert excerpt("он сказал: «иди, и смотри", 0, 2, 40) is None


# --- knowledge -------------------------------------------------------------------------------------------------------


def test_knowledge_answers_stand_in_the_training_text(made, texts):
    paragraphs = [p for p in texts.train if p.language == "ru"]
    kinds = Counter()
    for subset, key in (("rummlu", "text"), ("ruopenbookqa", "question"), ("ruworldtree", "question")):
        for row in [row for rows in splits(made, subset) for row in rows]:
            question = row["inputs"][key]
            answer = row["inputs"][f"option_{row['outputs'].lower()}"]
            quote = re.search("«(.+)»", question)[1] if "«" in question else ""
            kinds[question.split()[0]] += 1
            if question.startswith("Какое слово пропущено"):
                assert texts.seen.contains(quote.replace(knowledge.GAP, answer))
            elif question.startswith("Чем кончается"):
                assert texts.seen.contains(f"{quote} {answer}")
            elif question.startswith("В какой книге"):
                assert any(p.book == answer and quote in p.text for p in paragraphs)
            elif question.startswith("Как по-русски"):
                assert (answer, quote) in {(r.text, e.text) for r, e in texts.pairs}
            elif question.startswith("Где есть надпись"):
                assert {p.title for p in paragraphs if p.text == quote} == {answer}
            elif question.startswith("Кто назван"):
                names = {question.removesuffix("?").split()[-1].lower(), answer.lower()}
                assert any(names <= {lemma(word) for word in words(p.text)} for p in paragraphs)
            else:
                rows_ = [[lemma(word) for word in words(p.text)] for p in paragraphs]
                pair = {lemma(quote), lemma(answer)}
                assert any({a, b} == pair for row_ in rows_ for a, b in pairwise(row_))
            assert not texts.seen.contains(question)
    assert len(kinds) >= 4


def test_mmlu_answers_stand_in_the_training_text_of_both_languages(made, texts):
    for row in [row for rows in splits(made, "nlpcore_mmlu") for row in rows]:
        for language in ("ru", "en"):
            answer = row[f"choices_{language}"][row["answer"]]
            quote = re.search('[«"](.+)[»"]', row[f"question_{language}"])[1]
            if row["subject"] == "books":
                assert any(p.book == answer and quote in p.text for p in texts.train if p.language == language)
            elif row["subject"] == "continuation":
                assert texts.seen.contains(f"{quote} {answer}")
            else:
                assert texts.seen.contains(quote.replace(knowledge.GAP, answer))


def test_missing_word_options_are_of_one_form():
    verses = [
        "В начале сотворил Бог землю.",
        "И нашел он рыбу.",
        "И увидел он гору.",
        "И построил он стену.",
        "И ел траву.",
    ]
    texts = made_of(
        [document("bible/01/001", "ru", [f"{v} {v}" for v in verses])], [document("bible/01/002", "ru", ["Так."])]
    )
    questions = list(knowledge.missing_word(texts.russian(), random.Random(0)))
    assert all(set(q.options) <= {"землю", "рыбу", "гору", "стену", "траву"} for q in questions)


def made_of(train: list[dict], benchmark: list[dict]) -> Texts:
    import tempfile

    folder = Path(tempfile.mkdtemp())
    return Texts(write(folder / "train.jsonl", train), write(folder / "benchmark.jsonl", benchmark))


# --- labels ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hand_made() -> Texts:
    return made_of([document("bible/01/001", "ru", ["Совсем другой текст."])], made_documents())


def test_multiq_answer_is_next_to_the_only_shared_word(texts):
    for rows in comprehension.multiq(texts, Plan("multiq", ITEMS, LIMIT), random.Random(0)).values():
        for row in rows:
            first, second = (words(row["inputs"][key]) for key in ("support_text", "text"))
            (bridge,) = set(first) & set(second)
            step = 1 if "после" in row["inputs"]["question"] else -1
            assert row["outputs"][0] == first[first.index(bridge) + step]
            assert bridge in row["outputs"][1]


def test_parus_right_choice_is_what_the_connective_says(hand_made):
    truth = {tuple(words(effect)): tuple(words(cause)) for effect, cause in FACTS}
    rows = comprehension.parus(hand_made, Plan("parus", 8, LIMIT), random.Random(0))
    seen = set()
    for row in [row for split in rows.values() for row in split]:
        inputs = {name: tuple(words(text)) for name, text in row["inputs"].items()}
        right, wrong = inputs[f"choice{row['outputs']}"], inputs[f"choice{3 - int(row['outputs'])}"]
        facts = {(inputs["premise"], right), (right, inputs["premise"])}
        assert facts & set(truth.items())
        assert wrong != right
        assert (row["meta"]["task"] == "cause") == ((inputs["premise"], right) in truth.items())
        seen.add(row["meta"]["task"])
    assert seen == {"cause", "effect"}


def test_rcb_labels(made):
    for row in [row for rows in splits(made, "rcb") for row in rows]:
        premise, hypothesis = (" ".join(words(row["inputs"][key])) for key in ("premise", "hypothesis"))
        bare = [re.sub(r"\bне ", "", text) for text in (premise, hypothesis)]
        assert (bare[1] in bare[0]) == (row["outputs"] in "12")
        if row["outputs"] != "3":
            assert (hypothesis in premise and ("не" in hypothesis.split() or f"не {hypothesis}" not in premise)) == (
                row["outputs"] == "1"
            )


@pytest.mark.parametrize(
    ("clause", "denied"),
    [
        ("и пошел Иаков домой", "и не пошел Иаков домой"),
        ("Иаков не знал сего", "Иаков знал сего"),
        ("Пошел он", "не пошел он"),
    ],
)
def test_denial(clause, denied):
    assert comprehension._denied(clause) == denied


@pytest.mark.parametrize(
    "clause", ["если он пошел домой", "иди в дом свой", "который пошел домой", "дом его велик", "он не в дом пошел"]
)
def test_clauses_that_state_nothing_certain_are_left_out(clause):
    assert not comprehension._plain(clause)


def test_rwsd_gender_decides(hand_made):
    for rows in grammar.rwsd(hand_made, Plan("rwsd", ITEMS, LIMIT), random.Random(0)).values():
        for row in rows:
            person, pronoun = row["inputs"]["span1_text"].lower(), row["inputs"]["span2_text"].lower()
            assert row["inputs"]["span1_text"] in row["inputs"]["text"]
            assert (row["outputs"] == "Да") == ((person in WOMEN) == (pronoun == "она"))


def test_rucola_spoils_sentences():
    assert grammar._disagreeing("пошел Моисей к горе Синай") == "пошли Моисей к горе Синай"
    assert grammar._disagreeing("они пришли к воде") == "они пришли к вода"
    assert grammar._disagreeing("они пришли на берег") is None
    scrambled = grammar._scrambled("Он пришел в большой дом", random.Random(0))
    assert scrambled.endswith(" в")
    assert sorted(scrambled.split()) == ["большой", "в", "дом", "он", "пришел"]
    assert grammar._scrambled("Он пришел домой", random.Random(0)) is None


def test_oracle_takes_the_sentence_the_summary_was_made_from():
    source = ["Кошка спит.", "Собаки громко лаяли ночью.", "Идет дождь.", "Пора домой."]
    assert summary_copy.oracle(source, "Собака лаяла") == [1]
    assert summary_copy.oracle(source, "Кошка спит, идет дождь") == [0, 2]
    assert summary_copy.oracle(source, "Ничего общего") == []


def test_use_answers_can_be_checked(hand_made):
    pool = exam._Pool(hand_made, random.Random(0))
    made = {
        maker: [m for _ in range(300) if (m := maker(pool))]
        for maker in (exam._commas, exam._gaps, exam._parts_of_speech)
    }
    assert made[exam._gaps]
    assert made[exam._commas]
    for _, inputs, answer in made[exam._gaps]:
        options = dict(re.findall(r"(\d)\) (\S+)", inputs["choices"]))
        text = inputs["text"]
        for letter, number in zip("АБВГ", answer.split(","), strict=True):
            text = text.replace(f"({letter})", options[number])
        assert " ".join(words(text)) in {" ".join(words(s)) for s in pool.sentences}
    for _, inputs, answer in made[exam._commas]:
        text = inputs["text"]
        for number in answer.split(","):
            text = text.replace(f" ({number})", ",")
        assert re.sub(r" \(\d\)", "", text) in pool.sentences


def test_use_choice_answers():
    texts = made_of([document("bible/01/001", "ru", ["Иное."])], made_documents())
    pool = exam._Pool(texts, random.Random(1))
    for _ in range(200):
        if made := exam._gender(pool):
            options = re.findall(r"\d\) (\S+)", made[1]["choices"])
            right = [str(i) for i, word in enumerate(options, 1) if exam.noun(word).tag.gender == "femn"]
            assert made[2] == ",".join(right)


# --- balance, sizes, errors ------------------------------------------------------------------------------------------


def test_balanced():
    values = balanced("ABC", 10, random.Random(0))
    assert sorted(Counter(values).values()) == [3, 3, 4]


def test_choose_respects_both_limits():
    plan = Plan("t", 3, 1000)
    shots, tests = choose(plan, [plan.test + 1, plan.test, 10, plan.test, 11, 12], lambda size: size, prompts=2)
    assert shots == [10, 11]
    assert tests == [plan.test, plan.test, 12]
    assert 5 * plan.shot + plan.test <= 1000


def test_too_small_corpus_names_task_and_remedy(tmp_path):
    train = write(tmp_path / "train.jsonl", [document("bible/01/001", "ru", ["В начале."])])
    benchmark = write(tmp_path / "benchmark.jsonl", [document("bible/01/002", "ru", ["Был вечер."])])
    with pytest.raises(
        UserError, match=r"benchmark task rummlu: the corpus gives 0 .*14 are needed; add text to the corpus"
    ):
        make_benchmark(train, benchmark, tmp_path / "out", 4)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("task", ["parus", "rcb", "rwsd", "treeway", "use", "cp_para_ru"])
def test_each_task_refuses_a_corpus_too_small(task):
    texts = made_of([document("bible/01/001", "ru", ["В начале."])], [document("bible/01/002", "ru", ["Был вечер."])])
    with pytest.raises(UserError, match=rf"benchmark task {task}\b.*lower the number of items"):
        SUBSETS[task](texts, Plan(task, 4, LIMIT), random.Random(0))


def test_a_budget_too_tight_is_refused(texts):
    with pytest.raises(UserError, match="benchmark task multiq"):
        comprehension.multiq(texts, Plan("multiq", ITEMS, 100), random.Random(0))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"mulitq": 5}, "names no benchmark task with mulitq"), ({"multiq": 0}, "multiq: the number")],
)
def test_wrong_sizes_are_refused(corpus, tmp_path, sizes, message):
    with pytest.raises(UserError, match=message):
        make_benchmark(*corpus, tmp_path / "out", items_per_task=sizes)


def test_missing_and_empty_files(corpus, tmp_path):
    with pytest.raises(UserError, match="does not exist; build the corpus first"):
        Texts(corpus[0], tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="holds no document"):
        Texts(corpus[0], write(tmp_path / "empty.jsonl", []))


def test_other_sources_are_left_out_but_count_as_seen(tmp_path):
    other = document("news/1", "ru", ["Сегодня было ясно."], source="news")
    texts = made_of([other], [document("bible/01/002", "ru", ["Сегодня было ясно.", "Завтра будет дождь."])])
    assert texts.train == []
    assert [p.text for p in texts.held_out] == ["Завтра будет дождь."]


def test_clauses_and_sentences():
    assert clauses("И сказал Бог: да будет свет. И стал свет.") == ["И сказал Бог", "да будет свет", "И стал свет"]
    assert sentences("Кто там? спросил он. «Я», - был ответ.") == ["Кто там? спросил он.", "«Я», - был ответ."]
