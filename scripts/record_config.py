"""Rule record_config: record the configuration of the run with its overlays merged."""

import yaml
from lep.files import write_text
from lep.log import logged

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        text = yaml.safe_dump(snakemake.params.config, sort_keys=False, allow_unicode=True, width=110)
        write_text(snakemake.output.config, text)
