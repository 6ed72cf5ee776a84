"""The paper's claims: verdicts in closed form, planted effects, pairs on the same draws, the list itself."""

import gzip
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.report import FAMILIES, PUBLISHED, Files, files_of_methods, make_files, read_rows, write_rows
from lep.config import UserError
from lep.evaluation.paired import paired_difference
from lep.evaluation.samples import load_samples
from lep.methods import PAPER_METHODS
from lep.names import MICRO, parse_families
from lep.report.claim_list import Claim, Comparison, list_claims
from lep.report.claims import FAILS, HOLDS, UNDECIDED, judge, verdict, write_claims
from lep.report.published import read_published
from lep.report.scores import Metrics, Scores, read_scores

EXTENDED = "llama/extended/conversion"
COPY = ("cp_sent_ru", "cp_para_ru")
COPY_KEYS = ("length_ratio", "copied")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("files"), items=12, draws=50)


@pytest.fixture(scope="module")
def claims(files: Files) -> dict[str, dict]:
    """The claims of the fixtures as they are."""
    return compute(files, files.answers, files.answers.with_name("claims.csv"))


def compute(
    files: Files,
    answers: Path,
    target: Path,
    families: list[dict] = FAMILIES,
    seed: int = 42,
    methods: Sequence[str] = tuple(PAPER_METHODS),
) -> dict:
    places = files.scores, files.metrics, PUBLISHED, answers, target
    write_claims(families, *places, draws=100, seed=seed, methods=methods)
    return {row["id"]: row for row in read_rows(target)}


def planted(files: Files, target: Path, change: Callable[[dict], dict]) -> Path:
    """A copy of the item answers; `change` gives a record's new values."""
    with gzip.open(files.answers, "rt", encoding="utf-8") as old, gzip.open(target, "wt", encoding="utf-8") as new:
        for line in old:
            record = json.loads(line)
            new.write(json.dumps(record | {"value": record["value"] | change(record)}) + "\n")
    return target


def llama_list(files: Files) -> dict[str, Claim]:
    families = parse_families(FAMILIES)
    return {c.id: c for c in list_claims(families, read_scores(files.scores), read_published(PUBLISHED))}


@pytest.mark.parametrize(
    ("low", "high", "above", "below", "at_least", "at_most"),
    [
        (0.01, 0.02, HOLDS, FAILS, HOLDS, FAILS),
        (-0.02, -0.01, FAILS, HOLDS, FAILS, HOLDS),
        (-0.01, 0.02, UNDECIDED, UNDECIDED, UNDECIDED, UNDECIDED),
        (0.0, 0.02, UNDECIDED, FAILS, HOLDS, UNDECIDED),
        (-0.02, 0.0, FAILS, UNDECIDED, UNDECIDED, HOLDS),
        (0.0, 0.0, FAILS, FAILS, HOLDS, HOLDS),  # an exact tie
    ],
)
def test_verdicts_of_direction(low: float, high: float, above: str, below: str, at_least: str, at_most: str) -> None:
    wanted = {"above": above, "below": below, "at least": at_least, "at most": at_most}
    assert {relation: verdict(((low + high) / 2, low, high), relation) for relation in wanted} == wanted


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (-0.05, 0.05, HOLDS),
        (0.01, 0.05, HOLDS),
        (0.0, 0.0, HOLDS),
        (0.051, 0.09, FAILS),
        (-0.09, -0.051, FAILS),
        (0.05, 0.09, UNDECIDED),
        (0.04, 0.06, UNDECIDED),
        (-0.06, 0.0, UNDECIDED),
        (-0.06, 0.06, UNDECIDED),
    ],
)
def test_verdicts_within_a_margin(low: float, high: float, wanted: str) -> None:
    assert verdict(((low + high) / 2, low, high), "within", 0.05) == wanted


