# From records to tables, figures and the page. No GPU and no torch here.
FRAMES = multiext(
    "results/", "records.parquet", "histories.parquet", "runs.json", "suite.json"
)


CLAIMS = [
    "results/tables/claims.csv",
    "results/tables/claims.md",
    "results/tables/claims.tex",
    "results/tables/claim_checks.csv",
    "results/tables/claim_comparisons.csv",
    "results/tables/macros.tex",
]


localrules:
    plan,
    collect,
    table,
    claims,
    figure,
    report,


rule plan:
    output:
        "results/suite.json",
    log:
        "results/logs/plan.log",
    conda:
        "../../environment.yml"
    params:
        plan=plan_json,
    shell:
        # through standard input: a plan can be longer than an argument may be
        "exec python -m ddcl write --json - --output {output} <<< {params.plan:q} > {log} 2>&1"


rule collect:
    input:
        plan="results/suite.json",
        records=record_files,
    output:
        records="results/records.parquet",
        histories="results/histories.parquet",
        runs="results/runs.json",
    log:
        "results/logs/collect.log",
    conda:
        "../../environment.yml"
    params:
        code=collect_digest(),
    shell:
        "exec python -m ddcl collect > {log} 2>&1"


rule table:
    input:
        FRAMES,
    output:
        report(
            "results/tables/{table}.csv",
            caption="../report/table.rst",
            category="Tables",
            subcategory=table_group,
            labels={"table": "{table}", "format": "long CSV"},
        ),
        report(
            "results/tables/{table}.html",
            caption="../report/table.rst",
            category="Tables",
            subcategory=table_group,
            labels={"table": "{table}", "format": "HTML"},
        ),
        "results/tables/{table}.md",
        "results/tables/{table}.tex",
    log:
        "results/logs/table_{table}.log",
    conda:
        "../../environment.yml"
    params:
        code=page_digest(),
        title=table_title,
        caption=table_caption,
    shell:
        "exec python -m ddcl table {wildcards.table} > {log} 2>&1"


# Also reads the predictions beside the records.
rule claims:
    input:
        FRAMES,
    output:
        report(
            "results/tables/claims.csv",
            caption="../report/claims.rst",
            category="Claims",
            labels={"table": "claims", "format": "csv"},
        ),
        CLAIMS[1:],
    log:
        "results/logs/claims.log",
    conda:
        "../../environment.yml"
    params:
        code=report_digest(),
    shell:
        "exec python -m ddcl claims > {log} 2>&1"


rule figure:
    input:
        FRAMES,
    output:
        report(
            "results/figures/{figure}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}", "format": "PNG"},
        ),
        "results/figures/{figure}.pdf",
    log:
        "results/logs/figure_{figure}.log",
    conda:
        "../../environment.yml"
    params:
        code=report_digest(),
        caption=figure_caption,
    shell:
        "exec python -m ddcl figure {wildcards.figure} > {log} 2>&1"


rule report:
    input:
        FRAMES,
        expand("results/tables/{table}.csv", table=SUITE.tables),
        expand("results/figures/{figure}.png", figure=[*SUITE.figures, *PICTURES]),
        CLAIMS if SUITE.claims else [],
    output:
        report(
            "results/report/index.html",
            caption="../report/page.rst",
            category="Report",
            labels={"page": "report"},
        ),
    log:
        "results/logs/report.log",
    conda:
        "../../environment.yml"
    params:
        code=page_digest(),
        paper=paper_recipes,
    shell:
        "exec python -m ddcl report > {log} 2>&1"
