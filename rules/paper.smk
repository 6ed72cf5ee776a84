"""Tables, figures, claims, checks and the PDF (paper section 3); table and figure numbers are given here alone."""


rule gather_scores:
    input:
        scores=[f"{folder}/scores.csv" for folder in evaluation_folders()],
    output:
        scores=f"{RESULTS}/scores.csv",
    log:
        logs("gather_scores"),
    conda:
        "../envs/report.yaml"
    message:
        "Gathering all scores"
    script:
        "../scripts/gather_scores.py"


rule gather_metrics:
    input:
        manifests=[
            manifest
            for artefacts in measured().values()
            for manifest in artefacts.values()
        ],
        vocabularies=rules.measure_vocabularies.output.metrics,
    output:
        metrics=f"{RESULTS}/metrics.csv",
    log:
        logs("gather_metrics"),
    conda:
        "../envs/report.yaml"
    params:
        artefacts=measured(),
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
            PUBLISHED,
            *all_manifests(),
        ],
    output:
        run=f"{RESULTS}/run.json",
    log:
        logs("identify_run"),
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
            f"{RESULTS}/config.yaml",
            caption="report/config.rst",
            category="Configuration",
        ),
    log:
        logs("record_config"),
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
        published=PUBLISHED,
        run=rules.identify_run.output.run,
    output:
        csv=report(
            f"{RESULTS}/tables/table{{number}}.csv",
            caption="report/table.rst",
            category="Tables",
            labels={"table": "{number}"},
        ),
        tidy=f"{RESULTS}/tables/table{{number}}.tidy.csv",
        md=f"{RESULTS}/tables/table{{number}}.md",
        tex=f"{RESULTS}/tables/table{{number}}.tex",
        typ=f"{RESULTS}/tables/table{{number}}.typ",
    log:
        logs("make_table/{number}"),
    conda:
        "../envs/report.yaml"
    params:
        **row_settings(),
    message:
        "Table {wildcards.number}"
    script:
        "../scripts/make_table.py"


rule plot_figure1:
    input:
        scores=rules.gather_scores.output.scores,
        published=PUBLISHED,
        run=rules.identify_run.output.run,
    output:
        pdf=f"{RESULTS}/figures/figure1.pdf",
        png=report(
            f"{RESULTS}/figures/figure1.png",
            caption="report/figure1.rst",
            category="Figures",
            labels={"figure": "1: best models"},
        ),
        csv=f"{RESULTS}/figures/figure1.csv",
    log:
        logs("plot_figure1"),
    conda:
        "../envs/report.yaml"
    params:
        **row_settings(),
    message:
        "Figure 1: Micro-Avg of the best models"
    script:
        "../scripts/plot_figure1.py"


rule plot_figure2:
    input:
        scores=rules.gather_scores.output.scores,
        published=PUBLISHED,
        run=rules.identify_run.output.run,
    output:
        pdf=f"{RESULTS}/figures/figure2.pdf",
        png=report(
            f"{RESULTS}/figures/figure2.png",
            caption="report/figure2.rst",
            category="Figures",
            labels={"figure": "2: Micro-Avg over training steps"},
        ),
        csv=f"{RESULTS}/figures/figure2.csv",
    log:
        logs("plot_figure2"),
    conda:
        "../envs/report.yaml"
    params:
        **row_settings(),
    message:
        "Figure 2: Micro-Avg over training steps"
    script:
        "../scripts/plot_figure2.py"


rule plot_figure3:
    input:
        samples=rules.sample_answers.output.samples,
        run=rules.identify_run.output.run,
    output:
        pdf=f"{RESULTS}/figures/figure3.pdf",
        png=report(
            f"{RESULTS}/figures/figure3.png",
            caption="report/figure3.rst",
            category="Figures",
            labels={"figure": "3: sample answers"},
        ),
        csv=f"{RESULTS}/figures/figure3.csv",
    log:
        logs("plot_figure3"),
    conda:
        "../envs/report.yaml"
    params:
        families=reported_families(),
    message:
        "Figure 3: sample answers"
    script:
        "../scripts/plot_figure3.py"


rule plot_symbols:
    input:
        scores=rules.gather_scores.output.scores,
        metrics=rules.gather_metrics.output.metrics,
        published=PUBLISHED,
        run=rules.identify_run.output.run,
    output:
        pdf=f"{RESULTS}/figures/symbols_per_token.pdf",
        png=report(
            f"{RESULTS}/figures/symbols_per_token.png",
            caption="report/symbols_per_token.rst",
            category="Figures",
            labels={"figure": "symbols per token"},
        ),
        csv=f"{RESULTS}/figures/symbols_per_token.csv",
    log:
        logs("plot_symbols"),
    conda:
        "../envs/report.yaml"
    params:
        **row_settings(),
    message:
        "Symbols per token against Micro-Avg"
    script:
        "../scripts/plot_symbols.py"