def judged(claim: Claim, differences: list[tuple[float, float, float]]) -> tuple[str, tuple]:
    scores = Scores(Path("scores.csv"), {"m": {MICRO: type("Score", (), {"n": 7})}})
    given = dict(zip(claim.comparisons, differences, strict=True))
    result = judge(claim, given.__getitem__, scores, Metrics(Path("metrics.csv"), {}))
    return result.verdict, (result.ours, result.low, result.high)


def claim_of(relation: str, count: int, kind: str = "all", margin: float = 0.0) -> Claim:
    return Claim("x", "X.", tuple(Comparison(f"m{i}", "m") for i in range(count)), relation, 0.0, kind, margin)


def test_several_comparisons_must_all_hold() -> None:
    yes, maybe, no = (0.2, 0.1, 0.3), (0.05, -0.1, 0.2), (-0.2, -0.3, -0.1)
    claim = claim_of("above", 3)
    assert judged(claim, [yes, (0.15, 0.1, 0.2), yes]) == (HOLDS, (0.15, 0.1, 0.2))
    assert judged(claim, [yes, maybe, yes]) == (UNDECIDED, maybe)
    assert judged(claim, [no, maybe, yes]) == (FAILS, no)
    # not the smallest difference, but the one whose interval decides
    wide = (-0.5, -1.5, 0.5)
    assert judged(claim, [no, wide, yes]) == (FAILS, no)


def test_the_interval_shown_gives_the_verdict() -> None:
    rng = random.Random(1)
    seen = set()
    for relation in ("above", "below", "at least", "at most", "within") * 60:
        claim = claim_of(relation, 3, margin=0.1)
        middle = rng.gauss(0, 0.2)
        pairs = [(rng.gauss(middle, 0.05), rng.random() * 0.2) for _ in range(3)]
        found, shown = judged(claim, [(centre, centre - half, centre + half) for centre, half in pairs])
        assert verdict(shown, relation, 0.1) == found
        seen.add((relation, found))
    assert len(seen) == 15


def test_a_gap_is_the_second_difference_less_the_first_at_its_worst() -> None:
    claim = claim_of("above", 2, "gap")
    found, (ours, low, high) = judged(claim, [(0.1, 0.05, 0.15), (0.4, 0.3, 0.5)])
    assert (found, ours, low, high) == (HOLDS, pytest.approx(0.3), pytest.approx(0.15), pytest.approx(0.45))
    assert judged(claim, [(0.1, 0.05, 0.35), (0.4, 0.3, 0.5)])[0] == UNDECIDED
    assert judged(claim, [(0.4, 0.3, 0.5), (0.1, 0.05, 0.15)])[0] == FAILS


def test_exact_claims(files: Files, claims: dict, tmp_path: Path) -> None:
    symbols = {row["model"]: float(row["value"]) for row in read_rows(files.metrics) if row["kind"] == "vocabulary"}
    row = claims["tokens/llama/optimized"]
    assert float(row["ours"]) == pytest.approx(symbols["llama/optimized"] - symbols["llama/original"])
    assert (row["paper"], row["low"], row["high"], row["n"], row["verdict"]) == ("0.51", "", "", "", HOLDS)
    text = files.metrics.read_text()
    for value, wanted in (("2.1", FAILS), ("1.9", FAILS), ("2.11", HOLDS)):
        path = tmp_path / "metrics.csv"
        path.write_text(
            text.replace("llama/optimized,symbols_per_token,3.05", f"llama/optimized,symbols_per_token,{value}")
        )
        write_claims(FAMILIES, files.scores, path, PUBLISHED, files.answers, tmp_path / "claims.csv", draws=2)
        found = {row["id"]: row for row in read_rows(tmp_path / "claims.csv")}
        assert found["tokens/llama/optimized"]["verdict"] == wanted


