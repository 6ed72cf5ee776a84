"""Numbers in the text of the report, from the result files. A missing number is an error."""

import re
from collections.abc import Mapping
from pathlib import Path

from lep.config import UserError
from lep.methods import CALIBRATED_METHOD, METHODS
from lep.names import CALIBRATIONS, GROUPS, MICRO, ORIGINAL, TASKS, TITLES, UNCALIBRATED, VOCABULARIES, Family
from lep.report.claim_list import COPY_RU
from lep.report.claims import FAILS, HOLDS, UNDECIDED
from lep.report.markup import number, signed
from lep.report.scores import Score
from lep.report.story import tell
from lep.report.table import SYMBOLS, Row, Table, heading
from lep.report.tables import Sources, build_table

TITLE = "Learned Embedding Propagation for Russian: a reproduction"
PAPER = {"id": "arXiv 2412.21140", "url": "https://arxiv.org/abs/2412.21140"}
HASH_DIGITS = 16
COUNTS = ("no", "one", "two", "three", "four", "five")  # words for the number of LEP methods


def collect_facts(sources: Sources, settings: dict, claims: list[dict]) -> dict:
    """All facts in the text of the report, except checks and provenance.

    `settings` needs scale, seeds, bootstrap_draws and sample_tokens; the report lists all of its keys.
    """
    needed = ("scale", "seeds", "bootstrap_draws", "sample_tokens")
    if missing := [key for key in needed if settings.get(key) is None]:
        raise UserError(f"the report's settings lack {', '.join(missing)}; pass them from the configuration")
    tables = {n: build_table(n, sources) for n in (1, 2, 3, 4)}
    stand_ins = any(family.stand_in for family in sources.families)
    size = " (stand-in models)" if stand_ins else ""
    return {
        "title": TITLE,
        "subtitle": f"Scale {settings['scale']}{size}",
        "paper": {**PAPER, "heading": heading(tables[1])},
        "run": _run(sources, settings, claims) | {"stand_ins": stand_ins, "repeated": len(settings["seeds"]) > 1},
        "groups": [{"title": TITLES[name], "tasks": str(len(tasks))} for name, tasks in GROUPS.items()],
        "families": [_family(sources, tables, family) for family in sources.families],
        "claims": [_claim(claim) for claim in claims],
        "story": tell(sources.families, sources.scores, claims),
        "settings": [{"key": key, "value": value} for key, value in flatten(settings)],
    }


def artefact_hashes(manifests: Mapping[Path, str], root: Path) -> list[dict]:
    """Name (folder relative to `root`) and first digits of the sha256 of each manifest, sorted by name."""
    root = Path(root).resolve()
    named = {}
    for path, sha256 in manifests.items():
        folder = Path(path).resolve().parent
        name = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name
        named[name] = sha256[:HASH_DIGITS]
    return [{"name": name, "sha256": digest} for name, digest in sorted(named.items())]


