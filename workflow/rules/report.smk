# From records to tables, figures and the page. No GPU and no torch here.
COLLECTED = [f"results/{name}" for name in FRAMES]
CLAIM_FILES = [f"results/tables/{name}" for name in CLAIMS]


localrules:
    plan,
    collect,
    table,
    claims,
    tune,
    figure,
    report,


# Whether results/ shows this suite is decided when Snakemake starts; the clock says so (ddcl/plan/clock.py).
rule plan:
    input:
        str(clock_path(RULES.plan)),
    output:
        "results/suite.json",
    log:
        "results/logs/plan.log",
    conda:
        "../../environment.yml"
    params:
        plan=RULES.plan.text,
    shell:
        # through standard input: a plan can be longer than an argument may be
        "exec python -m ddcl write --json - --output {output:q} <<< {params.plan:q} > {log:q} 2>&1"


rule collect:
    input:
        plan="results/suite.json",
        records=RULES.collected,
    output:
        records="results/records.parquet",
        histories="results/histories.parquet",
        runs="results/runs.json",
    log:
        "results/logs/collect.log",
    conda:
        "../../environment.yml"
    params:
        code=RULES.collect_code(),
        results=subpath(output.records, parent=True),
    shell:
        "exec python -m ddcl collect --results {params.results:q} > {log:q} 2>&1"


rule table:
    input:
        COLLECTED,
    output:
        report(
            "results/tables/{table}.csv",
            caption="../report/table.rst",
            category="Tables",
            subcategory=RULES.heading,
            labels={"table": "{table}", "format": "long CSV"},
        ),
        report(
            "results/tables/{table}.html",
            caption="../report/table.rst",
            category="Tables",
            subcategory=RULES.heading,
            labels={"table": "{table}", "format": "HTML"},
        ),
        "results/tables/{table}.md",
        "results/tables/{table}.tex",
    log:
        "results/logs/table_{table}.log",
    conda:
        "../../environment.yml"
    params:
        code=RULES.page_code(),
        results=subpath(output[0], ancestor=2),
        title=RULES.table_title,
        caption=RULES.table_caption,
    shell:
        "exec python -m ddcl table {wildcards.table} --results {params.results:q} > {log:q} 2>&1"


# Also reads the predictions beside the records.
rule claims:
    input:
        COLLECTED,
    output:
        report(
            "results/tables/claims.csv",
            caption="../report/claims.rst",
            category="Claims",
            labels={"table": "claims", "format": "csv"},
        ),
        CLAIM_FILES[1:],
    log:
        "results/logs/claims.log",
    conda:
        "../../environment.yml"
    params:
        code=RULES.report_code(),
        results=subpath(output[0], ancestor=2),
    shell:
        "exec python -m ddcl claims --results {params.results:q} > {log:q} 2>&1"


# The choice of a tuning suite; `config/tuned` is where it is put to use.
rule tune:
    input:
        COLLECTED,
    output:
        [f"results/tables/{name}" for name in TUNING],
    log:
        "results/logs/tune.log",
    conda:
        "../../environment.yml"
    params:
        code=RULES.report_code(),
        results=subpath(output[0], ancestor=2),
    shell:
        "exec python -m ddcl tune --results {params.results:q} > {log:q} 2>&1"


rule figure:
    input:
        COLLECTED,
        RULES.figure_input,
    output:
        report(
            "results/figures/{figure}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}", "format": "PNG"},
        ),
        "results/figures/{figure}.pdf",
        "results/figures/{figure}.svg",
    log:
        "results/logs/figure_{figure}.log",
    conda:
        "../../environment.yml"
    params:
        code=RULES.report_code(),
        results=subpath(output[0], ancestor=2),
        caption=RULES.figure_caption,
    shell:
        "exec python -m ddcl figure {wildcards.figure} --results {params.results:q} > {log:q} 2>&1"


rule report:
    input:
        COLLECTED,
        expand("results/tables/{table}.csv", table=RULES.plan.tables),
        expand(
            "results/figures/{figure}.png",
            figure=[*RULES.plan.figures, *RULES.pictures],
        ),
        CLAIM_FILES if RULES.plan.claims else [],
    output:
        report(
            "results/report/index.html",
            caption="../report/page.rst",
            category="Report",
            labels={"page": "report"},
        ),
        "results/tables/README.md",
    log:
        "results/logs/report.log",
    conda:
        "../../environment.yml"
    params:
        code=RULES.page_code(),
        results=subpath(output[0], ancestor=2),
    shell:
        "exec python -m ddcl report --results {params.results:q} > {log:q} 2>&1"
