"""Rule identify_run: compute the id of the run from the manifests of all artefacts and the gathered results."""

from lep.log import logged
from lep.report.run_id import identify_run, label_files

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        identify_run(
            name=snakemake.params.name,
            files=label_files(snakemake.input.files, root=snakemake.params.root),
            target=snakemake.output.run,
        )
