# From records to tables, figures and the page. No GPU and no torch here.
FRAMES = multiext(
    "results/", "records.parquet", "histories.parquet", "runs.json", "suite.json"
)


localrules:
    plan,
    collect,
    table,
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
        "exec python -m ddcl write --json {params.plan:q} --output {output} > {log} 2>&1"


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
            labels={"table": "{table}", "format": "csv"},
        ),
        "results/tables/{table}.md",
        "results/tables/{table}.tex",
    log:
        "results/logs/table_{table}.log",
    conda:
        "../../environment.yml"
    params:
        code=report_digest(),
    shell:
        "exec python -m ddcl table {wildcards.table} > {log} 2>&1"


rule figure:
    input:
        FRAMES,
    output:
        report(
            "results/figures/{figure}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        "results/figures/{figure}.pdf",
    log:
        "results/logs/figure_{figure}.log",
    conda:
        "../../environment.yml"
    params:
        code=report_digest(),
    shell:
        "exec python -m ddcl figure {wildcards.figure} > {log} 2>&1"


rule report:
    input:
        FRAMES,
        expand("results/tables/{table}.csv", table=SUITE.tables),
        expand("results/figures/{figure}.png", figure=[*SUITE.figures, *PICTURES]),
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
        code=report_digest(),
    shell:
        "exec python -m ddcl report > {log} 2>&1"
