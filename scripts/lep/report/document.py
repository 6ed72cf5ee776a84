"""The PDF report: Typst source, facts, tables and figures in one folder, compiled without TeX and network.

Equal input gives equal bytes.
"""

import csv
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import typst

from lep.config import UserError
from lep.files import write_json, written_by_rename
from lep.report import instructs_compared
from lep.report.claims import read_claims
from lep.report.facts import HASH_DIGITS, artefact_hashes, collect_facts, read_pins
from lep.report.language_table import learned, read_language
from lep.report.methods_compared import mark_note, read_compared, shown, summarise
from lep.report.scores import Paths, as_paths
from lep.report.tables import Sources

MAIN = "paper.typ"


def build_report(
    sources: Sources,
    settings: dict,
    source: Path,
    tables: Paths,
    figures: Paths,
    claims: Path,
    checks: Path,
    target: Path,
    manifests: Mapping[Path, str] | None = None,
    requirements: Path | None = None,
    errors: Path | None = None,
    methods_compared: Path | None = None,
    instructs: Path | None = None,
    sweep: Paths = (),
    language: Paths = (),
) -> None:
    """Write the report as the PDF `target`.

    - `settings`: see `collect_facts`
    - `source`: folder of the Typst files
    - `tables`: Typst fragments table1.typ to table4.typ
    - `figures`: PDFs of the figures; training.pdf is optional
    - `claims`, `checks`: claims.csv, and the JUnit XML of the integrity checks
    - `manifests`: artefacts to list by hash, named relative to the folder above that of `target`
    - `requirements`: requirements.txt, for the software versions
    - `errors`, `methods_compared`, `instructs`, `sweep`, `language`: CSV tables of wrong answers, LEP methods, instruct
      models that share a donor, learning rates and measures of languages

    Raises `UserError` for a missing number, a failed check or an error in the Typst source.
    """
    compared = read_compared(methods_compared) if methods_compared else []
    served = instructs_compared.read_served(instructs) if instructs else []
    facts = collect_facts(sources, settings, read_claims(claims))
    facts |= {
        "checks": passed_checks(checks),
        "artefacts": artefact_hashes(manifests or {}, Path(target).parent.parent),
        "hash_digits": str(HASH_DIGITS),
        "pins": read_pins(requirements) if requirements else [],
        "errors": read_errors(errors) if errors else [],
        "methods": shown(compared, sources.pairs),
        "methods_summary": summarise(compared),
        "methods_note": mark_note(compared),
        "instructs": instructs_compared.shown(served, sources.pairs),
        "instructs_summary": instructs_compared.summarise(served),
        "instructs_note": instructs_compared.mark_note(served),
        "sweep": [row for path in as_paths(sweep) for row in read_errors(path)],
        "language": [row for path in as_paths(language) for row in learned(read_language(path), sources.families)],
        "figures": [Path(path).name for path in as_paths(figures)],
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        lay_out(root, source, as_paths(tables), as_paths(figures), facts)
        with written_by_rename(target) as partial:
            compile_document(root, partial, format="pdf")


def lay_out(root: Path, source: Path, tables: list[Path], figures: list[Path], facts: dict) -> None:
    """Copy everything that the source refers to into `root`: *.typ, facts.json, tables/, figures/."""
    sources = sorted(Path(source).glob("*.typ"))
    if Path(source) / MAIN not in sources:
        raise UserError(f"{source} has no {MAIN}; give the folder of the report's Typst source")
    for path in sources:
        shutil.copyfile(path, root / path.name)
    for name, paths in (("tables", tables), ("figures", figures)):
        (root / name).mkdir()
        for path in map(Path, paths):
            shutil.copyfile(path, root / name / path.name)
    write_json(root / "facts.json", facts)


def compile_document(root: Path, output: Path, **options: object) -> None:
    """Compile the main file in `root` with the fonts of the typst package alone, so that all systems agree.

    A warning (a missing font or character) is an error too. `options` are passed to typst (format, ppi).
    """
    try:
        _, warnings = typst.compile_with_warnings(
            str(root / MAIN), output=str(output), root=str(root), ignore_system_fonts=True, **options
        )
    except typst.TypstError as error:
        raise UserError(f"the report's source cannot be compiled: {_without(root, error.diagnostic)}") from None
    if warnings:
        raise UserError(f"the report's source has warnings: {_without(root, warnings[0].diagnostic)}")


def passed_checks(path: Path) -> list[str]:
    """Names of the integrity checks; `UserError` if one failed or none ran."""
    try:
        cases = ElementTree.parse(path).getroot().findall("testcase")
    except ElementTree.ParseError as error:
        raise UserError(f"{path} is not JUnit XML ({error}); run the integrity checks again") from None
    failed = [case.get("name") for case in cases if any(case.find(tag) is not None for tag in ("failure", "error"))]
    if failed or not cases:
        what = f"the integrity checks {', '.join(failed)} failed" if failed else "no integrity check was run"
        raise UserError(f"{path}: {what}, so there is no report; repair the run and check it again")
    return [case.get("name").replace("_", " ") for case in cases]


def read_errors(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV table, such as that of wrong answers."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _without(root: Path, message: str) -> str:
    """A message of typst without the path of the temporary folder."""
    return message.replace(str(root), "").strip()
