"""Write the JSON configuration of one expensive job."""

from lep.log import job
from lep.manifest import write_json

if __name__ == "__main__":
    with job(snakemake.log[0]):
        write_json(snakemake.output.job, snakemake.params.job)
