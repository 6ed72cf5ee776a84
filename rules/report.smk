"""Tables, figures, claims, checks and the PDF (paper section 3); only here tables and figures have numbers."""

from lep.report.claim_list import KINDS

TABLES = [1, 2, 3, 4]
SAMPLED = config["report"]["samples"]["vocabulary"]
FIGURES = ["figure1", "figure2", "figure3", "symbols_per_token", "methods"]
# {kind of claims: {format: path}}
CLAIM_FIGURES = {
    kind: {
        format: f"{RUN.results}/figures/claims_{kind}.{format}"
        for format in ("pdf", "png", "csv")
    }
    for kind in KINDS
}


rule gather_scores:
    input:
        scores=models.evaluation_files(RUN, "scores.csv"),
        # Of several seeds the answers too, for intervals over seeds and items.
        samples=(
            models.evaluation_files(RUN, "samples.jsonl.gz")
            if len(RUN.seeds) > 1
            else []
        ),
    output:
        scores="<results>/scores.csv",
    log:
        "<logs>/gather_scores.log",
    localrule: True
    conda:
        "../envs/evaluate.yaml"
    params:
        draws=config["evaluation"]["bootstrap_draws"],
        seed=config["seed"],
    message:
        "Gathering all scores"
    script:
        "../scripts/gather_scores.py"


rule gather_metrics:
    input:
        manifests=[
            manifest
            for artefacts in models.measured_artefacts(RUN).values()
            for manifest in artefacts.values()
        ],
        vocabularies=rules.measure_vocabularies.output.metrics,
    output:
        metrics="<results>/metrics.csv",
    log:
        "<logs>/gather_metrics.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        artefacts=models.measured_artefacts(RUN),
    message:
        "Gathering facts about vocabularies, runs and fits"
    script:
        "../scripts/gather_metrics.py"


rule identify_run:
    input:
        files=[
            rules.gather_scores.output.scores,
            rules.gather_metrics.output.metrics,
            rules.sample_answers.output.samples,
            "data/published_scores.csv",
            *models.all_manifests(RUN),
        ],
    output:
        run="<results>/run_id.json",
    log:
        "<logs>/identify_run.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        name=config["scale"],
        root=lambda wildcards, output: str(Path(output.run).parent),
    message:
        "Giving the run its id"
    script:
        "../scripts/identify_run.py"


rule record_config:
    output:
        config=report(
            "<results>/config.yaml",
            caption="report/config.rst",
            category="Configuration",
        ),
    log:
        "<logs>/record_config.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        config=config,
    message:
        "Recording the configuration"
    script:
        "../scripts/record_config.py"


rule make_table:
    input:
        scores=rules.gather_scores.output.scores,
        metrics=rules.gather_metrics.output.metrics,
        published="data/published_scores.csv",
        run=rules.identify_run.output.run,
    output:
        csv=report(
            "<results>/tables/table{number}.csv",
            caption="report/table.rst",
            category="Tables",
            labels={"table": "{number}"},
        ),
        tidy="<results>/tables/table{number}.tidy.csv",
        md="<results>/tables/table{number}.md",
        tex="<results>/tables/table{number}.tex",
        typ="<results>/tables/table{number}.typ",
    log:
        "<logs>/make_table/{number}.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        **recipes.rows(RUN),
    message:
        "Table {wildcards.number}"
    script:
        "../scripts/make_table.py"


rule plot_figure1:
    input:
        scores=rules.gather_scores.output.scores,
        published="data/published_scores.csv",
        run=rules.identify_run.output.run,
    output:
        pdf="<results>/figures/figure1.pdf",
        png=report(
            "<results>/figures/figure1.png",
            caption="report/figure1.rst",
            category="Figures",
            labels={"figure": "1: best models"},
        ),
        csv="<results>/figures/figure1.csv",
    log:
        "<logs>/plot_figure1.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        **recipes.rows(RUN),
    message:
        "Figure 1: Micro-Avg of the best models"
    script:
        "../scripts/plot_figure1.py"


