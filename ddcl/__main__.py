"""The command line: one verb per stage, each usable without Snakemake. Heavy imports happen inside the verbs.

Exit status: 0 done, 1 a defect of the suite (with a traceback), 2 wrong input (one line that says what and where).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ddcl.core.errors import UserError

RESULTS = Path("results")


def prepare(args: argparse.Namespace) -> None:
    """Read a data set and write its arrays and manifest."""
    from ddcl.data.manifest import prepare

    folder = args.output or args.results / "data" / args.dataset
    manifest = prepare(args.dataset, folder)
    counts = ", ".join(f"{name} {split['n']}" for name, split in manifest["splits"].items())
    print(f"{folder / 'manifest.json'}: {counts} images of {manifest['image_side_px']} px")


def resolve(args: argparse.Namespace) -> None:
    """Check a suite and write its plan and the recipe of each run."""
    from ddcl.core.files import write_json
    from ddcl.grid import Suite

    suite = Suite.load(args.suite)
    if not args.check:
        write_json(args.results / "suite.json", suite.plan())
        for name, recipe in suite.recipes.items():
            write_json(args.results / "runs" / name / "config.json", recipe.model_dump())
    where = "checked, nothing written" if args.check else f"written below {args.results}"
    print(f"{args.suite}: {len(suite.recipes)} runs, {len(suite.cells())} cells; {where}")


def schema(args: argparse.Namespace) -> None:
    """Print the JSON schema of suite files (workflow/schemas/config.schema.yaml)."""
    from ddcl.core.config import suite_schema

    print(suite_schema(), end="")


def write(args: argparse.Namespace) -> None:
    """Write a JSON text that the workflow resolved to a file, atomically."""
    from ddcl.core.files import write_json

    write_json(args.output, json.loads(args.json))


def pretrain(args: argparse.Namespace) -> None:
    """Train a run; resumes by itself."""
    device = _device(args)
    from ddcl.recipes import load_recipe
    from ddcl.stages import pretrain_digest
    from ddcl.training import pretrain

    recipe = load_recipe(args.run / "config.json")
    training = pretrain(recipe, _manifest(args, recipe.dataset), args.run, device, pretrain_digest(recipe.method))
    print(f"{recipe.name}: {training.status} after {training.epoch} epochs {training.message}".rstrip())


def extract(args: argparse.Namespace) -> None:
    """Write the features of a trained run, clean and perturbed."""
    device = _device(args)
    from ddcl.evaluate.features import extract
    from ddcl.recipes import load_recipe, read_perturbation

    perturbations = [read_perturbation(name)[1] for name in args.perturbations]
    recipe = load_recipe(args.run / "config.json")
    extract(recipe, args.run, _manifest(args, recipe.dataset), perturbations, device)


def evaluate(args: argparse.Namespace) -> None:
    """Evaluate the features of a run and write a record."""
    from ddcl.evaluate.record import evaluate_run
    from ddcl.recipes import load_recipe, read_evaluation

    recipe = load_recipe(args.run / "config.json")
    record = evaluate_run(recipe, read_evaluation(args.evaluation)[1], args.perturbations, args.run, args.threads)
    for cell in record["cells"]:
        value = record["status"] if cell["value"] is None else f"{100 * cell['value']:.1f} %"
        print(f"{recipe.name} {args.evaluation} {cell['part']} {cell['perturbation']}: {value}")


def collect(args: argparse.Namespace) -> None:
    """Gather all records of a plan into three files."""
    from ddcl.core.files import read_json
    from ddcl.report.collect import collect

    found = collect(read_json(args.results / "suite.json", "plan; `ddcl resolve` makes it"), args.results, args.partial)
    for problem in found.problems:
        print(f"ddcl: {problem}", file=sys.stderr)
    print(f"{args.results / 'records.parquet'}: {len(found.records)} cells, {len(found.problems)} problems")


def table(args: argparse.Namespace) -> None:
    """Write a table as CSV, Markdown and LaTeX."""
    from ddcl.report.render import render_table

    render_table(args.name, args.results)


def figure(args: argparse.Namespace) -> None:
    """Draw a figure as PNG and PDF."""
    from ddcl.report.render import render_figure

    render_figure(args.name, args.results)


def report(args: argparse.Namespace) -> None:
    """Write the report page."""
    from ddcl.report.render import render_page

    print(render_page(args.results))


def _manifest(args: argparse.Namespace, dataset: str) -> Path:
    path: Path = args.manifest or args.results / "data" / dataset / "manifest.json"
    return path


def _device(args: argparse.Namespace) -> str:
    """Return the device to use, after setting torch's number of threads."""
    import torch

    torch.set_num_threads(args.threads)
    if args.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no CUDA device here; allowed now: cpu, auto")
    return str(args.device)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return int(text)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs; a verb's help is its function's docstring."""
    parser = argparse.ArgumentParser(
        prog="ddcl", description="Benchmark of Distortion-Disentangled Contrastive Learning."
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(function: Callable[[argparse.Namespace], None], **arguments: dict[str, Any]) -> None:
        doc = (function.__doc__ or "").splitlines()[0]
        sub = verbs.add_parser(function.__name__, help=doc, description=doc)
        sub.set_defaults(function=function)
        for name, options in arguments.items():
            sub.add_argument(name if "metavar" in options else f"--{name}", **options)

    path = {"type": Path}
    results = {"type": Path, "default": RESULTS, "help": "folder of all results (default: results)"}
    run = {"type": Path, "required": True, "help": "the run's folder, with config.json"}
    threads = {"type": _positive, "default": 1, "help": "CPU threads of this process (default: 1)"}
    device = {
        "choices": ["auto", "cpu", "cuda"],
        "default": "auto",
        "help": "where to compute (default: auto)",
    }
    manifest = {
        **path,
        "help": "the data set's manifest.json (default: results/data/<dataset>/manifest.json)",
    }
    names = {"nargs": "+", "required": True, "help": "names in config/perturbations"}
    suite = {
        **path,
        "default": Path("config/config.yaml"),
        "help": "suite file (default: config/config.yaml)",
    }

    def name(what: str) -> dict[str, Any]:
        return {"metavar": "NAME", "help": what}

    verb(
        prepare,
        dataset=name("name in config/datasets"),
        output={**path, "help": "folder to write"},
        results=results,
    )
    check = {"action": "store_true", "help": "check only"}
    verb(resolve, suite=suite, results=results, check=check)
    verb(schema)
    verb(write, json={"required": True, "help": "JSON text"}, output={**path, "required": True, "help": "file"})
    verb(pretrain, run=run, manifest=manifest, results=results, device=device, threads=threads)
    verb(
        extract,
        run=run,
        manifest=manifest,
        results=results,
        perturbations=names,
        device=device,
        threads=threads,
    )
    verb(evaluate, evaluation=name("name in config/evaluations"), run=run, perturbations=names, threads=threads)
    partial = {"action": "store_true", "help": "write what there is; what is missing is listed and marked"}
    verb(collect, results=results, partial=partial)
    verb(table, name=name("name in config/tables"), results=results)
    verb(figure, name=name("name of a figure"), results=results)
    verb(report, results=results)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit status."""
    args = build_parser().parse_args(argv)
    try:
        args.function(args)
    except UserError as error:
        print(f"ddcl: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