@pytest.mark.parametrize("good", [True, False])
def test_a_planted_effect_is_found(files: Files, tmp_path: Path, good: bool) -> None:
    """Tuning with copying copies everything, or nothing; before it half is right."""

    def change(record: dict) -> dict:
        if record["task"] not in COPY:
            return {}
        if record["model"] == f"{EXTENDED}/saiga_copy":
            return dict.fromkeys(COPY_KEYS, float(good))
        return dict.fromkeys(COPY_KEYS, 0.25 + record["item"] % 2 / 2) if record["model"].startswith(EXTENDED) else {}

    found = compute(files, planted(files, tmp_path / "answers.jsonl.gz", change), tmp_path / "claims.csv")
    for name in ("copy", "added-copying"):
        row = found[f"calibration/llama/extended/{name}"]
        assert row["verdict"] == (HOLDS if good else FAILS)
        assert float(row["ours"]) == pytest.approx(0.5 if good else -0.5)
        assert 0 < float(row["high"]) - float(row["low"]) < 0.5


def test_equal_answers_are_an_exact_tie(files: Files, tmp_path: Path) -> None:
    samples = load_samples(files.answers)

    def change(record: dict) -> dict:
        if not record["model"].startswith("llama/") or "/cpt-" in record["model"]:
            return {}
        return samples["llama/instruct"][record["task"]][record["item"]]

    found = compute(files, planted(files, tmp_path / "answers.jsonl.gz", change), tmp_path / "claims.csv")
    wanted = {
        "propagation/llama/extended": FAILS,  # the paper: below
        "propagation/llama/bpe-lowest": FAILS,
        "methods/llama/extended": HOLDS,
        "self-calibration/llama/extended/copy": FAILS,
        "self-calibration/llama/extended/mera": HOLDS,
        "calibration/llama/extended/added-copying": HOLDS,
        "calibration/llama/extended/above-control": FAILS,
        "controls/llama/optimized": FAILS,
    }
    assert {name: found[name]["verdict"] for name in wanted} == wanted
    for name in wanted:
        assert [float(found[name][column]) for column in ("ours", "low", "high")] == [0, 0, 0]
    assert found["propagation/mistral/bpe"]["verdict"] == UNDECIDED


def test_pairs_are_on_the_same_draws(files: Files, tmp_path: Path) -> None:
    """Every item is better by a tenth: the difference has no width, though each score's interval is wide."""
    rng = random.Random(3)
    before = {task: [rng.random() * 0.8 for _ in range(12)] for task in COPY}

    def change(record: dict) -> dict:
        if record["task"] not in COPY or not record["model"].startswith(EXTENDED):
            return {}
        value = before[record["task"]][record["item"]]
        return dict.fromkeys(COPY_KEYS, value + 0.1 * record["model"].endswith("saiga_copy"))

    answers = planted(files, tmp_path / "answers.jsonl.gz", change)
    row = compute(files, answers, tmp_path / "claims.csv")["calibration/llama/extended/copy"]
    assert [float(row[column]) for column in ("ours", "low", "high")] == pytest.approx([0.1] * 3, abs=1e-6)
    assert row["verdict"] == HOLDS
    samples = load_samples(answers)
    worse = {task: [v | dict.fromkeys(COPY_KEYS, 0.0) for v in samples[EXTENDED][task]] for task in COPY}
    _, low, high = paired_difference([worse], [samples[EXTENDED]], "daru_copy_ru", 100, 42)
    assert high - low > 0.15  # so wide is the score itself


def test_differences_are_those_of_the_scores(files: Files, claims: dict) -> None:
    """Table and claim must not disagree: every difference is one of scores.csv."""
    scores = read_scores(files.scores)
    listed = llama_list(files)
    assert list(claims) == list(listed)
    for name, claim in listed.items():
        if claim.kind == "exact":
            continue
        differences = [
            scores.need(c.after, c.name).value - scores.need(c.before, c.name).value for c in claim.comparisons
        ]
        if claim.kind == "gap":
            differences = [differences[1] - differences[0]]
        assert any(abs(float(claims[name]["ours"]) - d) < 2e-6 for d in differences), name
        assert int(claims[name]["n"]) == scores.need(claim.comparisons[0].after, claim.comparisons[0].name).n
        assert float(claims[name]["low"]) <= float(claims[name]["ours"]) <= float(claims[name]["high"])


