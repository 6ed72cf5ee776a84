import json
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from lep.config import UserError
from lep.models.safetensors_header import HEAD, INDEX, INPUT, read_rows, weight_map
from safetensors.numpy import save_file


def test_rows_of_a_safetensors_file(tmp_path: Path) -> None:
    matrix = numpy.random.default_rng(0).random((9, 5), numpy.float32)
    save_file({"w": matrix, "a": numpy.ones(7, numpy.float32)}, tmp_path / "x.safetensors")
    assert read_rows(tmp_path / "x.safetensors", "w", [8, 0, 3]) == [matrix[i].tobytes() for i in (8, 0, 3)]
    with pytest.raises(UserError, match="w has 9 rows, none for token id 9"):
        read_rows(tmp_path / "x.safetensors", "w", [9])


def test_the_file_of_each_tensor(tmp_path: Path) -> None:
    save_file({INPUT: numpy.ones((2, 2)), HEAD: numpy.ones((2, 2))}, tmp_path / "model.safetensors")
    assert weight_map(tmp_path) == {INPUT: "model.safetensors", HEAD: "model.safetensors"}
    places = dict.fromkeys((INPUT, HEAD), "matrices.safetensors")
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": places}))
    # Where there is a single file, transformers reads that and no index, which an earlier save may have left.
    assert weight_map(tmp_path) == {INPUT: "model.safetensors", HEAD: "model.safetensors"}
    (tmp_path / "model.safetensors").rename(tmp_path / "matrices")
    with pytest.raises(UserError, match=r"names matrices\.safetensors, which is not in"):
        weight_map(tmp_path)
    (tmp_path / "matrices").rename(tmp_path / "matrices.safetensors")
    assert weight_map(tmp_path) == places


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes((1000).to_bytes(8, "little") + b"{}")
    with pytest.raises(UserError, match="not a safetensors file or is truncated"):
        weight_map(tmp_path)


def test_no_tensor_library_is_loaded() -> None:
    code = "import sys, lep.report.special_rows; assert not {'torch', 'transformers', 'safetensors'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
