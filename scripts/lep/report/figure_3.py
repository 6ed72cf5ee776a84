"""Figure 3 as text: answers to one prompt by the original model, after LEP, and after LEP and calibration.

Text is wrapped by its measured width and never cut. Characters that the font cannot draw are written as code points.
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import font_manager, pyplot
from matplotlib.ft2font import FT2Font
from matplotlib.patches import FancyBboxPatch

from lep.config import UserError
from lep.names import Family, parse_families
from lep.report.figure_style import GREY, WIDTH, figure_style, save
from lep.report.scores import read_samples

LABELS = ("original", "LEP", "LEP + calibration")
# Font size in points; line height, padding, gap between samples and width of the label column in inches.
_SIZE, _LINE, _PAD, _GAP, _LABEL = 7.5, 0.145, 0.075, 0.13, 1.25
_COLOURS = {"original": "0.45", "LEP": "#D55E00", "LEP + calibration": "#0072B2"}
EMPTY = "(empty answer)"


@dataclass(frozen=True)
class _Line:
    x: float
    y: float  # inches from the top of the figure
    text: str
    colour: str = "black"
    weight: str = "normal"
    style: str = "normal"


def plot_figure3(families: Sequence[dict | Family], samples: Path, outputs: dict[str, Path], run: str = "") -> None:
    """Draw Figure 3 from `samples.jsonl`."""
    parsed = {family.name: family for family in parse_families(families)}
    rows, lines, boxes, top = [], [], [], 0.02
    with figure_style():
        measure = _measurer()
        # First lay out all lines and boxes: the height of the figure follows from them.
        for sample in read_samples(samples):
            if sample["family"] not in parsed:
                raise UserError(f"{samples} has the unknown family {sample['family']!r}; use {', '.join(parsed)}")
            family = parsed[sample["family"]]
            answers = _in_order(sample, samples)
            start = top
            title = family.shown("instruct")
            top = _header(lines, title, printable(sample["prompt"]), top, measure)
            boxes.append((start, top, "0.93"))
            for answer in answers:
                top = _answer(lines, answer, top + _PAD, measure)
                rows.append((family.name, sample["prompt"], answer["label"], answer["model"], answer["text"]))
            boxes.append((start, top + _PAD, "none"))
            top += _PAD + _GAP
        # Then draw them; positions are inches from the top, matplotlib counts shares from the bottom.
        height = top - _GAP + 0.02
        figure = pyplot.figure(figsize=(WIDTH, height))
        for upper, lower, colour in boxes:
            box = FancyBboxPatch(
                (0.01 / WIDTH, 1 - lower / height), 1 - 0.02 / WIDTH, (lower - upper) / height,
                boxstyle="square,pad=0", facecolor=colour, edgecolor="0.6", linewidth=0.6,
                transform=figure.transFigure, zorder=-1 if colour != "none" else 0,
            )  # fmt: skip
            figure.add_artist(box)
        for line in lines:
            figure.text(
                line.x / WIDTH, 1 - line.y / height, line.text, va="baseline", color=line.colour, fontsize=_SIZE,
                fontweight=line.weight, fontstyle=line.style, parse_math=False,
            )  # fmt: skip
        save(figure, outputs, ("family", "prompt", "label", "model", "text"), rows, run)


def _in_order(sample: dict, path: Path) -> list[dict]:
    """The answers of a sample in the order of `LABELS`."""
    by_label = {answer["label"]: answer for answer in sample["answers"]}
    missing = [label for label in LABELS if label not in by_label]
    if missing or len(by_label) != len(sample["answers"]) or len(by_label) != len(LABELS):
        raise UserError(f"{path}: a sample of {sample['family']} must have the answers {', '.join(LABELS)}, once each")
    return [by_label[label] for label in LABELS]


def _header(lines: list[_Line], title: str, prompt: str, top: float, measure: Callable[[str], float]) -> float:
    top += _PAD
    lines.append(_Line(0.1, top + 0.75 * _LINE, title, GREY, style="italic"))
    for text in wrap(prompt, WIDTH - 0.2, lambda part: 1.12 * measure(part)):  # bold is wider
        top += _LINE
        lines.append(_Line(0.1, top + 0.75 * _LINE, text, weight="bold"))
    return top + _LINE + _PAD


def _answer(lines: list[_Line], answer: dict, top: float, measure: Callable[[str], float]) -> float:
    label = answer["label"]
    lines.append(_Line(0.1, top + 0.75 * _LINE, label, _COLOURS[label], "bold"))
    text = printable(answer["text"])
    empty = not text.strip()
    for part in wrap(EMPTY if empty else text, WIDTH - _LABEL - 0.2, measure):
        colour, style = (GREY, "italic") if empty else ("black", "normal")
        lines.append(_Line(0.1 + _LABEL, top + 0.75 * _LINE, part, colour, style=style))
        top += _LINE
    return top


def wrap(text: str, width: float, measure: Callable[[str], float]) -> list[str]:
    """Wrap a text into lines of at most `width`, as given by `measure`.

    A word is broken only if it is too wide for a line. No character is lost except spaces and newlines at breaks.
    """
    lines = []
    for paragraph in text.split("\n"):
        current = None
        for word in paragraph.split(" "):
            joined = word if current is None else f"{current} {word}"
            if measure(joined) <= width:
                current = joined
                continue
            if current:
                lines.append(current)
            while measure(word) > width:
                cut = max(1, bisect_right(range(1, len(word)), width, key=lambda n, text=word: measure(text[:n])))
                lines.append(word[:cut])
                word = word[cut:]
            current = word
        lines.append(current or "")
    return lines


def printable(text: str) -> str:
    """The text with tabs as spaces, and characters that the font cannot draw as code points, such as <U+4E00>."""
    font = _font()
    text = text.replace("\t", " ").replace("\r\n", "\n").strip("\n")

    def drawn(c: str) -> bool:
        return c == "\n" or ((c.isprintable() or unicodedata.category(c) == "Zs") and font.get_char_index(ord(c)) > 0)

    return "".join(c if drawn(c) else f"<U+{ord(c):04X}>" for c in text)


def _font() -> FT2Font:
    return font_manager.get_font(font_manager.findfont("DejaVu Sans"))


def _measurer() -> Callable[[str], float]:
    """Function that gives the width of a text in inches, unhinted and in the font size of the figure."""
    font = _font()

    def measure(text: str) -> float:
        font.set_size(_SIZE, 72)
        font.set_text(text, 0.0)
        return font.get_width_height()[0] / 64 / 72 * 1.02

    return measure
