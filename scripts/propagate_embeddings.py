"""Rule propagate_embeddings: an instruct model with adapted matrices, by one method of LEP."""

from pathlib import Path

from lep.log import job
from lep.propagate import propagate

if __name__ == "__main__":
    with job(snakemake.log[0]):
        folders = {role: Path(snakemake.input[role]).parent for role in ("base", "instruct", "donor", "operator")}
        propagate(
            **folders,
            method=snakemake.params.method,
            target=Path(snakemake.output[0]).parent,
            seed=snakemake.params.seed,
            threads=snakemake.threads,
            device=snakemake.params.device,
        )
