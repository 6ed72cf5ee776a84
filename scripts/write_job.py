"""Rule write_job: write the JSON settings of one expensive job."""

from lep.files import write_json
from lep.log import logged

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        write_json(snakemake.output.job, snakemake.params.job)