def read_pins(path: Path) -> list[dict]:
    """Exact versions of the direct requirements: the lines of requirements.txt with a comment."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    found = [re.match(r"([\w.-]+)==([\w.]+)\s+#", line) for line in lines]
    return [{"name": match[1], "version": match[2]} for match in found if match]


def flatten(settings: dict, prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted key, text)."""
    found = []
    for key, value in settings.items():
        if isinstance(value, dict):
            found += flatten(value, f"{prefix}{key}.")
        else:
            found.append((prefix + key, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return found


def _run(sources: Sources, settings: dict, claims: list[dict]) -> dict[str, str]:
    scores, first = sources.scores, sources.families[0]
    foundation, instruct = (scores.need(model, MICRO) for model in (first.base, first.instruct))
    verdicts = [claim["verdict"] for claim in claims]
    texts = {
        "id": sources.run,
        "scale": settings["scale"],
        "seed": ", ".join(map(str, settings["seeds"])),
        "draws": settings["bootstrap_draws"],
        "sample_tokens": settings["sample_tokens"],
        "models": len(scores.entries),
        "families": len(sources.families),
        "methods": COUNTS[len(sources.methods)],
        "tasks": len(TASKS),
        "items_foundation": foundation.n,
        "shots_foundation": foundation.shots,
        "items_instruct": instruct.n,
        "claims": len(claims),
        "holds": verdicts.count(HOLDS),
        "fails": verdicts.count(FAILS),
        "undecided": verdicts.count(UNDECIDED),
        "confidence": "95 %",
    }
    return {key: str(value) for key, value in texts.items()}


def _family(sources: Sources, tables: dict[int, Table], family: Family) -> dict:
    return {
        "base_title": family.shown("base"),
        "instruct_title": family.shown("instruct"),
        "stand_in": family.stand_in,
        "vocabularies": [VOCABULARIES[v].title for v in family.vocabularies],
        "t1": _first(sources, tables[1], family),
        "t2": _second(sources, tables[2], family),
        "t3": _third(sources, tables[3], family),
        "t4": _fourth(sources, tables[4], family),
    }


def _first(sources: Sources, table: Table, family: Family) -> dict:
    original = sources.scores.need(family.instruct, MICRO)
    adapted = [row for row in table.rows if row.model.startswith(f"{family.name}/") and row.kind == "ours"]
    row = adapted[0] if adapted else _row_of(table, family.instruct)
    best = sources.scores.need(row.model, MICRO)
    return {
        "original": number(original.value), "original_half": number(_half(original)),
        "label": _describe(row.model), "best": number(best.value), "best_half": number(_half(best)),
        "paper_original": _paper(_row_of(table, family.instruct), MICRO), "paper_best": _paper(row, MICRO),
    }  # fmt: skip


def _second(sources: Sources, table: Table, family: Family) -> dict:
    scores, metrics = sources.scores, sources.metrics
    # The table may have a gap here, the text may not.
    for vocabulary in (ORIGINAL, *family.vocabularies):
        metrics.need("vocabulary", f"{family.name}/{vocabulary}", SYMBOLS)
    rows = dict(zip((ORIGINAL, *family.vocabularies), [r for r in table.rows if r.peers == family.name], strict=True))
    best = max(family.vocabularies, key=lambda v: scores.need(rows[v].model, MICRO).value)
    most = max(family.vocabularies, key=lambda v: rows[v].cells[SYMBOLS].value)
    last = scores.last(family.name, best)
    score = scores.need(rows[best].model, MICRO)
    bits = [metrics.need("pretraining", name, "bits_per_character") for name in (f"{family.name}/{best}/init", last)]
    return {
        "symbols_original": number(rows[ORIGINAL].cells[SYMBOLS].value, 2),
        "symbols_most": number(rows[most].cells[SYMBOLS].value, 2),
        "symbols_vocabulary": VOCABULARIES[most].title,
        "symbols_gain": signed(rows[most].cells[SYMBOLS].value - rows[ORIGINAL].cells[SYMBOLS].value, 2),
        "symbols_score": number(scores.need(rows[most].model, MICRO).value),
        "paper_symbols_original": _paper(rows[ORIGINAL], SYMBOLS, 2),
        "paper_symbols_most": _paper(rows[most], SYMBOLS, 2),
        "vocabulary": VOCABULARIES[best].title, "step": str(score.step), "best": number(score.value),
        "original": number(scores.need(family.base, MICRO).value),
        "bits_before": f"{bits[0]:.2f}", "bits_after": f"{bits[1]:.2f}",
    }  # fmt: skip


def _third(sources: Sources, table: Table, family: Family) -> dict:
    rows, size = [row for row in table.rows if row.peers == family.name], len(sources.methods)
    groups = [rows[i : i + size] for i in range(0, len(rows), size)] if size > 1 else []
    best = max(rows, key=lambda row: sources.scores.need(row.model, MICRO).value)
    ranges = [[row.cells[MICRO].value for row in group] for group in groups]
    paper = [[row.published[MICRO] for row in group] for group in groups if all(row.published for row in group)]
    return {
        "models": str(len(rows)), "label": "{} ({})".format(*best.labels), "best": number(best.cells[MICRO].value),
        "original": number(sources.scores.need(family.instruct, MICRO).value),
        "range": number(max(max(v) - min(v) for v in ranges)) if ranges else None,
        "paper_range": number(max(max(v) - min(v) for v in paper)) if paper else None,
    }  # fmt: skip


def _fourth(sources: Sources, table: Table, family: Family) -> dict | None:
    tuned = [row.vocabulary for row in family.calibrated if "saiga_copy" in row.calibrations]
    if not tuned or "saiga_copy" not in family.controls:
        return None
    scores = sources.scores
    best = max(tuned, key=lambda v: scores.need(family.tuned(v, "saiga_copy"), MICRO).value)
    models = [family.tuned(best, calibration) for calibration in (UNCALIBRATED, "saiga_copy")]
    rows = [_row_of(table, model) for model in models]
    micro, copying = ([number(scores.need(model, name).value) for model in models] for name in (MICRO, COPY_RU))
    return {
        "label": f"{VOCABULARIES[best].title} ({METHODS[CALIBRATED_METHOD].title}) of {family.shown('instruct')}",
        "before": micro[0], "after": micro[1], "copy_before": copying[0], "copy_after": copying[1],
        "paper_copy_before": _paper(rows[0], COPY_RU), "paper_copy_after": _paper(rows[1], COPY_RU),
        "control": number(scores.need(family.tuned(ORIGINAL, "saiga_copy"), MICRO).value),
    }  # fmt: skip


def _claim(claim: dict) -> dict:
    exact = claim["low"] == ""
    places = 2 if exact else 3

    def shown(text: str) -> str:
        return signed(float(text), places) if text else "–"

    interval = "exact" if exact else f"{shown(claim['low'])} to {shown(claim['high'])}"
    return {
        "statement": claim["statement"], "paper": shown(claim["paper"]), "ours": shown(claim["ours"]),
        "interval": interval, "verdict": claim["verdict"],
    }  # fmt: skip


def _row_of(table: Table, model: str) -> Row:
    return next(row for row in table.rows if row.model == model)


def _describe(model: str) -> str:
    """`llama/extended/conversion/saiga` as "Extended, Conversion, saiga"."""
    registers = VOCABULARIES | METHODS | CALIBRATIONS
    return ", ".join(registers[part].title if part in registers else part for part in model.split("/")[1:])


def _half(score: Score) -> float:
    return (score.high - score.low) / 2


def _paper(row: Row, column: str, places: int = 3) -> str | None:
    return number(row.published[column], places) if column in row.published else None
