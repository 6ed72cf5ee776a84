"""Figures 1 to 3: what is drawn is what the CSV says, nothing is cut or overlaps, equal data gives equal bytes."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import matplotlib
import pytest
from fixtures.report import (
    FAMILIES,
    PUBLISHED,
    RUN,
    Files,
    change_rows,
    make_files,
    outputs,
    published_sources,
    read_rows,
    sources_of,
    with_value,
)
from lep.config import UserError
from lep.names import MICRO, PUBLISHED_TITLES
from lep.report import figure_1_2, figure_3, figure_symbols
from lep.report.figure_1_2 import plot_figure1, plot_figure2
from lep.report.figure_3 import EMPTY, plot_figure3, printable, wrap
from lep.report.figure_style import SERIES
from lep.report.figure_symbols import plot_symbols
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

KINDS = ("pdf", "png", "csv")
LABELS = ("original", "LEP", "LEP + calibration")
ODD = "一二\x07\u200b — $x_1$ \\frac{a} <b> \u00a0ё"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("files"), items=6, draws=20)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures as they were saved."""
    seen: list[Figure] = []

    def keep(figure: Figure, *arguments: object) -> None:
        seen.append(figure)
        save(figure, *arguments)

    save = figure_1_2.save
    monkeypatch.setattr(figure_1_2, "save", keep)
    monkeypatch.setattr(figure_3, "save", keep)
    monkeypatch.setattr(figure_symbols, "save", keep)
    return seen


