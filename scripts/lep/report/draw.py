"""Tables and figures from scores alone, without workflow and models.

Run: `python -m lep.report.draw --source published`, or `--scores FILE` for your own scores (`make figures`).
"""

import argparse
from dataclasses import replace
from pathlib import Path

import yaml

from lep.config import UserError
from lep.log import logged, logger
from lep.methods import PAPER_METHODS
from lep.report.figure_1_2 import plot_figure1, plot_figure2
from lep.report.figure_3 import plot_figure3
from lep.report.figure_language import plot_language
from lep.report.figure_symbols import plot_symbols
from lep.report.published import published_comparators, published_families, read_published
from lep.report.run_id import RUN_ID, identify_run, label_files
from lep.report.tables import Sources, read_sources, write_table

PUBLISHED = Path("data/published_scores.csv")
EXTENSIONS = {"csv": "csv", "tidy": "tidy.csv", "md": "md", "tex": "tex", "typ": "typ"}


def draw_published(published: Path, out: Path) -> None:
    """Write Tables 1 to 4 and the figures from the numbers of the paper; no number is read off an image."""
    rows = read_published(published)
    run = identify_run("published", {published.name: published}, out / RUN_ID)
    families, comparators = published_families(rows), published_comparators(rows)
    _draw(read_sources(families, published, comparators=comparators, run=run), out)
    logger.info("Figure 2 has one mark per vocabulary: the paper gives no scores of training steps as numbers")
    logger.info("Figure 3 is left out: the paper shows its answers as a picture, not as text")
    logger.info("written to %s", out)


def draw_scores(
    scores: Path,
    settings: dict,
    published: Path,
    out: Path,
    metrics: Path | None = None,
    samples: Path | None = None,
    language: Path | None = None,
) -> None:
    """Write Tables 1 to 4 and the figures from a `scores.csv` with the columns of the workflow.

    `settings` is a configuration; only `families`, `comparators` and `propagation.methods` are used. A missing model is
    a visible gap. An invalid row is an error before any file is written (`lep.report.scores`).
    """
    given = [path for path in (scores, metrics, samples, language) if path]
    if missing := [str(path) for path in given if not path.is_file()]:
        raise UserError(
            f"{', '.join(missing)} does not exist; give an existing file of scores, metrics, samples or measures"
        )
    comparators = settings.get("comparators", ())
    methods = settings.get("propagation", {}).get("methods", PAPER_METHODS)
    sources = read_sources(settings["families"], published, scores, metrics, comparators, methods=methods)
    run = identify_run("scores", label_files(given, scores.parent), out / RUN_ID)
    _draw(replace(sources, run=run), out)
    if samples:
        plot_figure3(sources.families, samples, _figure(out, "figure3"), run)
    else:
        logger.info("Figure 3 is left out: there is no samples.jsonl next to %s", scores)
    if language:
        plot_language(settings["families"], language, _figure(out, "language"), run)
    logger.info("written to %s", out)


def merge_settings(paths: list[Path]) -> dict:
    """Merge configuration files as Snakemake does: mappings key by key, other values are replaced."""
    merged: dict = {}
    for path in paths:
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise UserError(f"{path} does not exist; give an existing configuration file") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is not YAML: {error}") from None
        if not isinstance(values or {}, dict):
            raise UserError(f"{path} must be a mapping of settings, such as `families:`")
        merged = _merge(merged, values or {})
    return merged


def _merge(below: dict, above: dict) -> dict:
    both = {
        key: _merge(below[key], value) if isinstance(value, dict) and isinstance(below.get(key), dict) else value
        for key, value in above.items()
    }
    return below | both


def _draw(sources: Sources, out: Path) -> None:
    for number in (1, 2, 3, 4):
        outputs = {kind: out / "tables" / f"table{number}.{ending}" for kind, ending in EXTENSIONS.items()}
        write_table(number, sources, outputs)
    plot_figure1(sources, _figure(out, "figure1"))
    plot_figure2(sources, _figure(out, "figure2"))
    plot_symbols(sources, _figure(out, "symbols_per_token"))


def _figure(out: Path, name: str) -> dict[str, Path]:
    return {kind: out / "figures" / f"{name}.{kind}" for kind in ("pdf", "png", "csv")}


def _beside(scores: Path, name: str) -> Path | None:
    path = scores.with_name(name)
    return path if path.is_file() else None


def main() -> None:
    parser = argparse.ArgumentParser(description="Tables and figures from scores alone.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--source", choices=["published"], help="the paper's own numbers")
    what.add_argument(
        "--scores",
        type=Path,
        metavar="FILE",
        help="a scores.csv; metrics.csv, samples.jsonl and language.csv in its folder are used",
    )
    parser.add_argument(
        "--configfile", type=Path, nargs="+", default=[], help="overlays of config.yaml with the families"
    )
    parser.add_argument("--published", type=Path, default=PUBLISHED)
    parser.add_argument("--out", type=Path, help="folder to write to; default results/published or results/own")
    options = parser.parse_args()
    with logged():
        if options.source:
            draw_published(options.published, options.out or Path("results/published"))
        else:
            settings = merge_settings([Path("config.yaml"), *options.configfile])
            beside = (_beside(options.scores, name) for name in ("metrics.csv", "samples.jsonl", "language.csv"))
            draw_scores(options.scores, settings, options.published, options.out or Path("results/own"), *beside)


if __name__ == "__main__":
    main()
