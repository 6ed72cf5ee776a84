"""Rule compare_methods: compare all methods of propagation with Conversion."""

from lep.log import logged
from lep.report.methods_compared import compare_methods
from lep.report.run_id import read_run

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        compare_methods(
            **{name: snakemake.params[name] for name in ("families", "methods", "controls", "draws", "seed")},
            **{name: snakemake.input[name] for name in ("scores", "samples")},
            outputs={name: snakemake.output[name] for name in ("csv", "md")},
            run=read_run(snakemake.input.run),
        )
