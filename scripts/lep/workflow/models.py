"""Which models a run has, and which of them are evaluated, measured and described.

Rules, integrity checks, disk plan and cost plan ask these functions, so they always speak of the same models.
"""

from pathlib import Path

from darumeru.specs import GROUPS

from lep.methods import CALIBRATED_METHOD, CONTROLS, parse_controls
from lep.names import ORIGINAL, ROLES, family_of
from lep.workflow.run import Run, folder_of

STAGES = ("foundation", "pretraining", "instruct", "propagation", "calibration")


def adapted(run: Run) -> list[tuple[str, str]]:
    """(family, vocabulary) of every new vocabulary."""
    return [(family, v) for family, settings in run.families.items() for v in settings["vocabularies"]]


def propagated(run: Run) -> list[tuple[str, str]]:
    """(pair, vocabulary) of everything that donors are carried over to; further instruct models come last."""
    return [(pair, v) for pair in (*run.families, *run.further) for v in run.pairs[pair]["vocabularies"]]


def propagation_inputs(run: Run, family: str, vocabulary: str) -> dict[str, str]:
    """The manifests that a propagation reads. A further instruct model takes all but itself from its family."""
    own = family_of(family)
    return {
        "base": run.model(own, "base"),
        "instruct": run.model(family, "instruct"),
        "donor": run.model(own, vocabulary, "donor"),
        "operator": run.manifest("operators", own, vocabulary),
    }


def vocabularies(run: Run) -> dict[str, str]:
    """{family/vocabulary: manifest} of all tokenizers, the original ones too."""
    return {
        f"{family}/{name}": run.vocabulary(family, name)
        for family, settings in run.families.items()
        for name in (ORIGINAL, *settings["vocabularies"])
    }


def pretraining_runs(run: Run) -> dict[str, str]:
    """{family/vocabulary: manifest} of every pre-training run."""
    return {f"{family}/{v}": run.of_seed("pretraining", family, v) for family, v in adapted(run)}


def sweep_runs(run: Run) -> dict[str, dict[str, str]]:
    """{family/vocabulary: {learning rate: manifest}} of the learning-rate sweep."""
    sweep = run.config["pretraining"]["sweep"]
    rates = [f"{rate:g}" for rate in sweep["learning_rates"]]  # 0.0002 and 2e-4 are one run
    return {name: {rate: run.manifest("sweep", name, rate) for rate in rates} for name in sweep["runs"]}


def controls(run: Run, family: str, vocabulary: str) -> list[str]:
    """The controls of the propagation that are made for a vocabulary."""
    wanted = parse_controls(run.config["propagation"]["controls"])
    chosen = vocabulary in run.pairs[family].get("control_vocabularies", ())
    return [name for name in wanted if CONTROLS[name].is_made and chosen]


def calibrations(run: Run, family: str) -> list[tuple[str, str, str]]:
    """(vocabulary, parent, calibration) of every calibrated model of a pair, controls first."""
    settings = run.pairs[family]
    controls = [(ORIGINAL, "instruct", calibration) for calibration in settings["controls"]]
    return controls + [
        (row["vocabulary"], CALIBRATED_METHOD, calibration)
        for row in settings["calibrated"]
        for calibration in row["calibrations"]
    ]


def calibration_parent(run: Run, family: str, vocabulary: str, parent: str) -> str:
    """The manifest of the model that a calibration starts from."""
    return run.model(family, "instruct") if vocabulary == ORIGINAL else run.model(family, vocabulary, parent)