def texts_of(figure: Figure) -> list[Text]:
    """All texts that are drawn: not the labels of ticks outside of the axes."""
    outside = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        outside |= {tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    found = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    return [text for text in found if text not in outside]


def boxes_of(figure: Figure) -> dict[Text, Bbox]:
    """Extents in shares of the figure, as drawn in its final resolution."""
    figure.set_dpi(200)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    to_figure = figure.transFigure.inverted()
    return {text: to_figure.transform_bbox(text.get_window_extent(canvas.get_renderer())) for text in texts_of(figure)}


def assert_nothing_is_cut(figure: Figure) -> None:
    for text, box in boxes_of(figure).items():
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= 1, text
        assert box.y1 <= 1, text


def assert_no_overlap(figure: Figure) -> None:
    boxes = list(boxes_of(figure).items())
    for number, (first, box) in enumerate(boxes):
        for second, other in boxes[number + 1 :]:
            assert not box.overlaps(other), (first, second)


def write_samples(path: Path, *texts: str, prompt: str = "Вопрос?", family: str = "llama") -> Path:
    """One sample per triple of answers."""
    lines = []
    for start in range(0, len(texts), 3):
        answers = [{"model": "m", "label": k, "text": t} for k, t in zip(LABELS, texts[start : start + 3], strict=True)]
        lines.append(json.dumps({"family": family, "prompt": prompt, "answers": answers}) + "\n")
    path.write_text("".join(lines))
    return path


def draw(n: int, files: Files, folder: Path) -> dict[str, Path]:
    paths = outputs(folder, f"figure{n}", *KINDS)
    if n == 1:
        plot_figure1(sources_of(files), paths)
    elif n == 2:
        plot_figure2(sources_of(files), paths)
    elif n == 3:
        plot_figure3(FAMILIES, files.samples, paths, RUN)
    else:
        plot_symbols(sources_of(files), paths)
    return paths


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_files_are_written_and_the_same_on_every_run(files: Files, tmp_path: Path, n: int) -> None:
    first = {kind: path.read_bytes() for kind, path in draw(n, files, tmp_path / "new" / "folder").items()}
    assert first["pdf"].startswith(b"%PDF")
    assert first["png"].startswith(b"\x89PNG")
    assert b"CreationDate" not in first["pdf"]
    assert b"/FontFile2" in first["pdf"]  # embedded
    assert all(RUN.encode() in data for data in first.values())
    with matplotlib.rc_context({"font.size": 20, "savefig.dpi": 50, "lines.linewidth": 9, "axes.facecolor": "red"}):
        again = draw(n, files, tmp_path / "again")  # whatever the user's own settings are
    assert {kind: path.read_bytes() for kind, path in again.items()} == first
    assert not matplotlib.pyplot.get_fignums()


def test_figure1_draws_the_scores_and_the_papers_values(files: Files, tmp_path: Path, drawn: list[Figure]) -> None:
    rows = read_rows(draw(1, files, tmp_path)["csv"])
    scores = {row["model"]: row for row in read_rows(files.scores) if row["name"] == MICRO}
    ours = [row for row in rows if row["panel"] == "this run"]
    assert [row["model"] for row in ours[:2]] == ["mistral/instruct", "llama/instruct"]
    assert [row["kind"] for row in rows] == ["original"] * 2 + ["ours"] * 2 + ["original"] * 2 + ["comparator"] * 4 + [
        "ours"
    ] * 2
    for row in ours:
        assert [row["micro_avg"], row["low"], row["high"]] == [
            scores[row["model"]][k] for k in ("value", "low", "high")
        ]
    paper = [row for row in rows if row["panel"] == "paper (8B)"]
    published = [row for row in read_rows(PUBLISHED) if row["table"] == "1"]
    assert [float(row["micro_avg"]) for row in paper] == [float(row["micro_avg"]) for row in published]
    assert [row["label"] for row in paper] == [row["model"] for row in published]
    assert {row["low"] for row in paper} == {""}

    (figure,) = drawn
    bars = [patch.get_width() for axis in figure.axes for patch in axis.patches]
    assert bars == pytest.approx([float(row["micro_avg"]) for row in rows], abs=1e-6)
    whiskers = [c.get_segments()[0][:, 0] for c in figure.axes[0].collections]
    assert [x for pair in whiskers for x in pair] == pytest.approx(
        [float(row[end]) for row in ours for end in ("low", "high")], abs=1e-6
    )
    assert not figure.axes[1].collections
    for axis, panel in zip(figure.axes, (ours, paper), strict=True):
        labels = [label.get_text().replace("\n", " ") for label in axis.get_yticklabels()]
        assert labels == [row["label"] for row in panel]
        assert axis.get_ylim()[0] > axis.get_ylim()[1]  # the first bar is on top
        assert axis.get_xlim()[0] == 0
    assert_nothing_is_cut(figure)
    assert_no_overlap(figure)


def test_figure1_of_the_paper_alone(tmp_path: Path, drawn: list[Figure]) -> None:
    paths = outputs(tmp_path, "figure1", *KINDS)
    plot_figure1(published_sources(), paths)
    rows = read_rows(paths["csv"])
    assert {row["panel"] for row in rows} == {"paper"}
    assert [float(row["micro_avg"]) for row in rows] == [0.607, 0.61, 0.608, 0.587, 0.613, 0.639, 0.632, 0.618]
    assert len(drawn[0].axes) == 1
    assert not any("stand-in" in text.get_text() for text in texts_of(drawn[0]))
    assert set(PUBLISHED_TITLES) == {"mistral-7b", "llama-3-8b"}


def test_figure2_draws_the_checkpoints(files: Files, tmp_path: Path, drawn: list[Figure]) -> None:
    low = {"llama/bpe/cpt-025": "0.2", "llama/bpe/cpt-050": "0.9", "llama/bpe/cpt-100": "0.3"}

    def change(row: dict) -> dict:
        for model, value in low.items():
            row = with_value(row, model, MICRO, value=value, low="0.1", high="0.95")
        return row

    scores = change_rows(files.scores, tmp_path / "scores.csv", change)
    paths = outputs(tmp_path, "figure2", *KINDS)
    plot_figure2(sources_of(files, scores=scores), paths)
    rows = read_rows(paths["csv"])
    micro = {row["model"]: row for row in read_rows(scores) if row["name"] == MICRO}
    wanted = [m for m in micro if "/cpt-" in m or m.endswith("/base")]
    assert sorted(row["model"] for row in rows) == sorted(wanted)
    for row in rows:
        assert [row["micro_avg"], row["low"], row["high"]] == [
            f"{float(micro[row['model']][k]):.6f}" for k in ("value", "low", "high")
        ]
        assert row["step"] == (micro[row["model"]]["step"] or "0")
    donors = [row["model"] for row in rows if row["donor"] == "yes"]
    assert len(donors) == 7
    assert "llama/bpe/cpt-050" in donors

    (figure,) = drawn
    for axis, family in zip(figure.axes, FAMILIES, strict=True):
        assert axis.get_title() == family["base_title"]
        base = float(micro[f"{family['name']}/base"]["value"])
        dashed, *lines = [line for line in axis.lines if line.get_linestyle() != "None" or line.get_marker() == "o"]
        moved: set[float] = set()
        assert list(dashed.get_ydata()) == pytest.approx([base] * 2)
        for vocabulary, (line, ring) in zip(
            family["vocabularies"], zip(lines[::2], lines[1::2], strict=True), strict=True
        ):
            own = [row for row in rows if (row["family"], row["vocabulary"]) == (family["name"], vocabulary)]
            assert list(line.get_xdata()) == pytest.approx([30, 60, 120], abs=4)  # aside of the others
            moved.add(round(line.get_xdata()[0], 3))
            assert list(line.get_ydata()) == pytest.approx([float(row["micro_avg"]) for row in own], abs=1e-6)
            assert line.get_color() == SERIES[vocabulary]["color"]
            (donor,) = [row for row in own if row["donor"] == "yes"]
            ringed = [30, 60, 120].index(int(donor["step"]))
            assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (line.get_xdata()[ringed], line.get_ydata()[ringed])
            assert ring.get_ydata()[0] == pytest.approx(float(donor["micro_avg"]), abs=1e-6)
        assert len(moved) == len(family["vocabularies"])  # no point hides another
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["Original, without training", "BPE", "Unigram", "Extended", "Optimized", "donor (best)"]
    assert_nothing_is_cut(figure)
    assert_no_overlap(figure)


def test_figure2_of_the_paper_has_levels_and_no_steps(tmp_path: Path, drawn: list[Figure]) -> None:
    paths = outputs(tmp_path, "figure2", *KINDS)
    plot_figure2(published_sources(), paths)
    rows = read_rows(paths["csv"])
    assert {row["step"] for row in rows} == {""}
    paper = [row for row in read_rows(PUBLISHED) if row["table"] == "2"]
    assert [float(row["micro_avg"]) for row in rows] == [float(row["micro_avg"]) for row in paper]
    marks = [line for axis in drawn[0].axes for line in axis.lines if len(line.get_xdata()) == 1]
    assert [line.get_ydata()[0] for line in marks] == [
        float(r["micro_avg"]) for r in paper if r["vocabulary"] != "original"
    ]
    assert {line.get_linestyle() for line in marks} == {"None"}  # no curve is made up
    assert not any(tick for axis in drawn[0].axes for tick in axis.get_xticks())
    assert_nothing_is_cut(drawn[0])
    assert_no_overlap(drawn[0])


def test_figure2_of_incomplete_scores_leaves_out_what_is_missing(files: Files, tmp_path: Path) -> None:
    missing = ("llama/base", "llama/bpe/cpt")
    path = change_rows(files.scores, tmp_path / "s.csv", lambda r: None if r["model"].startswith(missing) else r)
    paths = outputs(tmp_path, "figure2", *KINDS)
    plot_figure2(sources_of(files, scores=path), paths)
    found = {(row["family"], row["vocabulary"]) for row in read_rows(paths["csv"])}
    assert not {("llama", "original"), ("llama", "bpe")} & found
    assert {("llama", "unigram"), ("mistral", "original")} <= found


def test_symbols_against_scores(files: Files, tmp_path: Path, drawn: list[Figure]) -> None:
    rows = read_rows(draw(4, files, tmp_path)["csv"])
    ours = [row for row in rows if row["panel"] == "this run"]
    micro = {row["model"]: row["value"] for row in read_rows(files.scores) if row["name"] == MICRO}
    symbols = {row["model"]: row["value"] for row in read_rows(files.metrics) if row["name"] == "symbols_per_token"}
    assert len(ours) == 9
    for row in ours:
        assert row["micro_avg"] == micro[row["model"]]
        assert float(row["symbols_per_token"]) == float(symbols[f"{row['family']}/{row['vocabulary']}"])
    paper = [row for row in read_rows(PUBLISHED) if row["table"] == "2"]
    theirs = [row for row in rows if row["panel"] == "paper (8B)"]
    assert [(float(r["symbols_per_token"]), float(r["micro_avg"])) for r in theirs] == [
        (float(r["symbols_per_token"]), float(r["micro_avg"])) for r in paper
    ]
    points = [
        line for axis in drawn[0].axes[:2] for line in axis.lines if line.get_marker() not in ("None", "_", "|", "")
    ]
    points = [line for line in points if line.get_color() in {style["color"] for style in SERIES.values()}]
    assert sorted(line.get_ydata()[0] for line in points) == pytest.approx(
        sorted(float(r["micro_avg"]) for r in ours), abs=1e-6
    )
    assert_nothing_is_cut(drawn[0])
    assert_no_overlap(drawn[0])


def test_ticks_tell_values_apart(files: Files, tmp_path: Path, drawn: list[Figure]) -> None:
    """Two ticks of an axis never have the same text."""
    for n in (1, 2, 4):
        draw(n, files, tmp_path / str(n))
    for figure in drawn:
        boxes_of(figure)
        for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
            texts = [text for text in (tick.label1.get_text() for tick in axis.get_major_ticks()) if text]
            assert len(set(texts)) == len(texts)


def test_figure3_holds_every_text(files: Files, tmp_path: Path, drawn: list[Figure]) -> None:
    rows = read_rows(draw(3, files, tmp_path)["csv"])
    samples = [json.loads(line) for line in files.samples.read_text().splitlines()]
    wanted = [(s["family"], s["prompt"], a["label"], a["model"], a["text"]) for s in samples for a in s["answers"]]
    assert [(r["family"], r["prompt"], r["label"], r["model"], r["text"]) for r in rows] == wanted
    (figure,) = drawn
    shown = "".join("".join(text.get_text().split()) for text in texts_of(figure))
    for _, prompt, _, _, text in wanted:
        assert "".join(printable(prompt).split()) in shown
        assert "".join((printable(text) or EMPTY).split()) in shown
    assert sum(EMPTY in text.get_text() for text in texts_of(figure)) == 2
    assert_nothing_is_cut(figure)
    assert_no_overlap(figure)


def test_figure3_wraps_what_is_long(tmp_path: Path, drawn: list[Figure]) -> None:
    words = "Съешь же ещё этих мягких французских булок, да выпей чаю! " * 9
    one_word = "Ы" * 400 + "i" * 300
    path = write_samples(
        tmp_path / "samples.jsonl", words, one_word, "строка\n\n    отступ\n" * 3, prompt=words + one_word
    )
    plot_figure3(FAMILIES, path, outputs(tmp_path, "figure3", *KINDS))
    (figure,) = drawn
    shown = "".join(text.get_text() for text in texts_of(figure))
    assert shown.count("Ы") == 800
    assert shown.count("i" * 10) >= 50
    assert shown.count("французских") == 18
    assert shown.count("    отступ") == 3
    assert_nothing_is_cut(figure)
    right = max(box.x1 for box in boxes_of(figure).values())
    assert 0.9 < right < 0.995  # inside of the frame, and the width is used
    assert_no_overlap(figure)


def test_figure3_shows_markup_and_unknown_glyphs_as_they_are(tmp_path: Path, drawn: list[Figure]) -> None:
    path = write_samples(tmp_path / "samples.jsonl", ODD, "$", "\\alpha^2_$$", prompt=ODD)
    paths = outputs(tmp_path, "figure3", *KINDS)
    plot_figure3(FAMILIES, path, paths)
    shown = [text.get_text() for text in texts_of(drawn[0])]
    assert shown.count("<U+4E00><U+4E8C><U+0007><U+200B> — $x_1$ \\frac{a} <b> \u00a0ё") == 2
    assert "$" in shown
    assert "\\alpha^2_$$" in shown
    assert not any(text.get_parse_math() for text in texts_of(drawn[0]) if "$" in text.get_text())
    assert read_rows(paths["csv"])[0]["text"] == ODD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s | {"family": "qwen"}, "unknown family 'qwen'; use mistral, llama"),
        (lambda s: s | {"answers": s["answers"][:2]}, "must have the answers original, LEP, LEP \\+ calibration"),
        (lambda s: s | {"answers": s["answers"] + s["answers"][:1]}, "once each"),
        (lambda s: s | {"answers": [{**a, "label": "LEP"} for a in s["answers"]]}, "once each"),
    ],
)
def test_figure3_refuses(files: Files, tmp_path: Path, change: Callable[[dict], dict], message: str) -> None:
    lines = files.samples.read_text().splitlines()
    path = tmp_path / "samples.jsonl"
    path.write_text("\n".join([lines[0], json.dumps(change(json.loads(lines[1])))]))
    with pytest.raises(UserError, match=message):
        plot_figure3(FAMILIES, path, outputs(tmp_path, "figure3", *KINDS))
    assert not (tmp_path / "figure_3.pdf").exists()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("ab cd ef", ["ab cd", "ef"]),
        ("abcdefgh", ["abcde", "fgh"]),
        ("a abcdefgh b", ["a", "abcde", "fgh b"]),
        ("a\n\nb", ["a", "", "b"]),
        ("  a  b", ["  a ", "b"]),
        ("", [""]),
        ("abcde abcde", ["abcde", "abcde"]),
    ],
)
def test_wrap_by_hand(text: str, lines: list[str]) -> None:
    assert wrap(text, 5, len) == lines


def test_wrap_loses_nothing() -> None:
    rng = random.Random(5)
    for _ in range(300):
        text = "".join(rng.choice("ab \n") for _ in range(rng.randrange(60)))
        width = rng.randrange(1, 9)
        lines = wrap(text, width, len)
        assert max(map(len, lines)) <= width
        assert "".join("".join(lines).split()) == "".join(text.split())
        assert len(lines) >= text.count("\n") + 1


def test_wrap_of_a_character_that_is_too_wide() -> None:
    assert wrap("abc", 0.5, len) == ["a", "b", "c", ""]


def test_printable() -> None:
    assert printable("\r\nа\tб\r\nв\n") == "а б\nв"
    assert printable("中 \u00a0x\u202f\u200b\U0001f9ff") == "<U+4E2D> \u00a0x\u202f<U+200B><U+1F9FF>"