def test_the_papers_own_differences_satisfy_its_claims(files: Files) -> None:
    listed = llama_list(files)
    for claim in listed.values():
        assert verdict((claim.paper,) * 3, claim.relation, claim.margin) == HOLDS, claim
    by_hand = {
        "tokens/mistral/bpe": 1.32, "pretraining/mistral/extended": 0.013, "pretraining/llama/extended": -0.002,
        "propagation/mistral/unigram": -0.042, "propagation/mistral/extended": 0.002,
        "propagation/mistral/unigram-lowest": -0.018, "propagation/mistral/unigram-copy": -0.266,
        "methods/mistral/unigram": 0.016, "self-calibration/llama/optimized/copy": 0.022,
        "self-calibration/llama/extended/mera": 0.011, "calibration/llama/extended/copy": 0.063,
        "calibration/mistral/extended/added-copying": 0.144, "calibration/llama/optimized/above-original": 0.007,
        "calibration/llama/optimized/above-control": 0.001, "controls/mistral/unigram": 0.057,
    }  # fmt: skip
    assert {name: listed[name].paper for name in by_hand} == pytest.approx(by_hand)
    assert [listed[f"propagation/mistral/{v}"].relation for v in ("unigram", "extended")] == ["below", "at least"]
    assert len(listed) == 58


def test_comparisons_are_of_the_models_that_the_statement_names(files: Files) -> None:
    listed = llama_list(files)
    best = f"{EXTENDED}/saiga_copy"
    assert listed["calibration/llama/extended/above-control"].comparisons == (
        Comparison("llama/original/instruct/saiga_copy", best),
    )
    assert listed["calibration/llama/extended/added-copying"].comparisons == (
        Comparison(f"{EXTENDED}/saiga", best, "daru_copy_ru"),
    )
    assert listed["controls/llama/extended"].comparisons == (
        Comparison("llama/instruct", "llama/original/instruct/saiga_copy"),
        Comparison(EXTENDED, best),
    )
    assert listed["propagation/llama/bpe"].comparisons == (Comparison("llama/instruct", "llama/bpe/conversion"),)
    donor = read_scores(files.scores).donor("llama", "bpe")
    assert listed["pretraining/llama/bpe"].comparisons == (Comparison("llama/base", donor),)
    pairs = {(c.before, c.after) for c in listed["methods/llama/bpe"].comparisons}
    names = [f"llama/bpe/{method}" for method in PAPER_METHODS]
    assert pairs == {(names[0], names[1]), (names[0], names[2]), (names[1], names[2])}
    lowest = {(c.before, c.after) for c in listed["propagation/llama/bpe-lowest"].comparisons}
    assert lowest == {(f"llama/{v}/conversion", "llama/bpe/conversion") for v in ("unigram", "extended", "optimized")}


def test_stand_ins_are_named_in_every_statement(claims: dict) -> None:
    assert all("(stand-in)" in row["statement"] for row in claims.values())


def test_families_and_rows_that_the_paper_has_not_make_no_claim(files: Files, tmp_path: Path) -> None:
    own = {**FAMILIES[0], "published_family": None}
    bpe = {"vocabulary": "bpe", "calibrations": ["saiga", "saiga_copy"]}
    more = {**FAMILIES[1], "controls": ["saiga"], "calibrated": [*FAMILIES[1]["calibrated"], bpe]}
    found = compute(files, files.answers, tmp_path / "claims.csv", [own, more])
    assert found
    assert not any("mistral" in name for name in found)
    assert not any(name.startswith("calibration/llama/bpe") for name in found)
    assert "calibration/llama/extended/above-original" in found
    assert not any("above-control" in name or name.startswith("controls") for name in found)


