"""A hub of models and data sets on the loopback interface, for tests with the real client of `huggingface_hub`.

It serves repository information, trees and files (also from the middle) at commits and branches. Repositories are
known by their name alone, whether models or data sets are asked for.
"""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

# Large files carry the sha256 of their content, small ones the hash of their git blob.
LARGE = (".safetensors", ".bin", ".pth", ".model", ".parquet", ".gz", ".zst")


@dataclass(frozen=True)
class Asked:
    """A request of the client."""

    method: str
    path: str
    range: str | None
    authorization: str | None


@dataclass
class HubStub:
    """What the hub holds and how it behaves; tests change it as they like."""

    address: str = ""
    repositories: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)  # name, commit, file
    branches: dict[tuple[str, str], str] = field(default_factory=dict)  # (name, branch): commit
    gated: set[str] = field(default_factory=set)  # names that only a client with `token` may see
    gated_files: set[str] = field(default_factory=set)  # names whose files only such a client may have
    token: str = ""
    cuts: dict[str, list[int]] = field(default_factory=dict)  # file: bytes after which its next deliveries break off
    wrong: set[str] = field(default_factory=set)  # files delivered with other bytes, as many
    asked: list[Asked] = field(default_factory=list)

    def put(self, repository: str, commit: str, files: dict[str, bytes], branch: str = "main") -> None:
        """Add a commit with these files and let the branch point to it."""
        self.repositories.setdefault(repository, {})[commit] = dict(files)
        self.branches[repository, branch] = commit


@contextlib.contextmanager
def serving() -> Iterator[HubStub]:
    """An empty hub that answers at `address` until the block ends."""
    hub = HubStub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubStub

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        self.hub.asked.append(Asked(self.command, path, self.headers.get("Range"), self.headers.get("Authorization")))
        parts = path.strip("/").split("/")
        api = parts[0] == "api"
        parts = parts[2:] if api else parts[parts[0] == "datasets" :]
        name, action, revision, file = "/".join(parts[:2]), *([*parts[2:4], "", ""][:2]), "/".join(parts[4:])
        revision = unquote(revision) or "main"
        commits = self.hub.repositories.get(name)
        commit = self.hub.branches.get((name, revision), revision)
        if self._closed(name, is_file=not api):
            self._refuse(401, "GatedRepo")
        elif commits is None:
            self._refuse(404, "RepoNotFound")
        elif commit not in commits:
            self._refuse(404, "RevisionNotFound")
        elif not api:
            self._file(unquote(file), commits[commit], commit)
        else:
            self._json(_listing(action, name, commit, commits[commit], body), commit)

    do_HEAD = do_POST = do_GET  # noqa: N815

    def _closed(self, name: str, is_file: bool) -> bool:
        gate = name in self.hub.gated or (is_file and name in self.hub.gated_files)
        return gate and not (self.hub.token and self.headers.get("Authorization") == f"Bearer {self.hub.token}")

    def _json(self, value: object, commit: str) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json", "X-Repo-Commit": commit})

    def _file(self, file: str, files: dict[str, bytes], commit: str) -> None:
        if file not in files:
            self._refuse(404, "EntryNotFound")
            return
        entry, data = _entry(file, files[file]), files[file]
        etag = entry.get("lfs", entry)["oid"]
        if file in self.hub.wrong:
            data = bytes(255 - byte for byte in data)
        headers = {"ETag": f'"{etag}"', "X-Linked-Size": str(len(data)), "X-Repo-Commit": commit}
        start = 0
        if asked := self.headers.get("Range"):
            start = int(asked.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        cuts = self.hub.cuts.get(file)
        cut = cuts.pop(0) if cuts and self.command == "GET" else None
        self._send(206 if asked else 200, data[start:], headers, cut)

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": code})

    def _send(self, status: int, data: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[:cut])
        self.close_connection |= cut is not None


def _listing(action: str, name: str, commit: str, files: dict[str, bytes], body: bytes) -> object:
    """The answer to a question about a commit: its tree, some of its paths, or the repository's information."""
    entries = [_entry(file, data) for file, data in sorted(files.items())]
    if action == "tree":
        return entries
    if action == "paths-info":
        return [entry for entry in entries if entry["path"] in json.loads(body)["paths"]]
    siblings = [
        {"rfilename": entry["path"], "size": entry["size"], "blobId": entry["oid"]}
        | ({"lfs": entry["lfs"] | {"sha256": entry["lfs"]["oid"]}} if "lfs" in entry else {})
        for entry in entries
    ]
    return {"id": name, "sha": commit, "siblings": siblings, "private": False, "gated": False, "disabled": False,
            "tags": [], "downloads": 0, "likes": 0}  # fmt: skip


def _entry(file: str, data: bytes) -> dict:
    """A file as trees list it."""
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    entry = {"type": "file", "path": file, "size": len(data), "oid": blob}
    if file.endswith(LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry
