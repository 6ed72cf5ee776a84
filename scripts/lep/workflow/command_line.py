"""Snakemake's command line: what is given of the configuration in several places adds up, or is refused.

    python -m lep.workflow.command_line --configfile configs/ci.yaml --cores 2 --configfile mine.yaml

starts Snakemake with both files. Snakemake itself keeps the last of two `--configfile` or `--config` without a word,
and a `--configfile` takes the place of that in a profile. The Snakefile refuses both (`check_command_line`).
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from lep.config import UserError
from lep.log import logged

# The values of an option of Snakemake end at the next word that begins with a dash.
_FILES, _VALUES = ("--configfile", "--configfiles"), ("--config", "-C")


def joined(words: Sequence[str]) -> list[str]:
    """The arguments with all configuration files in one `--configfile`, and all values in one `--config`.

    Raises `UserError` where a file is missing, or the number of cores is none.
    """
    files: list[str] = []
    values: list[str] = []
    rest: list[str] = []
    for option, found in _options(words):
        place = files if option in _FILES else values if option in _VALUES else rest
        place += found if place is not rest else [option, *found] if option else found
        if option in ("--cores", "-c"):
            _check_cores(found)
    if missing := [file for file in files if not Path(file).is_file()]:
        raise UserError(f"{', '.join(missing)} does not exist; name existing configuration files, such as {_known()}")
    given = [*([_FILES[0], *files] if files else []), *([_VALUES[0], *values] if values else [])]
    end = rest.index("--") if "--" in rest else len(rest)
    return [*rest[:end], *given, *rest[end:]]


def check_command_line(words: Sequence[str], used: Sequence[str | Path]) -> None:
    """Refuse a command line of which Snakemake drops a part of the configuration.

    `words` are Snakemake's arguments, `used` the configuration files that it uses of them.
    """
    options = list(_options(words))
    for names in (_FILES, _VALUES):
        given = [found for option, found in options if option in names]
        if len(given) > 1:
            raise UserError(
                f"{names[0]} is given {len(given)} times, and Snakemake uses the last one alone; give it once: "
                f"{names[0]} {' '.join(word for found in given for word in found)}"
            )
    # A workflow profile that names configuration files takes the place of those of the profile: so it is meant.
    for option in ("--workflow-profile", "--profile"):
        names = [found[0] for given, found in options if given == option and found]
        if names and _check_profile(names[-1], options, [Path(file).resolve() for file in used]):
            break


def describe(scale: str, words: Sequence[str], used: Sequence[str | Path]) -> str:
    """One line: the scale, and what the configuration was made from."""
    values = [word for option, found in _options(words) if option in _VALUES for word in found]
    return f"scale {scale}: {' + '.join(['config.yaml', *map(_shown, used), *values])}"


def _options(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """(option, its values) in order; ("", words) for what stands before the first option, and from `--` on."""
    option, found = "", []
    for number, word in enumerate(words):
        if word == "--":
            yield option, found
            yield "", list(words[number:])
            return
        if word.startswith("-") and not re.fullmatch(r"-[\d.]+", word):
            if option or found:
                yield option, found
            name, equals, value = word.partition("=")
            option, found = (name, [value]) if equals and name.startswith("--") else (word, [])
            if re.fullmatch(r"-C.+", word):  # its value without a space
                option, found = "-C", [word[2:]]
            elif re.fullmatch(r"--configf\w*", option):  # Snakemake takes any beginning of a name
                option = _FILES[0]
        else:
            found.append(word)
    if option or found:
        yield option, found


def _check_profile(name: str, options: list[tuple[str, list[str]]], used: list[Path]) -> bool:
    """Refuse what takes the place of a profile's configuration; whether the profile names configuration files."""
    folder = Path(name)
    if not (folder / "config.yaml").is_file():
        return False  # none of ours: Snakemake looks for it in other places too
    profile = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) or {}
    files = profile.get("configfile", profile.get("configfiles")) or []
    files = [files] if isinstance(files, str) else files
    if lost := [file for file in files if Path(file).resolve() not in used]:
        given = [word for option, found in options if option in _FILES for word in found]
        raise UserError(
            f"--configfile takes the place of {', '.join(lost)} of the profile {name}; give both: "
            f"--configfile {' '.join([*lost, *given])}"
        )
    if profile.get("config") and any(option in _VALUES for option, _ in options):
        raise UserError(f"--config takes the place of `config` in the profile {name}; give its values in one of them")
    return bool(files)


def _check_cores(values: Sequence[str]) -> None:
    if values and not re.fullmatch(r"all|[1-9]\d*", values[0]):
        raise UserError(f"CORES (--cores) is {values[0]!r}; it must be a number, 1 or more, or all")


def _known() -> str:
    return ", ".join(sorted(path.as_posix() for path in Path("configs").glob("*.yaml"))) or "configs/SCALE.yaml"


def _shown(file: str | Path) -> str:
    path = Path(file)
    return os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)


def snakemake_command(arguments: Sequence[str]) -> list[str]:
    """The command that starts Snakemake of this Python with these arguments."""
    return [sys.executable, "-m", "snakemake", *joined(arguments)]


def main() -> None:
    """Replace this process by Snakemake."""
    with logged():
        command = snakemake_command(sys.argv[1:])
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