def evaluations(run: Run) -> list[tuple[str, str, str]]:
    """(family, vocabulary, stage) of every evaluation that this seed changes; of the first seed every one."""
    every = not run.place_of_seed or run.config["evaluation"]["generation"]["do_sample"]
    found = []
    for family, settings in run.pairs.items():
        # Base and checkpoints are scored once for all instruct models that share them.
        shared = family in run.further
        roles = ("instruct",) if shared else ("foundation", "instruct")
        steps = ("propagation",) if shared else ("pretraining", "propagation")
        found += [(family, ORIGINAL, stage) for stage in roles if every]
        found += [(family, v, stage) for v in settings["vocabularies"] for stage in steps]
        tuned = dict.fromkeys(vocabulary for vocabulary, _, _ in calibrations(run, family))
        found += [(family, v, "calibration") for v in tuned]
    return found + [(other, ORIGINAL, "instruct") for other in run.comparators if every]


def evaluation_files(run: Run, name: str) -> list[str]:
    """A file of every evaluation with every seed."""
    return [repeat.evaluation(*place, name) for repeat in run.repeats for place in evaluations(repeat)]


def compared_evaluations(run: Run) -> list[tuple[str, str, str]]:
    """(family, vocabulary, stage) of the evaluations that the methods of propagation are compared by.

    The originals belong to them as a control, and where further instruct models are compared with theirs.
    """
    shows_originals = "original" in run.config["propagation"]["controls"] or run.further
    stages = ("propagation", "instruct") if shows_originals else ("propagation",)
    return [place for place in evaluations(run) if place[2] in stages and place[0] in run.pairs]


def compared_files(run: Run, name: str) -> list[str]:
    """A file of each of these evaluations with every seed."""
    return [repeat.evaluation(*place, name) for repeat in run.repeats for place in compared_evaluations(repeat)]


def evaluated_models(run: Run, family: str, vocabulary: str, stage: str) -> dict[str, str]:
    """{name: manifest} of the models that one evaluation scores."""
    if stage in ("foundation", "instruct"):
        role = "base" if stage == "foundation" else "instruct"
        return {f"{family}/{role}": run.model(family, role)}
    if stage == "calibration":
        return {
            "/".join((family, *calibration)): run.calibrated(family, *calibration)
            for calibration in calibrations(run, family)
            if calibration[0] == vocabulary
        }
    steps = run.checkpoints if stage == "pretraining" else [*run.methods_of(family), *controls(run, family, vocabulary)]
    return {f"{family}/{vocabulary}/{step}": run.model(family, vocabulary, step) for step in steps}


def models_of_vocabulary(run: Run, family: str, vocabulary: str) -> dict[str, str]:
    """{name: manifest} of the models with one vocabulary: source models or initial, donor, after LEP; calibrated.

    Of a further instruct model those that it does not share with its family.
    """
    shared = ("base", "init", "donor") if family in run.families else ()
    made = (*run.methods_of(family), *controls(run, family, vocabulary))
    steps = (*shared[:1], "instruct") if vocabulary == ORIGINAL else (*shared[1:], *made)
    place = (family,) if vocabulary == ORIGINAL else (family, vocabulary)
    found = {"/".join((*place, step)): run.model(*place, step) for step in steps}
    return found | evaluated_models(run, family, vocabulary, "calibration")


def measured_languages(run: Run) -> list[str]:
    """The manifests of the measures of languages, one for each vocabulary; none where they are not asked for."""
    if not run.config["evaluation"]["language"]["characters"]:
        return []
    return [
        run.of_seed("language", family, vocabulary)
        for family, settings in run.pairs.items()
        for vocabulary in (ORIGINAL, *settings["vocabularies"])
    ]


def scored_models(run: Run) -> list[str]:
    """Names of all models that this run evaluates."""
    return [name for place in evaluations(run) for name in evaluated_models(run, *place)]


def path_key(name: str) -> str:
    """A model's name as one part of a path."""
    return "--".join(Path(name).parts)


def evaluated_input(run: Run, family: str, vocabulary: str, stage: str, key: str) -> str:
    """The input of one part of an evaluation: a model's manifest or, of a calibrated model, its merged folder."""
    models = evaluated_models(run, family, vocabulary, stage)
    name, manifest = next(item for item in models.items() if path_key(item[0]) == key)
    return run.merged(*Path(name).parts) if stage == "calibration" else manifest


