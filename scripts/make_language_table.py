"""Rule make_language_table: join what was measured of all models."""

from pathlib import Path

from lep.log import logged
from lep.report.language_table import write_language_table
from lep.report.run_id import read_run

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        write_language_table(
            folders=[Path(path).parent for path in snakemake.input.manifests],
            outputs={name: Path(path) for name, path in snakemake.output.items()},
            run=read_run(snakemake.input.run),
        )
