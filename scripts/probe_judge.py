"""Rule probe_judge: ask the judge for one grade."""

from lep.calibration.endpoint_judge import probe
from lep.calibration.grading import JudgeSettings
from lep.config import parse_job
from lep.files import write_json
from lep.log import logged

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        judge = parse_job(JudgeSettings, dict(snakemake.params.judge), "calibration.judge")
        write_json(snakemake.output.reply, {"model": judge.model, "grade": probe(judge)})
