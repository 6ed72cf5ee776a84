"""Documents of Debian packages: HTML, Mallard pages, manual pages and message catalogues in Russian and English.

A package is read as a stream: no file is unpacked and no code of it runs. Files that differ only in their language get
the same id, and their paragraphs the same numbers, so that translations are aligned.
"""

import gettext
import gzip
import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from lep.config import UserError

_RUSSIAN, _ENGLISH = {"ru", "ru-RU", "ru_RU"}, {"en", "en-US", "en_US", "en-GB", "C"}
_LANGUAGE = re.compile(r"[a-z]{2}([-_@][A-Za-z]+)?|[a-z]{3}[-_@][A-Za-z]+")
_HTML_BLOCKS = ("p", "li", "td", "th", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6", "caption")
_HTML_FURNITURE = ("script", "style", "nav", "pre", "header", "footer", "form", "aside", "noscript")
_MALLARD_BLOCKS = ("p", "title", "desc")
_GROFF = ("groff", "-Kutf8", "-mandoc", "-Tutf8", "-P-cbou", "-rLL=100000n", "-rHY=0")
_TAGS = re.compile(r"<[^<>]{1,80}>")
_MESSAGES = 100  # messages of a catalogue in one document


def read_debian(path: Path) -> Iterator[dict]:
    """Documents of a `.deb`, with `id`, `group`, `language`, `title` and `paragraphs`."""
    package = path.name.split("_")[0]
    for name, content in read_members(path, _wanted):
        place = PurePosixPath(name)
        if place.suffix == ".mo" and "LC_MESSAGES" in place.parts:
            if place.parts[-3] in _RUSSIAN:
                yield from _catalogue(content, f"{_without_language(package)}/{place.stem}")
            continue
        extract, language = _extractor(place), _language(place, package)
        if not extract or not language:
            continue
        title, paragraphs = extract(content)
        if paragraphs:
            identity = _identity(place, package)
            yield {
                "id": identity,
                "group": identity,
                "language": language,
                "title": title,
                "paragraphs": [{"id": key, "text": text} for key, text in paragraphs],
            }


def read_members(path: Path, wanted: Callable[[PurePosixPath], bool]) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the wanted files of a `.deb`; raises `UserError` if it is truncated or no `.deb` at all."""
    if not shutil.which("dpkg-deb"):
        raise UserError(f"reading {path} needs dpkg-deb; use a Debian or Ubuntu machine, or remove the source")
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                for member in archive:
                    if member.isfile() and wanted(PurePosixPath(member.name)):
                        yield member.name, archive.extractfile(member).read()
        except tarfile.ReadError:
            raise UserError(f"{path} is not a complete Debian package; delete it and fetch it again") from None
        finally:
            process.stdout.close()
    if process.returncode:
        raise UserError(f"{path} is not a complete Debian package; delete it and fetch it again")


def _wanted(place: PurePosixPath) -> bool:
    return place.suffix == ".mo" or _extractor(place) is not None


def _extractor(place: PurePosixPath) -> Callable[[bytes], tuple[str, list[tuple[str, str]]]] | None:
    if place.suffix in (".html", ".xhtml", ".htm"):
        return _html
    if place.suffix == ".page":
        return _mallard
    if "man" in place.parts and re.fullmatch(r"man\d", place.parent.name) and place.suffix == ".gz":
        return _manual
    return None


def _language(place: PurePosixPath, package: str) -> str | None:
    """`ru`, `en`, or None for any other language; a path without a language has the language of its package."""
    names = [*place.parts[:-1], *place.name.split(".")[1:-1]]
    if place.suffix == ".page":  # Mallard pages are in help/LANGUAGE, with language codes of two or three letters
        names = place.parts[place.parts.index("help") + 1 :][:1] if "help" in place.parts else []
    for name in names:
        if name in _RUSSIAN:
            return "ru"
        if name in _ENGLISH:
            return "en"
        if place.suffix == ".page" or _LANGUAGE.fullmatch(name):
            return None
    return "ru" if package.endswith("-ru") else "en"


def _identity(place: PurePosixPath, package: str) -> str:
    languages = _RUSSIAN | _ENGLISH
    parts = [part for part in place.parts[:-1] if part not in {".", *languages}]
    name = ".".join(part for part in place.name.split(".") if part not in languages)
    return "/".join([*(_without_language(part) for part in parts[2:]), name])


def _without_language(name: str) -> str:
    return re.sub(r"-(ru|en-us|en)$", "", name)


def _html(content: bytes) -> tuple[str, list[tuple[str, str]]]:
    import lxml.html

    try:
        tree = lxml.html.document_fromstring(content, parser=lxml.html.HTMLParser(encoding="utf-8"))
    except lxml.etree.LxmlError:  # an empty document
        return "", []
    for element in tree.xpath("|".join(f"//{name}" for name in _HTML_FURNITURE)):
        element.drop_tree()
    for element in tree.xpath("//div[@class='para']"):  # paragraphs of books made with Publican
        element.tag = "p"
    title = tree.findtext(".//title") or ""
    return _one_line(title), _leaves(tree, _HTML_BLOCKS)


def _mallard(content: bytes) -> tuple[str, list[tuple[str, str]]]:
    import lxml.etree

    parser = lxml.etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
    tree = lxml.etree.fromstring(content, parser)
    if tree is None:
        return "", []
    for element in tree.iter():
        if isinstance(element.tag, str):
            element.tag = lxml.etree.QName(element).localname
    heading, title = tree.find("title"), ""
    if heading is not None:
        title = _one_line("".join(heading.itertext()))
        tree.remove(heading)
    return title, _leaves(tree, _MALLARD_BLOCKS)


def _leaves(tree, blocks: tuple[str, ...]) -> list[tuple[str, str]]:
    """(key, text) of the blocks that contain no other block; the key is the element's id, or its number."""
    found = []
    for number, element in enumerate(tree.iter(*blocks)):
        if next(element.iterdescendants(*blocks), None) is None and (text := _one_line("".join(element.itertext()))):
            found.append((element.get("id") or f"{number:05d}", text))
    return found


def _manual(content: bytes) -> tuple[str, list[tuple[str, str]]]:
    source = gzip.decompress(content)
    if source.startswith(b".so "):  # only a link to another page
        return "", []
    if not shutil.which(_GROFF[0]):
        raise UserError("reading manual pages needs groff; install it (apt install groff-base), or remove the source")
    result = subprocess.run(_GROFF, input=source, capture_output=True)
    lines = result.stdout.decode("utf-8", "replace").split("\n")[1:-2]  # without the head and foot of the page
    return "", [(f"{i:05d}", _one_line(line)) for i, line in enumerate(lines) if line.strip()]


def _catalogue(content: bytes, name: str) -> Iterator[dict]:
    """Documents of `_MESSAGES` messages each, sorted by their originals, which are the English side."""
    translations = gettext.GNUTranslations(io.BytesIO(content))._catalog  # gettext has no public list of messages
    pairs = []
    for key, russian in translations.items():
        english = key[0] if isinstance(key, tuple) else key
        if english and russian and (not isinstance(key, tuple) or key[1] == 0):
            pairs.append((english.rpartition("\x04")[2], russian))
    pairs.sort()
    for start in range(0, len(pairs), _MESSAGES):
        identity = f"{name}/{start // _MESSAGES:04d}"
        for language, side in (("en", 0), ("ru", 1)):
            paragraphs = [
                {"id": f"{start + i:06d}/{j:02d}", "text": _one_line(_TAGS.sub("", block))}
                for i, pair in enumerate(pairs[start : start + _MESSAGES])
                for j, block in enumerate(re.split(r"\n\s*\n", pair[side]))
            ]
            yield {"id": identity, "group": identity, "language": language, "title": "", "paragraphs": paragraphs}


def _one_line(text: str) -> str:
    return " ".join(text.split())
