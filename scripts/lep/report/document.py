"""The PDF: facts, tables and figures laid beside the Typst source and compiled (no TeX, no network, fixed bytes)."""

import csv
import shutil
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import typst

from lep.config import UserError
from lep.files import write_json, written_by_rename
from lep.report.facts import HASH_DIGITS, artefact_hashes, collect_facts, read_claims, read_pins
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
    manifests: Paths = (),
    requirements: Path | None = None,
    errors: Path | None = None,
    sweep: Paths = (),
) -> None:
    """Write the report's PDF.

    `source` is the folder of the Typst files, `tables` the Typst fragments table1.typ to table4.typ, `figures` the
    PDFs of the figures, where wanted training.pdf as well; `manifests` the artefacts to list by hash, named
    relative to the parent of `target`'s folder, `errors` the table of wrong answers, `sweep` that of learning rates.
    Raises `UserError` for a missing number, a failed check or an error in the source.
    """
    facts = collect_facts(sources, settings, read_claims(claims))
    facts |= {
        "checks": passed_checks(checks),
        "artefacts": artefact_hashes(as_paths(manifests), Path(target).parent.parent),
        "hash_digits": str(HASH_DIGITS),
        "pins": read_pins(requirements) if requirements else [],
        "errors": read_errors(errors) if errors else [],
        "sweep": [row for path in as_paths(sweep) for row in read_errors(path)],
        "figures": [Path(path).name for path in as_paths(figures)],
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        lay_out(root, source, as_paths(tables), as_paths(figures), facts)
        with written_by_rename(target) as partial:
            compile_document(root, partial, format="pdf")


def lay_out(root: Path, source: Path, tables: list[Path], figures: list[Path], facts: dict) -> None:
    """Everything that the source refers to, under `root`: *.typ, facts.json, tables/, figures/."""
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
    """Compile the main file under `root` with the fonts that the package brings, none of the system's.

    A warning (a font or character that is missing) is an error too. `options` go to typst (format, ppi).
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
    """Names of the integrity checks; `UserError` where one failed or none was made."""
    try:
        cases = ElementTree.parse(path).getroot().findall("testcase")
    except ElementTree.ParseError as error:
        raise UserError(f"{path} is no JUnit XML ({error}); run the integrity checks again") from None
    failed = [case.get("name") for case in cases if any(case.find(tag) is not None for tag in ("failure", "error"))]
    if failed or not cases:
        raise UserError(f"{path}: the integrity checks {', '.join(failed) or 'were not run'}; no report is made")
    return [case.get("name").replace("_", " ") for case in cases]


def read_errors(path: Path) -> list[dict[str, str]]:
    """Rows of the table of wrong answers."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _without(root: Path, message: str) -> str:
    return message.replace(str(root), "").strip()
