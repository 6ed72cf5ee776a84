"""Rule measure_vocabularies: symbols per token of every vocabulary on held-out text."""

from pathlib import Path

from lep.log import job
from lep.symbols import measure_vocabularies

if __name__ == "__main__":
    with job(snakemake.log[0]):
        folders = [Path(path).parent for path in snakemake.input.tokenizers]
        measure_vocabularies(
            tokenizers=dict(zip(snakemake.params.names, folders, strict=True)),
            documents=Path(snakemake.input.documents),
            target=Path(snakemake.output.metrics),
        )
