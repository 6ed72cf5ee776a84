"""Readers of Debian packages: manuals, manual pages and message catalogues, in two languages side by side."""

import gzip
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lep.config import UserError
from lep.corpus.debian_docs import read_debian


def catalogue(messages: dict[str, str]) -> bytes:
    """A compiled catalogue, as `msgfmt` writes them."""
    messages = {"": "Content-Type: text/plain; charset=UTF-8\n", **messages}
    keys = sorted(messages, key=str.encode)
    pairs = [(key.encode(), messages[key].encode()) for key in keys]
    head, offset = [0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0], 28 + 16 * len(pairs)
    tables, content = [], b""
    for side in (0, 1):
        for pair in pairs:
            tables += [len(pair[side]), offset + len(content)]
            content += pair[side] + b"\0"
    return b"".join(n.to_bytes(4, "little") for n in head + tables) + content


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Callable[[dict[str, bytes]], Path]]:
    """Makes a Debian package of files, as far as it is read here."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("needs dpkg-deb")

    def make(files: dict[str, bytes], name: str = "manual") -> Path:
        import subprocess

        root = tmp_path / name
        for place, content in files.items():
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_bytes(content)
        (root / "DEBIAN").mkdir(parents=True)
        head = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: d\n"
        (root / "DEBIAN/control").write_text(head)
        command = ["dpkg-deb", "--root-owner-group", "-b", str(root), str(tmp_path / f"{name}_1_all.deb")]
        subprocess.run(command, check=True, capture_output=True)
        return tmp_path / f"{name}_1_all.deb"

    return make


def test_debian_documents_lie_side_by_side(package: Callable) -> None:
    def page(text: str) -> bytes:
        body = f"<title>T</title><nav><p>menu</p></nav><div><p id='x1'>{text} <b>b</b></p><ul><li>l</li></ul></div>"
        return f"<html>{body}<script>s</script></html>".encode()

    def mallard(text: str) -> bytes:
        return f'<page xmlns="http://projectmallard.org/1.0/"><title>M</title><p>{text}</p></page>'.encode()

    deb = package(
        {
            "usr/share/doc/manual/ru/a.html": page("привет"),
            "usr/share/doc/manual/en-US/a.html": page("hello"),
            "usr/share/doc/manual/de/a.html": page("hallo"),
            "usr/share/doc/manual/pt-BR/a.html": page("olá"),
            "usr/share/help/ru/x/p.page": mallard("да"),
            "usr/share/help/C/x/p.page": mallard("yes"),
            "usr/share/help/ast/x/p.page": mallard("sí"),
            "usr/share/locale/ru/LC_MESSAGES/m.mo": catalogue({"menu\x04Open": "Открыть", "A\n\nB": "А\n\nБ"}),
            "usr/share/locale/de/LC_MESSAGES/m.mo": catalogue({"Open": "Öffnen"}),
        }
    )
    found = {(d["id"], d["language"]): d["paragraphs"] for d in read_debian(deb)}
    assert found == {
        ("doc/manual/a.html", "ru"): [{"id": "x1", "text": "привет b"}, {"id": "00001", "text": "l"}],
        ("doc/manual/a.html", "en"): [{"id": "x1", "text": "hello b"}, {"id": "00001", "text": "l"}],
        ("help/x/p.page", "ru"): [{"id": "00000", "text": "да"}],
        ("help/x/p.page", "en"): [{"id": "00000", "text": "yes"}],
        ("manual/m/0000", "en"): [
            {"id": "000000/00", "text": "A"},
            {"id": "000000/01", "text": "B"},
            {"id": "000001/00", "text": "Open"},
        ],
        ("manual/m/0000", "ru"): [
            {"id": "000000/00", "text": "А"},
            {"id": "000000/01", "text": "Б"},
            {"id": "000001/00", "text": "Открыть"},
        ],
    }


def test_debian_manual_pages(package: Callable) -> None:
    if not shutil.which("groff"):
        pytest.skip("needs groff")
    russian = gzip.compress(".TH LS 1\n.SH ИМЯ\nls - выводит\nсписок\n".encode())
    english = gzip.compress(b".TH LS 1\n.SH NAME\nls - list\n")
    deb = package(
        {
            "usr/share/man/ru/man1/ls.1.gz": russian,
            "usr/share/man/man1/ls.1.gz": english,
            "usr/share/man/man1/dir.1.gz": gzip.compress(b".so man1/ls.1\n"),
            "usr/share/man/de/man1/ls.1.gz": english,
        }
    )
    found = {(d["id"], d["language"]): [p["text"] for p in d["paragraphs"]] for d in read_debian(deb)}
    assert found == {
        ("man/man1/ls.1.gz", "ru"): ["ИМЯ", "ls - выводит список"],
        ("man/man1/ls.1.gz", "en"): ["NAME", "ls - list"],
    }


def test_a_truncated_debian_package_is_refused(package: Callable) -> None:
    deb = package({"usr/share/doc/x/ru/a.html": b"<p>text</p>" * 1000})
    deb.write_bytes(deb.read_bytes()[:400])
    with pytest.raises(UserError, match=r"manual_1_all\.deb is not a complete Debian package; delete it"):
        list(read_debian(deb))