rule plot_figure2:
    input:
        scores=rules.gather_scores.output.scores,
        published="data/published_scores.csv",
        run=rules.identify_run.output.run,
    output:
        pdf="<results>/figures/figure2.pdf",
        png=report(
            "<results>/figures/figure2.png",
            caption="report/figure2.rst",
            category="Figures",
            labels={"figure": "2: Micro-Avg over training steps"},
        ),
        csv="<results>/figures/figure2.csv",
    log:
        "<logs>/plot_figure2.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        **recipes.rows(RUN),
    message:
        "Figure 2: Micro-Avg over training steps"
    script:
        "../scripts/plot_figure2.py"


rule plot_figure3:
    input:
        samples=rules.sample_answers.output.samples,
        run=rules.identify_run.output.run,
    output:
        pdf="<results>/figures/figure3.pdf",
        png=report(
            "<results>/figures/figure3.png",
            caption="report/figure3.rst",
            category="Figures",
            labels={"figure": "3: sample answers"},
        ),
        csv="<results>/figures/figure3.csv",
    log:
        "<logs>/plot_figure3.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        families=recipes.families(RUN),
    message:
        "Figure 3: sample answers"
    script:
        "../scripts/plot_figure3.py"


rule plot_symbols:
    input:
        scores=rules.gather_scores.output.scores,
        metrics=rules.gather_metrics.output.metrics,
        published="data/published_scores.csv",
        run=rules.identify_run.output.run,
    output:
        pdf="<results>/figures/symbols_per_token.pdf",
        png=report(
            "<results>/figures/symbols_per_token.png",
            caption="report/symbols_per_token.rst",
            category="Figures",
            labels={"figure": "symbols per token"},
        ),
        csv="<results>/figures/symbols_per_token.csv",
    log:
        "<logs>/plot_symbols.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        **recipes.rows(RUN),
    message:
        "Symbols per token against Micro-Avg"
    script:
        "../scripts/plot_symbols.py"


rule list_wrong_answers:
    input:
        samples=[
            RUN.evaluation(family, SAMPLED, "calibration", "samples.jsonl.gz")
            for family in models.sampled_models(RUN)
        ],
        run=rules.identify_run.output.run,
    output:
        csv="<results>/tables/wrong_answers.csv",
        md="<results>/tables/wrong_answers.md",
    log:
        "<logs>/list_wrong_answers.log",
    localrule: True
    conda:
        "../envs/evaluate.yaml"
    params:
        models=[shown[-1]["name"] for shown in models.sampled_models(RUN).values()],
        per_task=config["report"]["errors_per_task"],
    message:
        "Listing wrong answers"
    script:
        "../scripts/list_wrong_answers.py"


rule compute_claims:
    input:
        scores=rules.gather_scores.output.scores,
        metrics=rules.gather_metrics.output.metrics,
        published="data/published_scores.csv",
        samples=models.evaluation_files(RUN, "samples.jsonl.gz"),
        run=rules.identify_run.output.run,
    output:
        claims=report(
            "<results>/claims.csv", caption="report/claims.rst", category="Claims"
        ),
    log:
        "<logs>/compute_claims.log",
    benchmark:
        "<benchmarks>/compute_claims.tsv"
    conda:
        "../envs/evaluate.yaml"
    params:
        families=recipes.families(RUN),
        methods=RUN.methods,
        draws=config["evaluation"]["bootstrap_draws"],
        seed=config["seed"],
    message:
        "Computing the paper's claims"
    script:
        "../scripts/compute_claims.py"


rule plot_claims:
    input:
        claims=rules.compute_claims.output.claims,
        run=rules.identify_run.output.run,
    output:
        png=report(
            [files["png"] for files in CLAIM_FIGURES.values()],
            caption="report/claim_figures.rst",
            category="Claims",
        ),
        others=[
            files[kind] for files in CLAIM_FIGURES.values() for kind in ("pdf", "csv")
        ],
    log:
        "<logs>/plot_claims.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        figures=CLAIM_FIGURES,
    message:
        "Drawing the differences behind the claims"
    script:
        "../scripts/plot_claims.py"