rule list_errors:
    input:
        samples=[
            f"{RESULTS}/evaluation/{family}/{config['report']['samples']['vocabulary']}/calibration/samples.jsonl.gz"
            for family in sampled_models()
        ],
        run=rules.identify_run.output.run,
    output:
        csv=f"{RESULTS}/tables/errors.csv",
        md=f"{RESULTS}/tables/errors.md",
    log:
        logs("list_errors"),
    conda:
        "../envs/evaluate.yaml"
    params:
        models=[models[-1]["name"] for models in sampled_models().values()],
        per_task=config["report"]["errors_per_task"],
    message:
        "Listing wrong answers"
    script:
        "../scripts/list_errors.py"


rule compute_claims:
    input:
        scores=rules.gather_scores.output.scores,
        metrics=rules.gather_metrics.output.metrics,
        published=PUBLISHED,
        samples=[f"{folder}/samples.jsonl.gz" for folder in evaluation_folders()],
        run=rules.identify_run.output.run,
    output:
        claims=report(
            f"{RESULTS}/claims.csv", caption="report/claims.rst", category="Claims"
        ),
    log:
        logs("compute_claims"),
    benchmark:
        times("compute_claims")
    conda:
        "../envs/evaluate.yaml"
    params:
        families=reported_families(),
        draws=config["evaluation"]["bootstrap_draws"],
        seed=config["seed"],
    message:
        "Computing the paper's claims"
    script:
        "../scripts/compute_claims.py"


rule write_model_cards:
    input:
        scores=[rules.gather_scores.output.scores] if BENCHMARKED else [],
        manifests=[
            f"{Path(card).parent}/manifest.json" for card in model_cards().values()
        ],
    output:
        list(model_cards().values()),
    log:
        logs("write_model_cards"),
    conda:
        "../envs/report.yaml"
    params:
        cards=model_cards(),
        families=reported_families(),
        origins=card_origins(),
        languages=list(LANGUAGES),
    message:
        "Writing the model cards"
    script:
        "../scripts/write_model_cards.py"


# The adapted models alone, without the report.
rule models:
    input:
        model_outputs(),


rule run_checks:
    input:
        scores=rules.gather_scores.output.scores,
        metrics=rules.gather_metrics.output.metrics,
        published=PUBLISHED,
        training=documents("train"),
        heldout=[
            documents("validation"),
            documents("benchmark"),
        ],
        manifests=all_manifests(),
        tables=expand(f"{RESULTS}/tables/table{{number}}.md", number=TABLES),
        run=rules.identify_run.output.run,
    output:
        checks=f"{RESULTS}/checks/checks.xml",
    log:
        logs("run_checks"),
    benchmark:
        times("run_checks")
    conda:
        "../envs/report.yaml"
    params:
        **row_settings(),
        propagated={
            model(f, v, method): model(f, "instruct")
            for f, v in adapted()
            for method in METHODS
        },
        donors={f"{f}/{v}": model(f, v, "donor") for f, v in adapted()},
    message:
        "Checking the integrity of the run"
    script:
        "../scripts/run_checks.py"


rule build_report:
    input:
        source=sorted(str(path) for path in Path("paper").glob("*.typ")),
        tables=expand(f"{RESULTS}/tables/table{{number}}.typ", number=TABLES),
        figures=[
            *expand(f"{RESULTS}/figures/{{figure}}.pdf", figure=FIGURES),
            training_figures()["all"]["pdf"],
        ],
        search=search_table()[:1],
        scores=rules.gather_scores.output.scores,
        metrics=rules.gather_metrics.output.metrics,
        published=PUBLISHED,
        claims=rules.compute_claims.output.claims,
        errors=rules.list_errors.output.csv,
        checks=rules.run_checks.output.checks,
        manifests=all_manifests(),
        requirements="requirements.txt",
        run=rules.identify_run.output.run,
    output:
        pdf=report(
            f"{RESULTS}/paper/paper.pdf", caption="report/paper.rst", category="Report"
        ),
    log:
        logs("build_report"),
    conda:
        "../envs/report.yaml"
    params:
        **row_settings(),
        settings=report_settings(),
    message:
        "Building the PDF"
    script:
        "../scripts/build_report.py"