def evaluation_part(run: Run, family: str, vocabulary: str, stage: str, key: str, group: str) -> str:
    """The manifest of one part of an evaluation: one model on one group of tasks."""
    return run.of_seed("evaluation_parts", family, vocabulary, stage, key, group)


def evaluation_parts(run: Run, family: str, vocabulary: str, stage: str) -> list[str]:
    """All parts of an evaluation; none where one job scores the whole stage."""
    if run.config["evaluation"]["jobs"] == "stage":
        return []
    return [
        evaluation_part(run, family, vocabulary, stage, path_key(name), group)
        for name in evaluated_models(run, family, vocabulary, stage)
        for group in GROUPS
    ]


def sampled_models(run: Run) -> dict[str, list[dict[str, str]]]:
    """{family: [{name, path, label}]} of the models of Figure 3: original, after LEP, after calibration."""
    wanted = run.config["report"]["samples"]
    vocabulary, calibration = wanted["vocabulary"], wanted["calibration"]
    tuned = (vocabulary, CALIBRATED_METHOD, calibration)
    found = {}
    for family in run.families:
        if tuned in calibrations(run, family):
            parent = f"{family}/{vocabulary}/{CALIBRATED_METHOD}"
            rows = (
                (f"{family}/instruct", run.model(family, "instruct"), "original"),
                (parent, run.model(family, vocabulary, CALIBRATED_METHOD), "LEP"),
                (f"{parent}/{calibration}", run.calibrated(family, *tuned), "LEP + calibration"),
            )
            found[family] = [{"name": name, "path": folder_of(path), "label": label} for name, path, label in rows]
    return found


def measured_artefacts(run: Run) -> dict[str, dict[str, str]]:
    """{kind: {model: manifest}} of the artefacts whose facts go to metrics.csv."""
    pairs = adapted(run)
    packed = [] if run.adopts_donors else pairs
    return {
        "vocabulary": {f"{f}/{v}": run.vocabulary(f, v) for f, v in pairs},
        "operator": {f"{f}/{v}": run.manifest("operators", f, v) for f, v in pairs},
        "packing": {f"{f}/{v}": run.manifest("packed", f, v) for f, v in packed},
        "pretraining": pretraining_runs(run),
        "propagation": {
            f"{pair}/{v}/{method}": run.model(pair, v, method)
            for pair, v in propagated(run)
            for method in run.methods_of(pair)
        },
        "calibration": {
            "/".join((family, *calibration)): run.calibrated(family, *calibration)
            for family in run.pairs
            for calibration in calibrations(run, family)
        },
    }


def all_manifests(run: Run) -> list[str]:
    """Every artefact that decides a number of the report, for the checks and the identity of the run."""
    sources = [run.model(family, role) for family in run.families for role in ROLES]
    sources += [run.model(pair, "instruct") for pair in run.further]
    sources += [run.model(other, "instruct") for other in run.comparators]
    steps = ("init", *run.checkpoints, "donor")
    found = [run.manifest("corpus"), run.benchmark, *sources]
    for repeat in run.repeats:
        found += [repeat.model(f, v, step) for f, v in adapted(run) for step in (*steps, *controls(run, f, v))]
        found += [manifest for kind in measured_artefacts(repeat).values() for manifest in kind.values()]
        found += [repeat.evaluation(*place) for place in evaluations(repeat)]
    return list(dict.fromkeys(found))


def model_cards(run: Run) -> dict[str, str]:
    """{model: its card} of every adapted model."""
    measured = measured_artefacts(run)
    found = {f"{f}/{v}/donor": run.model(f, v, "donor") for f, v in adapted(run)}
    found |= measured["propagation"] | measured["calibration"]
    return {name: f"{folder_of(manifest)}/README.md" for name, manifest in found.items()}