# Where an instruct model shares the donors of another one.
INSTRUCTS = {
    kind: f"{RUN.results}/tables/instructs.{kind}"
    for kind in ("csv", "md")
    if RUN.further
}


rule compare_methods:
    input:
        scores=rules.gather_scores.output.scores,
        samples=models.compared_files(RUN, "samples.jsonl.gz"),
        run=rules.identify_run.output.run,
    output:
        **{f"instructs_{kind}": path for kind, path in INSTRUCTS.items()},
        csv=report(
            "<results>/tables/methods.csv",
            caption="report/methods.rst",
            category="Tables",
            labels={"table": "S1: methods of propagation"},
        ),
        md="<results>/tables/methods.md",
    log:
        "<logs>/compare_methods.log",
    benchmark:
        "<benchmarks>/compare_methods.tsv"
    conda:
        "../envs/evaluate.yaml"
    params:
        families=recipes.families(RUN),
        methods=RUN.methods,
        controls=config["propagation"]["controls"],
        draws=config["evaluation"]["bootstrap_draws"],
        seed=config["seed"],
    message:
        "Comparing the methods of propagation, and instruct models that share a donor"
    script:
        "../scripts/compare_methods.py"


rule plot_methods:
    input:
        compared=rules.compare_methods.output.csv,
        run=rules.identify_run.output.run,
    output:
        pdf="<results>/figures/methods.pdf",
        png=report(
            "<results>/figures/methods.png",
            caption="report/methods.rst",
            category="Figures",
            labels={"figure": "methods of propagation"},
        ),
        csv="<results>/figures/methods.csv",
    log:
        "<logs>/plot_methods.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        families=recipes.families(RUN),
    message:
        "Methods of propagation against Conversion"
    script:
        "../scripts/plot_methods.py"


LANGUAGES = models.measured_languages(RUN)


rule make_language_table:
    input:
        manifests=LANGUAGES,
        run=rules.identify_run.output.run,
    output:
        **(
            {"speed": "<results>/tables/speed.csv"}
            if config["evaluation"]["language"]["speed_tokens"]
            else {}
        ),
        csv="<results>/tables/language.csv",
        md=report(
            "<results>/tables/language.md",
            caption="report/language.rst",
            category="Tables",
            labels={"table": "languages"},
        ),
    log:
        "<logs>/make_language_table.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    message:
        "Making the table of the languages"
    script:
        "../scripts/make_language_table.py"


rule plot_language:
    input:
        measures=rules.make_language_table.output.csv,
        run=rules.identify_run.output.run,
    output:
        pdf="<results>/figures/language.pdf",
        png=report(
            "<results>/figures/language.png",
            caption="report/language.rst",
            category="Figures",
            labels={"figure": "languages"},
        ),
        csv="<results>/figures/language.csv",
    log:
        "<logs>/plot_language.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        families=recipes.families(RUN),
    message:
        "What models know of their languages"
    script:
        "../scripts/plot_language.py"


rule write_model_cards:
    input:
        scores=[rules.gather_scores.output.scores] if RUN.is_benchmarked else [],
        manifests=[
            f"{Path(card).parent}/manifest.json"
            for card in models.model_cards(RUN).values()
        ],
    output:
        list(models.model_cards(RUN).values()),
    log:
        "<logs>/write_model_cards.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        cards=models.model_cards(RUN),
        families=recipes.families(RUN),
        origins=recipes.card_origins(RUN),
        languages=list(RUN.languages),
    message:
        "Writing the model cards"
    script:
        "../scripts/write_model_cards.py"


