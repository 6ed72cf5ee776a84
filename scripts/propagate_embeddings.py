"""Rule propagate_embeddings: transfer adapted matrices to the instruct model, by each method of LEP."""

from pathlib import Path

from lep.log import logged
from lep.propagation.fit import MapSettings
from lep.propagation.propagate import propagate

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        folders = {role: Path(snakemake.input[role]).parent for role in ("base", "instruct", "donor", "operator")}
        propagate(
            **folders,
            targets={m: Path(path).parent for m, path in zip(snakemake.params.methods, snakemake.output, strict=True)},
            seed=snakemake.params.seed,
            threads=snakemake.threads,
            device=snakemake.params.device,
            token_text=snakemake.params.token_text,
            maps=MapSettings(snakemake.params.ridge_penalty, snakemake.params.own),
        )