def test_two_of_three_methods_are_compared(files: Files, claims: dict, tmp_path: Path) -> None:
    """The paper's own value is of the same two; every other claim is as ever."""
    methods = ["conversion", "swap"]
    part = files_of_methods(files, tmp_path, methods)
    found = compute(part, part.answers, tmp_path / "claims.csv", methods=methods)
    assert list(found) == list(claims)
    changed = [name for name in found if found[name] != claims[name]]
    assert changed
    assert all(name.startswith("methods/") for name in changed)
    scores, row = read_scores(part.scores), found["methods/mistral/unigram"]
    models = [f"mistral/unigram/{method}" for method in ("swap", "conversion")]
    difference = scores.need(models[1], MICRO).value - scores.need(models[0], MICRO).value
    assert float(row["ours"]) == pytest.approx(difference, abs=2e-6)
    assert "OpenChat-3.5 (stand-in): Swap and Conversion to Unigram differ by at most .016." in row["statement"]
    paper = {
        row["lep"]: float(row[MICRO])
        for row in read_rows(PUBLISHED)
        if (row["table"], row["family"], row["vocabulary"]) == ("3", "mistral-7b", "unigram")
    }
    assert row["paper"] == f"{abs(paper['conversion'] - paper['swap']):.3f}"
    assert claims["methods/mistral/unigram"]["paper"] == f"{max(paper.values()) - min(paper.values()):.3f}"


@pytest.mark.parametrize("method", PAPER_METHODS)
def test_one_method_alone_is_compared_with_none(files: Files, method: str) -> None:
    families = [{**family, "calibrated": []} for family in FAMILIES]
    scores, published = read_scores(files.scores), read_published(PUBLISHED)
    ids = [claim.id for claim in list_claims(parse_families(families), scores, published, [method])]
    assert not any(name.startswith("methods/") for name in ids)
    # what the paper says of LEP is of the method that calibrations start from
    assert any(name.startswith("propagation/") for name in ids) == (method == "conversion")
    assert any(name.startswith("pretraining/") for name in ids)


def test_models_of_no_family_are_passed_over(files: Files, claims: dict, tmp_path: Path) -> None:
    """Other models of Table 1 have scores too."""
    other = [row | {"model": "other3/instruct"} for row in read_rows(files.scores) if row["model"] == "llama/instruct"]
    rows = [*read_rows(files.scores), *other]
    scores = write_rows(tmp_path / "scores.csv", tuple(rows[0]), rows)
    assert compute(replace(files, scores=scores), files.answers, tmp_path / "claims.csv") == claims


def test_the_file_is_the_same_on_every_run(files: Files, claims: dict, tmp_path: Path) -> None:
    again = compute(files, files.answers, tmp_path / "claims.csv")
    assert again == claims
    other = compute(files, files.answers, tmp_path / "claims.csv", seed=43)
    assert [row["ours"] for row in other.values()] == [row["ours"] for row in claims.values()]
    assert [row["low"] for row in other.values()] != [row["low"] for row in claims.values()]


def test_missing_models_and_metrics_are_refused(files: Files, tmp_path: Path) -> None:
    lines = gzip.decompress(files.answers.read_bytes()).splitlines(keepends=True)
    cut = tmp_path / "cut.jsonl.gz"
    with gzip.open(cut, "wb") as file:
        file.writelines(line for line in lines if b'"mistral/base"' not in line)
    with pytest.raises(UserError, match=r"no samples of mistral/base; give the samples\.jsonl\.gz"):
        compute(files, cut, tmp_path / "claims.csv")
    rest = tmp_path / "rest.jsonl.gz"
    with gzip.open(rest, "wb") as file:
        file.writelines(line for line in lines if b'"mistral/base"' in line)
    write_claims(FAMILIES, files.scores, files.metrics, PUBLISHED, [cut, rest], tmp_path / "claims.csv", draws=10)
    metrics = tmp_path / "metrics.csv"
    metrics.write_text(files.metrics.read_text().replace("llama/bpe,symbols_per_token", "llama/bpe,symbols"))
    with pytest.raises(UserError, match="no row vocabulary,llama/bpe,symbols_per_token"):
        write_claims(FAMILIES, files.scores, metrics, PUBLISHED, files.answers, tmp_path / "claims.csv", draws=2)
