"""The first record of a file of the hub, read from its beginning (JSONL) or through its footer (Parquet)."""

import json
from typing import BinaryIO

from lep.config import UserError
from lep.fetch.hub import Listing, hub_errors

_BLOCK = 2**18  # bytes of one request
_LONGEST = 2**26  # bytes of a record


def first_record(repository: str, listing: Listing, name: str) -> dict:
    """The first record of the file `name` of a data set; `UserError` where the file has none or cannot be read."""
    from huggingface_hub import HfFileSystem
    from pyarrow import ArrowInvalid

    path = f"datasets/{repository}/{listing.files[name].rfilename}"
    where = f"{repository}, {name}"
    with hub_errors("dataset", repository, listing.commit):
        try:
            with HfFileSystem(skip_instance_cache=True).open(path, revision=listing.commit, block_size=_BLOCK) as file:
                found = _of_parquet(file) if name.endswith(".parquet") else _of_lines(file, name)
        except (ArrowInvalid, ValueError) as error:
            raise UserError(f"{where} cannot be read ({error}); name another revision, or a local copy") from None
    if not isinstance(found, dict):
        raise UserError(f"{where} has no records; name another revision, or a local copy")
    return found


def _of_parquet(file: BinaryIO) -> dict | None:
    from pyarrow.parquet import ParquetFile

    for batch in ParquetFile(file).iter_batches(batch_size=1):
        return batch.to_pylist()[0]
    return None


def _of_lines(file: BinaryIO, name: str) -> object:
    import pyarrow

    packed = {".gz": "gzip", ".zst": "zstd"}.get(name[name.rfind(".") :])
    stream = pyarrow.CompressedInputStream(pyarrow.PythonFile(file), packed) if packed else file
    line = b""
    while b"\n" not in line and len(line) < _LONGEST and (block := stream.read(_BLOCK)):
        line += block
    line = line.partition(b"\n")[0]
    return json.loads(line) if line.strip() else None
