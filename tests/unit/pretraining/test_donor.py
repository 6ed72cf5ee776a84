"""The donor is the checkpoint with the best Micro-Avg, the later one of equals."""

import os
from pathlib import Path

import pytest
from lep.config import UserError
from lep.manifest import publish, staging, verify
from lep.pretraining.donor import select_donor

HEADER = "model,step,shots,level,name,metric,value\n"


def write_scores(path: Path, values: dict[str, float]) -> Path:
    rows = [f"llama/bpe/{name},{10 * i},5,micro,micro_avg,score,{v}\n" for i, (name, v) in enumerate(values.items(), 1)]
    noise = "llama/bpe/cpt-025,10,5,task,parus,score,0.99\nllama/base,,5,micro,micro_avg,score,0.99\n"
    path.write_text(HEADER + noise + "".join(rows))
    return path


@pytest.mark.parametrize(
    ("values", "chosen", "final"),
    [
        ({"cpt-025": 0.3, "cpt-050": 0.5, "cpt-100": 0.4}, "cpt-050", 0.4),
        ({"cpt-025": 0.5, "cpt-050": 0.5, "cpt-100": 0.4}, "cpt-050", 0.4),
        ({"cpt-025": 0.1, "cpt-050": 0.2, "cpt-100": 0.2}, "cpt-100", 0.2),
    ],
)
def test_the_best_checkpoint(tmp_path: Path, values: dict, chosen: str, final: float) -> None:
    for name in values:
        built = staging(tmp_path / "models" / name)
        (built / "embeddings.safetensors").write_text(name)
        publish(built, tmp_path / "models" / name, recipe_version=1, facts={"rows": 7})
    scores = write_scores(tmp_path / "scores.csv", values)
    select_donor(scores, tmp_path / "models", tmp_path / "donor")
    facts = verify(tmp_path / "donor")["facts"]
    assert facts == {"rows": 7, "checkpoint": chosen, "score": values[chosen], "final_score": final}
    source = tmp_path / "models" / chosen / "embeddings.safetensors"
    assert os.path.samefile(source, tmp_path / "donor/embeddings.safetensors")


def test_without_scores_the_last_checkpoint(tmp_path: Path) -> None:
    for name in ("cpt-050", "cpt-100"):
        publish(staging(tmp_path / "models" / name), tmp_path / "models" / name, recipe_version=1, facts={"rows": 7})
    select_donor(None, tmp_path / "models", tmp_path / "donor")
    assert verify(tmp_path / "donor")["facts"] == {"rows": 7, "checkpoint": "cpt-100"}


def test_scores_without_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="evaluate them first"):
        select_donor(write_scores(tmp_path / "scores.csv", {}), tmp_path, tmp_path / "donor")
