"""A whole set of result files from made-up answers, for tests of the report. Nothing of it is a result."""

import csv
import gzip
import json
import random
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from darumeru import metrics
from darumeru.specs import GROUPS, SPECS
from lep.names import METHODS, Family, parse_families
from lep.report.published import find_published, published_comparators, published_families, read_published
from lep.report.scores import METRIC_COLUMNS, SCORE_COLUMNS
from lep.report.tables import Sources, read_sources

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "data" / "published_scores.csv"
STEPS = {"cpt-025": 30, "cpt-050": 60, "cpt-100": 120}
FAMILIES = [
    {
        "name": "mistral",
        "base_title": "Mistral-7B (stand-in)",
        "instruct_title": "OpenChat-3.5 (stand-in)",
        "published_family": "mistral-7b",
        "stand_in": True,
        "vocabularies": ["bpe", "unigram", "extended"],
        "calibrated": [
            {"vocabulary": "unigram", "calibrations": ["saiga", "saiga_copy"]},
            {"vocabulary": "extended", "calibrations": ["saiga", "saiga_copy"]},
        ],
        "controls": ["saiga", "saiga_copy"],
    },
    {
        "name": "llama",
        "base_title": "LLaMa-3-8B (stand-in)",
        "instruct_title": "LLaMa-3-8B Instruct (stand-in)",
        "published_family": "llama-3-8b",
        "stand_in": True,
        "vocabularies": ["bpe", "unigram", "extended", "optimized"],
        "calibrated": [
            {"vocabulary": "extended", "calibrations": ["self", "saiga", "saiga_copy"]},
            {"vocabulary": "optimized", "calibrations": ["self", "saiga", "saiga_copy"]},
        ],
        "controls": ["saiga", "saiga_copy"],
    },
]
COMPARATORS = [
    {"name": f"other{number}", "title": title, "published": title, "model": None}
    for number, title in enumerate(("Saiga (LLaMa-3-8B)", "Vikhr-5.2 (Mistral-7B)", "Qwen-2 7B", "Mistral Nemo (12B)"))
]
RUN = "test-0123456789ab"
SETTINGS = {
    "scale": "test",
    "seed": 42,
    "bootstrap_draws": 200,
    "sample_tokens": 48,
    "pretraining": {"block_size": 256, "max_steps": 120, "fractions": [0.25, 0.5, 1.0]},
}
COPY = ("length_ratio", "copied", "lcs", "lcs_tokens")


@dataclass(frozen=True)
class Files:
    """Paths of the made-up result files."""

    scores: Path
    metrics: Path
    answers: Path
    samples: Path


