"""Rule compare_methods: compare all methods of propagation, and the instruct models that share a donor."""

from lep.log import logged
from lep.report.instructs_compared import compare_instructs
from lep.report.methods_compared import compare_methods
from lep.report.run_id import read_run

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        given = {name: snakemake.params[name] for name in ("families", "methods", "draws", "seed")}
        given |= {name: snakemake.input[name] for name in ("scores", "samples")}
        given |= {"run": read_run(snakemake.input.run)}
        outputs = dict(snakemake.output.items())
        compare_methods(**given, outputs=outputs, controls=snakemake.params.controls)
        if "instructs_csv" in outputs:
            compare_instructs(**given, outputs={kind: outputs[f"instructs_{kind}"] for kind in ("csv", "md")})
