"""Included last: a rule with a script repeats when what its script or the library behind it does changes.

Snakemake compares the text of the script alone, and would repeat a rule for a comment. The parameter `code` is a hash
of the script and of all our modules that it imports, without comments (`rerun-triggers: params`; Snakemake 9.27).

What a rule reads from outside of the results is known by its content as well (`lep.workflow.contents`).
"""

for each in workflow.rules:
    if each.script:
        each.set_params(
            code=code_version(ROOT, ROOT / "scripts" / Path(each.script).name)
        )
    if outside := [file for file in each.input if CONTENTS.is_outside(file)]:
        each.set_params(content=CONTENTS.parameter(outside))
