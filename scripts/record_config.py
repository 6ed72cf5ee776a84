"""Rule record_config: the configuration of the run with its overlays merged."""

import yaml
from lep.log import job
from lep.manifest import write_text

if __name__ == "__main__":
    with job(snakemake.log[0]):
        text = yaml.safe_dump(snakemake.params.config, sort_keys=False, allow_unicode=True, width=110)
        write_text(snakemake.output.config, text)
