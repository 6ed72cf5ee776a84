"""Rule make_control: give trained rows the instruct model's tokenizer, as Swap does, for a control of Table S1."""

from pathlib import Path

from lep.log import logged
from lep.propagation.propagate import propagate

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        folders = {role: Path(snakemake.input[role]).parent for role in ("base", "instruct", "donor", "operator")}
        propagate(
            **folders,
            targets={"swap": Path(snakemake.output[0]).parent},
            seed=snakemake.params.seed,
            threads=snakemake.threads,
            body=folders["donor"] if snakemake.params.control == "donor_body" else None,
        )