# The adapted models with their cards, and what is known of them without a benchmark.
ADAPTED = [
    *models.model_cards(RUN).values(),
    rules.plot_data_card.output.png,
    rules.report_vocabularies.output.md,
    CURVES["all"]["png"],
]


# The adapted models alone, without the report.
rule models:
    input:
        ADAPTED,
    localrule: True


rule run_checks:
    input:
        scores=rules.gather_scores.output.scores,
        metrics=rules.gather_metrics.output.metrics,
        published="data/published_scores.csv",
        overlaps=expand("<results>/parts/overlap/{part}.json", part=PARTS),
        tables=expand("<results>/tables/table{number}.md", number=TABLES),
        evaluations=rules.gather_scores.input.scores,
        answers=models.evaluation_files(RUN, "samples.jsonl.gz"),
        run=rules.identify_run.output.run,
    output:
        checks="<results>/checks/checks.xml",
    log:
        "<logs>/run_checks.log",
    benchmark:
        "<benchmarks>/run_checks.tsv"
    conda:
        "../envs/report.yaml"
    params:
        families=recipes.families(RUN),
        propagated={
            repeat.model(pair, v, method): RUN.model(pair, "instruct")
            for repeat in RUN.repeats
            for pair, v in models.propagated(RUN)
            for method in RUN.methods_of(pair)
        },
        donors={
            repeat.model(family, v, "donor"): repeat.evaluation(
                family, v, "pretraining", "scores.csv"
            )
            for repeat in RUN.repeats
            for family, v in models.adapted(RUN)
        },
        models=models.scored_models(RUN),
    message:
        "Checking the integrity of the run"
    script:
        "../scripts/run_checks.py"


rule build_report:
    input:
        source=sorted(str(path) for path in Path("paper").glob("*.typ")),
        tables=expand("<results>/tables/table{number}.typ", number=TABLES),
        figures=[
            *expand("<results>/figures/{figure}.pdf", figure=FIGURES),
            *(files["pdf"] for files in CLAIM_FIGURES.values()),
            CURVES["all"]["pdf"],
            *([rules.plot_language.output.pdf] if LANGUAGES else []),
        ],
        language=rules.make_language_table.output.csv if LANGUAGES else [],
        sweep=rules.make_sweep_table.output.csv if SWEEP else [],
        scores=rules.gather_scores.output.scores,
        metrics=rules.gather_metrics.output.metrics,
        published="data/published_scores.csv",
        claims=rules.compute_claims.output.claims,
        errors=rules.list_wrong_answers.output.csv,
        methods_compared=rules.compare_methods.output.csv,
        instructs=INSTRUCTS.get("csv", []),
        checks=rules.run_checks.output.checks,
        requirements="requirements.txt",
        run=rules.identify_run.output.run,
    output:
        pdf=report(
            "<results>/paper/paper.pdf", caption="report/paper.rst", category="Report"
        ),
    log:
        "<logs>/build_report.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        **recipes.rows(RUN),
        settings=recipes.report(RUN),
    message:
        "Building the PDF"
    script:
        "../scripts/build_report.py"


# Everything that a run with a benchmark makes.
FINAL = [
    *ADAPTED,
    *expand(
        "<results>/tables/table{number}.{format}",
        number=TABLES,
        format=["csv", "tidy.csv", "md", "tex"],
    ),
    *expand(
        "<results>/figures/{figure}.{format}",
        figure=FIGURES,
        format=["pdf", "png", "csv"],
    ),
    *rules.plot_claims.output,
    *(rules.make_sweep_table.output if SWEEP else []),
    *(
        [*rules.make_language_table.output, *rules.plot_language.output]
        if LANGUAGES
        else []
    ),
    rules.gather_scores.output.scores,
    rules.gather_metrics.output.metrics,
    rules.identify_run.output.run,
    rules.record_config.output.config,
    rules.compute_claims.output.claims,
    *rules.compare_methods.output,
    rules.run_checks.output.checks,
    rules.build_report.output.pdf,
]