def make_files(folder: Path, items: int = 24, draws: int = 200) -> Files:
    """Scores and item answers of every model of `FAMILIES`, with levels that follow the paper's."""
    rows, lines = [], []
    for family in parse_families(FAMILIES):
        for model, (step, shots, levels) in models_of(family).items():
            answers = {task: _answers(task, model, levels[spec.group], items) for task, spec in SPECS.items()}
            rows += _score_rows(model, step, shots, answers, draws)
            lines += [
                {"model": model, "task": task, "item": i, "value": value}
                for task, values in answers.items()
                for i, value in enumerate(values)
            ]
    files = Files(*(folder / name for name in ("scores.csv", "metrics.csv", "answers.jsonl.gz", "samples.jsonl")))
    write_rows(files.scores, SCORE_COLUMNS, rows)
    write_rows(files.metrics, METRIC_COLUMNS, _metric_rows())
    with gzip.open(files.answers, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    files.samples.write_text("".join(json.dumps(s, ensure_ascii=False) + "\n" for s in _samples()), encoding="utf-8")
    return files


def sources_of(files: Files, families: list[dict] = FAMILIES, scores: Path | None = None) -> Sources:
    """What tables and figures are made from."""
    return read_sources(families, PUBLISHED, scores or files.scores, files.metrics, COMPARATORS, RUN)


def published_sources() -> Sources:
    """The paper's values alone."""
    rows = read_published(PUBLISHED)
    return Sources(published_families(rows), rows, comparators=published_comparators(rows), run=RUN)


def models_of(family: Family) -> dict[str, tuple[int | None, int, dict[str, float]]]:
    """(step, shots, level by group) of each evaluated model."""
    published = read_published(PUBLISHED)

    def level(table: int, *keys: str, factor: float = 0.6) -> dict[str, float]:
        row = find_published(published, table, family, *keys)
        return {group: row.values[group] * factor for group in GROUPS}

    found = {family.base: (None, 5, level(2, "original")), family.instruct: (None, 0, level(4, "original", "", "none"))}
    for vocabulary in family.vocabularies:
        for name, step in STEPS.items():
            found[f"{family.name}/{vocabulary}/{name}"] = (step, 5, level(2, vocabulary, factor=0.4 + step / 600))
        for method in METHODS:
            found[family.propagated(vocabulary, method)] = (None, 0, level(3, vocabulary, method))
    for c in family.controls:
        found[family.tuned("original", c)] = (None, 0, level(4, "original", "", c))
    for row in family.calibrated:
        for c in row.calibrations:
            found[family.tuned(row.vocabulary, c)] = (None, 0, level(4, row.vocabulary, "conversion", c))
    return found


def write_rows(path: Path, columns: tuple[str, ...], rows: list[dict]) -> Path:
    """A CSV file with LF line ends."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def change_rows(source: Path, target: Path, change: Callable[[dict], dict | None]) -> Path:
    """A copy of a CSV file; `change` gives a row's new values, or None to leave the row out."""
    rows = [changed for row in read_rows(source) if (changed := change(dict(row))) is not None]
    return write_rows(target, tuple(read_rows(source)[0]), rows)


def with_value(row: dict, model: str, name: str, **values: str) -> dict:
    """The row, with new values where it is the score `name` of `model`."""
    return row | values if (row["model"], row["name"]) == (model, name) else row


def real_families() -> list[dict]:
    """`FAMILIES` as if they were the paper's own models."""
    titles = {"mistral": ("Mistral-7B", "OpenChat-3.5"), "llama": ("LLaMa-3-8B", "LLaMa-3-8B Instruct")}
    ids = {
        "mistral": ("mistralai/Mistral-7B-v0.1", "openchat/openchat-3.5-0106"),
        "llama": ("meta-llama/Meta-Llama-3-8B", "meta-llama/Meta-Llama-3-8B-Instruct"),
    }
    families = []
    for family in FAMILIES:
        named = dict(zip(("base_title", "instruct_title"), titles[family["name"]], strict=True))
        base, instruct = ({"path": path, "revision": "unpinned"} for path in ids[family["name"]])
        families.append(family | named | {"stand_in": False, "base": base, "instruct": instruct})
    return families


def outputs(folder: Path, name: str, *kinds: str) -> dict[str, Path]:
    """Paths of a table's or figure's files."""
    return {kind: folder / f"{name}.{kind}" for kind in kinds}


def read_rows(path: Path) -> list[dict]:
    """A CSV file as mappings."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _answers(task: str, model: str, level: float, items: int) -> list[dict]:
    spec, rng = SPECS[task], random.Random(zlib.crc32(f"{task} {model}".encode()))
    gold = random.Random(zlib.crc32(task.encode()))
    values = []
    for item in range(items):
        good, options = rng.random() < level, max(len(spec.options), 2)
        right = gold.randrange(options)
        value = {
            "gold": right,
            "pred": right if good else (right + 1 + rng.randrange(options - 1)) % options,
            **dict.fromkeys(("f1", "exact_match", "rouge1", "rouge2", "rouge1_recall", "rouge2_recall"), float(good)),
            **dict.fromkeys(COPY, float(good)),
            "r_precision": rng.random() * 2 * min(level, 0.5), "chance": 0.2, "symbols_per_token": 3.0,
            "subject": f"s{item % 4}", "category": f"c{item % 2}", "pair": str(item // 2), "variant": str(item // 4),
            "points": 8.5 * good,
        }  # fmt: skip
        values.append(value | {"item": item})
    return values


def _score_rows(model: str, step: int | None, shots: int, answers: dict, draws: int) -> list[dict]:
    scores, bands, rows = {}, {}, []
    common = {"model": model, "step": "" if step is None else step, "shots": shots, "metric": "score"}
    common |= {"task_version": "1.0", "prompt_hash": "0" * 16}

    def entry(level: str, name: str, value: float, band, n: int) -> dict:
        low, high = metrics.interval(band)
        numbers = {"value": f"{value:.6f}", "low": f"{low:.6f}", "high": f"{high:.6f}", "chance": "0.250000"}
        return {**common, "level": level, "name": name, "n": n, **numbers}

    for task, values in answers.items():
        scores[task] = metrics.aggregate(task, values)["score"]
        bands[task] = metrics.bootstrap(task, values, draws, 42)["score"]
        rows.append(entry("task", task, scores[task], bands[task], len(values)))
    for level, name in [*(("group", group) for group in GROUPS), ("micro", "micro_avg")]:
        tasks = metrics.tasks_of(name)
        value, band = (sum(x[task] for task in tasks) / len(tasks) for x in (scores, bands))
        rows.append(entry(level, name, value, band, sum(len(answers[task]) for task in tasks)))
    return rows


def _metric_rows() -> list[dict]:
    rows = []
    for family in parse_families(FAMILIES):
        symbols = {"original": 2.1, "bpe": 3.41, "unigram": 3.38, "extended": 3.29, "optimized": 3.05}
        rows += [
            ("vocabulary", f"{family.name}/{v}", "symbols_per_token", symbols[v])
            for v in ("original", *family.vocabularies)
        ]
        for v in family.vocabularies:
            for name, bits in {"init": 4.21, "cpt-025": 3.2, "cpt-050": 3.0, "cpt-100": 2.87}.items():
                rows.append(("pretraining", f"{family.name}/{v}/{name}", "bits_per_character", bits))
                rows.append(("pretraining", f"{family.name}/{v}/{name}", "step", STEPS.get(name, 0)))
    return [dict(zip(METRIC_COLUMNS, row, strict=True)) for row in rows]


def _samples() -> list[dict]:
    prompts = {
        "mistral": "Что значит выражение «работать спустя рукава»? Ответь одним предложением.",
        "llama": "Перепиши текст без изменений:\nВ начале сотворил Бог небо и землю. "
        + "Земля же была безвидна и пуста. " * 3,
    }
    texts = (
        "The idiom means to work",
        "Это значит без рукавов $и$ _просто_ 一二 \x07",
        "Работать небрежно. " * 12,
    )
    labels = ("original", "LEP", "LEP + calibration")
    samples = []
    for family, prompt in prompts.items():
        for number in range(3):
            answers = [
                {"model": f"{family}/{label}", "label": label, "text": text if number else text * (label != "LEP")}
                for label, text in zip(labels, texts, strict=True)
            ]
            samples.append({"family": family, "prompt": prompt, "answers": answers})
    return samples


_LITERAL = rb"\((?:\\.|[^\\()]|\((?:\\.|[^\\()])*\))*\)"  # parentheses may be bare where they are balanced
_SHOWN = re.compile(rb"(?s)/(\w+) [\d.]+ Tf|((?:%s|[-\d.\s])+)\]?T[jJ]" % _LITERAL)


def pdf_text(path: Path) -> str:
    """The text of a PDF that typst wrote, in the order of drawing; characters without a meaning are U+FFFD."""
    data = path.read_bytes()
    objects = {int(m[1]): m[2] for m in re.finditer(rb"(?s)(\d+) 0 obj\n(.*?)\nendobj", data)}

    def reference(name: bytes, body: bytes) -> bytes:
        return objects[int(re.search(rb"/%s (\d+) 0 R" % name, body)[1])]

    def stream(body: bytes) -> bytes:
        return zlib.decompress(body.partition(b"stream\n")[2].removesuffix(b"\nendstream"))

    texts = []
    for page in (body for body in objects.values() if re.search(rb"/Type/Page\b", body)):
        fonts = re.search(rb"/Font<<(.*?)>>", reference(b"Resources", page))[1]
        maps = {
            name: _characters(stream(reference(b"ToUnicode", objects[int(number)])))
            for name, number in re.findall(rb"/(\w+) (\d+) 0 R", fonts)
        }
        font: dict[int, str] = {}
        for name, run in _SHOWN.findall(stream(reference(b"Contents", page))):
            if name:
                font = maps[name]
                continue
            codes = b"".join(_unescape(literal[1:-1]) for literal in re.findall(rb"(?s)" + _LITERAL, run))
            texts.append("".join(font.get(int.from_bytes(codes[i : i + 2]), "\ufffd") for i in range(0, len(codes), 2)))
    return " ".join(texts)


def _characters(cmap: bytes) -> dict[int, str]:
    """Glyph to text, from a ToUnicode table."""
    found = {}
    for block in re.findall(rb"(?s)beginbfchar\n(.*?)endbfchar", cmap):
        for glyph, text in re.findall(rb"<(\w+)> <(\w+)>", block):
            found[int(glyph, 16)] = bytes.fromhex(text.decode()).decode("utf-16-be")
    assert b"beginbfrange" not in cmap
    return found


def _unescape(literal: bytes) -> bytes:
    """The bytes of a PDF string literal."""
    letters = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
    return re.sub(
        rb"(?s)\\([0-7]{1,3}|.)",
        lambda m: bytes([int(m[1], 8)]) if m[1][:1] in b"01234567" else letters.get(m[1], m[1]),
        literal,
    )
