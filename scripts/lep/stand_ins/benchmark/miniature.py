"""The miniature Darumeru: data for the 17 tasks, generated from the corpus by rules (paper section 2.3).

- All text is held-out text that shares no sentence with the training text.
- The prompt of each item contains what is needed to answer it, so that models of a few million parameters can.
- Equal corpus and seed give equal bytes.
"""

from collections.abc import Mapping
from pathlib import Path

from lep.config import UserError
from lep.files import write_jsonl
from lep.manifest import MANIFEST, publish, staging
from lep.stand_ins.benchmark import comprehension, exam, grammar, knowledge, mmlu, summary_copy
from lep.stand_ins.benchmark.items import Plan, generator
from lep.stand_ins.benchmark.texts import Texts

RECIPE_VERSION = 2
# Makers of the subsets: (texts, plan, rng) -> {split: records}.
SUBSETS = {
    "rummlu": knowledge.rummlu,
    "nlpcore_mmlu": mmlu.nlpcore_mmlu,
    "multiq": comprehension.multiq,
    "parus": comprehension.parus,
    "rcb": comprehension.rcb,
    "rwsd": grammar.rwsd,
    "use": exam.use,
    "ruopenbookqa": knowledge.ruopenbookqa,
    "ruworldtree": knowledge.ruworldtree,
    "rucola": grammar.rucola,
    "treeway": summary_copy.treeway,
    "cp_sent_en": summary_copy.copying("en", "sent"),
    "cp_para_en": summary_copy.copying("en", "para"),
    "cp_sent_ru": summary_copy.copying("ru", "sent"),
    "cp_para_ru": summary_copy.copying("ru", "para"),
}


def make_benchmark(
    train: Path,
    benchmark: Path,
    output: Path,
    items: int = 40,
    seed: int = 42,
    max_characters: int = 1150,
    items_per_task: Mapping[str, int] | None = None,
) -> None:
    """Write `output/{subset}/{split}.jsonl` for all subsets and publish the folder.

    - `train`, `benchmark`: JSONL files of documents, training text and held-out text
    - `items`: test items per task (`use`: rounded to whole variants); `items_per_task` overrides it by subset
    - `max_characters`: longest prompt with five shots, in Russian characters; 1.7 times as many in English

    Raises `UserError` with the task and the remedy if the corpus is too small.
    """
    train, benchmark, output = Path(train), Path(benchmark), Path(output)
    sizes = dict.fromkeys(SUBSETS, items) | dict(items_per_task or {})
    if unknown := sorted(set(sizes) - set(SUBSETS)):
        raise UserError(f"items_per_task: unknown benchmark task {', '.join(unknown)}; use {', '.join(SUBSETS)}")
    if wrong := sorted(name for name, size in sizes.items() if size < 1):
        raise UserError(f"benchmark task {', '.join(wrong)}: the number of items must be 1 or more")
    texts = Texts(train, benchmark)
    folder = staging(output)
    facts = {}
    for name, make in SUBSETS.items():
        for split, records in make(texts, Plan(name, sizes[name], max_characters), generator(seed, name)).items():
            facts[f"{name}/{split}"] = len(records)
            write_jsonl(folder / name / f"{split}.jsonl", records)
    publish(
        folder,
        output,
        recipe_version=RECIPE_VERSION,
        parents={"corpus": train.parent} if (train.parent / MANIFEST).is_file() else {},
        seed=seed,
        config={"items": sizes, "max_characters": max_characters},
        facts=facts,
    )
