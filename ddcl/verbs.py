"""What each verb of the command line does. Heavy imports happen inside; a verb's help is its docstring's first line."""

from __future__ import annotations

import json
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ddcl.base.errors import UserError

DEFAULT_SUITE = "config/config.yaml"  # of the folder at hand

if TYPE_CHECKING:
    from ddcl.evaluate.protocols import Job
    from ddcl.plan.job_cost import Device, Meter
    from ddcl.plan.plan import Plan
    from ddcl.plan.suite import Suite
    from ddcl.schema.recipes import DataRecipe, Recipe
    from ddcl.schema.record import Record


def init(args: Namespace) -> None:
    """Write a small project to a new folder: a suite, a data set's YAML, a profile and a README."""
    from ddcl.new_project import new_project

    files = new_project(args.folder)
    print(f"{args.folder}: {', '.join(files)}\nnext: cd {shlex.quote(str(args.folder))} && snakemake")


def prepare(args: Namespace) -> None:
    """Find or download a data set, check it, and write its splits and manifest."""
    from ddcl.data.prepare import describe, prepare
    from ddcl.plan.addresses import data_folder
    from ddcl.plan.datasets import data_root
    from ddcl.schema.recipes import data_recipe

    folder = args.output or args.results / data_folder(args.dataset, data_recipe(args.dataset))
    manifest = prepare(args.dataset, folder, args.data_root or data_root(), not args.no_download)
    print(f"{folder / 'manifest.json'}: {manifest.kind}\n{describe(manifest)}")


def resolve(args: Namespace) -> None:
    """Check a suite and write its plan and the recipe of each run."""
    from ddcl.base.files import write_json
    from ddcl.plan.addresses import run_folder
    from ddcl.plan.plan import write_plan

    suite = _suite(args)
    if not args.check:
        write_plan(suite.plan, args.results)
        for recipe in suite.recipes.values():
            write_json(args.results / run_folder(recipe) / "config.json", recipe.model_dump())
    where = "checked, nothing written" if args.check else f"written below {args.results}"
    print(f"{args.suite}: {len(suite.recipes)} runs, {suite.n_cells()} cells; {where}")


def plan(args: Namespace) -> None:
    """Estimate what a suite costs before it runs; with --effect, how many seeds are needed to detect a difference."""
    from ddcl.plan.cost import as_json, describe
    from ddcl.plan.datasets import data_root

    further = ("sd", "pairs_correlation", "power")
    given = ", ".join(f"--{name.replace('_', '-')}" for name in further if getattr(args, name) is not None)
    if given and args.effect is None:
        raise UserError(f"ddcl plan: {given}: means nothing without --effect; add it, or leave this out")
    suite = _suite(args, args.data_root)
    root = args.data_root or data_root(suite.config.data_root)
    if args.effect is not None:
        if args.json:
            raise UserError("ddcl plan: --json is for the cost of a suite; leave it out, or --effect")
        from ddcl.report.claims.planner import plan_seeds

        print(plan_seeds(suite, args.results, args.effect, (args.sd, args.pairs_correlation, args.power)))
        return
    _print((as_json if args.json else describe)(suite, root, args.results))


def status(args: Namespace) -> None:
    """Show the progress of a suite: runs that are done, running (time left), failed (end of the log) or waiting."""
    from ddcl.plan.plan import FILE
    from ddcl.plan.status import as_json, describe
    from ddcl.plan.suite import Suite

    shown = args.suite is None and (args.results / FILE).exists()
    plan = _planned(args) if shown else Suite.load(_suite_file(args.suite or DEFAULT_SUITE)).plan
    _print((as_json if args.json else describe)(plan, args.results))


def schema(args: Namespace) -> None:
    """Print the JSON schema of suite files (workflow/schemas/config.schema.yaml)."""
    from ddcl.schema.suites import suite_schema

    print(suite_schema(), end="")


def write(args: Namespace) -> None:
    """Write a recipe, or a suite's plan from standard input, to a file, atomically; the workflow uses this."""
    from ddcl.base import sealed
    from ddcl.base.files import write_json
    from ddcl.plan.plan import MAKER, WHAT, Plan, write_plan
    from ddcl.schema.recipes import recipe_of

    if args.json == "-":
        text = sys.stdin.buffer.read().decode(errors="replace").rstrip()
        write_plan(sealed.parse(text, Plan, Path("standard input"), (WHAT, MAKER)), args.output.parent)
    else:
        recipe = recipe_of(_from_workflow(args.json, "write"), "ddcl write --json")
        write_json(args.output, recipe.model_dump())


def gate(args: Namespace) -> None:
    """Judge the pilot of a suite and write the verdict, or fail if it stops the suite; the workflow uses this."""
    from ddcl.base import sealed
    from ddcl.base.yaml_files import parse
    from ddcl.plan.pilot import describe, judge, stopped
    from ddcl.schema.pilots import Pilot

    verdict = judge(parse(Pilot, _from_workflow(args.json, "gate"), "ddcl gate --json"), args.results)
    if told := stopped(verdict):
        raise UserError(told)
    sealed.write(args.output, verdict)
    for judged in verdict.gates:
        print(describe(judged), *([f"run anyway: {judged.gate.run_anyway}"] if not judged.passed else []), sep="; ")


def _from_workflow(text: str, command: str) -> object:
    """Return what the JSON holds that the workflow gives to a command."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"ddcl {command} --json: not valid JSON ({error}); the workflow gives it") from None


def subset(args: Namespace) -> None:
    """Draw a fixed list of training images for semi-supervised evaluation, and write it."""
    from ddcl.base.files import write_json
    from ddcl.data.subsets import draw_subset
    from ddcl.schema.recipes import read_dataset
    from ddcl.schema.subsets import new_subset_path, read_subset_config

    path, dataset = new_subset_path(args.dataset, args.name), read_dataset(args.dataset)
    n_classes, n_images = dataset.n_classes, dataset.n_images.get("train")
    if n_images is not None and args.available > n_images // n_classes:
        found = f"{n_images} training images of {n_classes} classes, so at most {n_images // n_classes} of every class"
        raise UserError(f"ddcl subset --available {args.available}: {args.dataset} has {found}")
    if args.per_class > args.available:
        raise UserError(f"ddcl subset --per-class {args.per_class}: allowed are 1 to {args.available} (--available)")
    drawn = draw_subset(args.dataset, n_classes, args.available, args.per_class, args.seed)
    if path.exists() and read_subset_config(args.dataset, args.name) != drawn:
        raise UserError(f"{path}: there is a list of other images already; remove it, or choose another --name")
    write_json(path, drawn.model_dump())
    print(f"{path}: {args.per_class} images of each of {n_classes} classes")


def pretrain(args: Namespace) -> None:
    """Train a run, or resume its training; the run's processes share the threads."""
    from contextlib import nullcontext

    from ddcl.base.lock import locked
    from ddcl.base.progress import announce
    from ddcl.plan.job_cost import Meter

    meter = Meter()
    folder = _run(args)
    recipe = _recipe(folder)
    if recipe.training.processes > 1:  # not to import torch before the lock is held and `ddcl status` knows
        from ddcl.core.distributed import relaunch

        relaunch(recipe.training.processes)
    first = recipe.training.processes == 1 or os.environ.get("RANK", "0") == "0"
    with locked(folder / ".pretrain.lock", recipe.name) if first else nullcontext():
        if first:
            announce(folder / "work", recipe.training.epochs)
        _pretrain(args, folder, recipe, meter)


def _pretrain(args: Namespace, folder: Path, recipe: Recipe, meter: Meter) -> None:
    """Train the run in `folder`, whose lock is held; say what it cost, unless it is already finished."""
    args.threads = max(1, args.threads // recipe.training.processes)
    device = _device(args, meter, recipe)
    from ddcl.plan.digests import pretrain_digest
    from ddcl.plan.job_cost import only_warned
    from ddcl.schema import manifest, run_summary
    from ddcl.schema.registry import METHODS
    from ddcl.training import FINISHED, Options, pretrain

    meter.started()
    digest = pretrain_digest(recipe.method, [item.op for item in recipe.ops])
    if recipe.given_features:
        from ddcl.encoders import stages

        stages.pretrain(recipe, _manifest(args, recipe.dataset, recipe.data), folder, digest)
        print(f"{recipe.name}: only features are here; nothing was trained")
        return
    options = Options(device, _workers(args), args.checkpoint_minutes)
    data, finished = _manifest(args, recipe.dataset, recipe.data), folder / "work" / FINISHED / run_summary.FILE
    former = finished.read_bytes() if finished.exists() else b""
    summary = pretrain(recipe, data, folder, digest, options)
    print(f"{recipe.name}: {summary.status} after {summary.epochs} epochs {summary.message}".rstrip())
    with only_warned():
        if os.environ.get("RANK", "0") == "0" and finished.read_bytes() != former:
            images = summary.epochs * manifest.load(data).n(METHODS[recipe.method].split), summary.seconds
            meter.write(recipe, folder, ("pretrain", "", ""), images)


def extract(args: Namespace) -> None:
    """Compute and store the features of a trained run on a data set, clean and perturbed."""
    from ddcl.plan.job_cost import Meter, only_warned

    meter, run = Meter(), _run(args)
    recipe = _recipe(run)
    device = _device(args, meter, recipe)
    from ddcl.base.lock import locked
    from ddcl.data.manifest import read_manifest
    from ddcl.evaluate.features import Target, extract
    from ddcl.evaluate.locate import new_features
    from ddcl.plan.addresses import features_digest
    from ddcl.schema import feature_index, manifest
    from ddcl.schema.recipes import data_recipe, perturbation_on

    meter.started()
    dataset = args.eval_dataset or recipe.dataset
    perturbations = [perturbation_on(dataset, name, args.draws) for name in args.perturbations]
    trained_on = read_manifest(_manifest(args, recipe.dataset, recipe.data), recipe.dataset, recipe.data)
    digest = features_digest(perturbations, data_recipe(dataset))
    target = Target(dataset, _manifest(args, dataset), new_features(run, dataset, digest), digest)
    with locked(target.folder.with_name(".lock"), f"{recipe.name}, features on {dataset}"):
        if recipe.given_features:
            from ddcl.encoders import stages

            stages.extract(recipe, run, trained_on, target, perturbations)
            return
        extract(recipe, run, trained_on, target, perturbations, (device, _workers(args)))
        with only_warned():
            test, data = feature_index.load(target.folder).test, manifest.load(target.manifest_path)
            n = data.n("train") + len(test.features) * data.n("test") if test else 0
            images = n, meter.seconds - meter.start_seconds
            meter.write(recipe, run, ("features", dataset, digest), images)


def evaluate(args: Namespace) -> None:
    """Evaluate a run on a data set and write a record."""
    from ddcl.plan.job_cost import Meter, only_warned

    meter = Meter()
    from ddcl.base.lock import locked
    from ddcl.evaluate.record import evaluate_run

    run = _run(args)
    recipe = _recipe(run)
    job = _evaluation_job(args, run, recipe, meter)
    meter.started()
    with locked(job.record[0].with_name(".lock"), f"{recipe.name}, {args.evaluation} on {job.dataset}"):
        resumed = job.state.exists()  # then this job is only a part of what the evaluation costs
        record = evaluate_run(job)
        if not resumed:
            with only_warned():
                meter.write(recipe, run, (args.evaluation, job.dataset, record.digest))
    _print_cells(record, [metric.name for metric in job.entry.metrics_of(job.evaluation.settings) if metric.is_share])


def _evaluation_job(args: Namespace, run: Path, recipe: Recipe, meter: Meter) -> Job:
    """Return what there is to evaluate, and where its record goes."""
    from ddcl.evaluate.locate import find_features, find_record
    from ddcl.evaluate.protocols import Job
    from ddcl.schema import feature_index
    from ddcl.schema.recipes import read_evaluation
    from ddcl.schema.registry import EVALUATIONS
    from ddcl.schema.suites import RandomSubsetsConfig

    evaluation = read_evaluation(args.evaluation)[1]
    dataset = args.eval_dataset or recipe.dataset
    subsets = RandomSubsetsConfig(draws=args.subsets, dir_frac=args.dir_frac) if args.subsets else None
    features = None
    if recipe.given_features or "features" in EVALUATIONS[evaluation.protocol].inputs:
        features = find_features(run, dataset, args.perturbations, args.features)
    index = feature_index.load(features) if features else None
    out, digest, cells = find_record(run, (recipe, evaluation, dataset), args.perturbations, subsets, index)
    return (_of_features() if recipe.given_features else Job)(
        recipe=recipe,
        evaluation=evaluation,
        dataset=dataset,
        perturbations=args.perturbations,
        run=run,
        data=(_manifest(args, recipe.dataset, recipe.data), _manifest(args, dataset)),
        record=(out, digest),
        cells=cells,
        features=features,
        subsets=subsets,
        device=_device(args, meter, recipe),
        threads=args.threads,
        checkpoint_minutes=args.checkpoint_minutes,
    )


def _of_features() -> type[Job]:
    """Return what an evaluation is, of an encoder of which only features are here."""
    from ddcl.encoders.stages import OfFeatures

    return OfFeatures


def _print_cells(record: Record, shares: Collection[str]) -> None:
    """Print the cells of a record, one a line; shares: metrics that are printed as %."""
    for cell in record.cells:
        number = cell.value
        value = "diverged" if number is None else f"{100 * number:.1f} %" if cell.metric in shares else f"{number:.3f}"
        place = f"{cell.part} {cell.perturbation} {cell.metric}"
        print(f"{record.run.name} {record.evaluation.evaluation} {place}: {value}")


def diagnose(args: Namespace) -> None:
    """Measure externally computed features in a file: readouts, invariance and geometry."""
    from ddcl.base.files import write_text
    from ddcl.evaluate.external import diagnose
    from ddcl.report.tables.csv_files import csv_text
    from ddcl.schema.evaluations import DiagnosticsSettings
    from ddcl.schema.recipes import read_evaluation

    settings = DiagnosticsSettings.model_validate(read_evaluation("diagnostics")[1].settings)
    frame = diagnose(args.features, settings, args.subsets, args.seed)
    print(frame.to_string(index=False, float_format="{:.4f}".format, na_rep=""))
    if args.output:
        write_text(args.output, csv_text(frame, "%.6f"))


def collect(args: Namespace) -> None:
    """Collect all records of a plan into three files."""
    from ddcl.report.collect import collect

    found = collect(_planned(args), args.results, args.partial)
    for line in (*found.problems, *filter(None, [found.other_code])):
        print(f"ddcl: {line}", file=sys.stderr)
    print(f"{args.results / 'records.parquet'}: {len(found.records)} cells, {len(found.problems)} problems")


def doctor(args: Namespace) -> None:
    """Measure how many images per second this machine loads, augments and trains on, and name the bottleneck."""
    print("ddcl doctor: about a minute; loading libraries ...", file=sys.stderr, flush=True)
    device = _device(args)
    from ddcl.doctor import as_json, describe, fitting, measure
    from ddcl.schema.recipes import build_recipe

    recipe = fitting(build_recipe((args.dataset, args.variant, args.augmentation), 0, {}), device)
    rates = measure(recipe, device, _workers(args), _manifest(args, recipe.dataset, recipe.data))
    _print((as_json if args.json else describe)(recipe, device, args.threads, rates))


def table(args: Namespace) -> None:
    """Write tables as CSV, Markdown, LaTeX and HTML; without a name, all tables of the suite."""
    from ddcl.render import render_tables

    render_tables(args.names, args.results)


def trace(args: Namespace) -> None:
    """Trace a row of a table's CSV to the files of its runs, and make the row again from these alone."""
    from ddcl.report.exchange.trace import Tracer

    tracer, problems = Tracer(args.table), []
    if args.all == (args.row is not None):
        raise UserError("ddcl trace: expected either --row N or --all")
    for number in range(1, len(tracer.rows) + 1) if args.all else [args.row]:
        try:
            print(tracer.describe(number))
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n  ".join(problems))


def export(args: Namespace) -> None:
    """Pack records, predictions, recipes, tables, figures and the page into one archive with checksums."""
    from ddcl.report.exchange.archive import export

    output = args.output or Path(f"{_planned(args).suite}.zip")
    packed = export(args.results, output, args.checkpoints)
    print(f"{output}: {packed.files} files, {packed.records} of {packed.expected} records of the suite")


def snapshot(args: Namespace) -> None:
    """Copy what readers need of a finished suite to a folder for Git, where its claims can be judged again."""
    from ddcl.report.exchange.snapshot import write_snapshot

    written = write_snapshot(args.results, args.folder)
    size_mb = sum(path.stat().st_size for path in written.files) / 1e6
    records = f"{written.records} of {written.expected} records of the suite"
    print(f"{args.folder}: {len(written.files)} files, {size_mb:.1f} MB, {records}")


def import_(args: Namespace) -> None:
    """Check an archive of `ddcl export` and add its runs to the results; an error leaves the results unchanged."""
    from ddcl.report.exchange.merge import import_archive

    merged = import_archive(args.archive, args.results)
    for problem in merged.problems:
        print(f"ddcl: {problem}", file=sys.stderr)
    print(f"{args.archive}: {merged.new} files new in {args.results}, {merged.same} were here already")
    print(f"next: {merged.next_commands(args.results)}")


def compare(args: Namespace) -> None:
    """Compare two results folders, snapshots or archives: which values lie within the other's spread over seeds?"""
    from ddcl.report.exchange.compare import compare, describe, read_side, write_cells

    a, b = read_side(args.a), read_side(args.b)
    cells = compare(a, b)
    print(describe(a, b, cells))
    if args.output:
        write_cells(cells, args.output)


def site(args: Namespace) -> None:
    """Write the pages of several results folders, snapshots or archives as one static site, with an index of claims."""
    from ddcl.report.exchange.site import write_site

    print(write_site(args.sources, args.output))


def adopt(args: Namespace) -> None:
    """Check copied or imported results, and make Snakemake accept those that are intact."""
    from ddcl.report.exchange.adopt import adopt

    adopted = adopt(args.results)
    for problem in adopted.problems:
        print(f"ddcl: {problem}", file=sys.stderr)
    intact = f"{adopted.datasets} data sets and {adopted.runs} runs are intact"
    print(f"{args.results}: {intact}, {len(adopted.problems)} problems")


def clean(args: Namespace) -> None:
    """Show the results that no plan in results/plans needs, and delete them."""
    from ddcl.plan.unused import delete, describe, unused

    if not args.unused:
        raise UserError("ddcl clean: expected --unused, the only kind that there is")
    found = unused(args.results)
    print(describe(found, args.results))
    if not found.folders:
        return
    if not args.yes:
        if not sys.stdin.isatty():
            raise UserError("ddcl clean: nothing was deleted; add --yes if there is nobody to ask")
        if input("Delete them? [y/N] ").strip().lower() not in ("y", "yes"):
            print("nothing was deleted")
            return
    delete(found, args.results)
    print(f"deleted {len(found.folders)} folders")


def claims(args: Namespace) -> None:
    """Judge the suite's claims; write claims.json, and from it claims.{csv,md,tex}, other CSV files and macros.tex."""
    from ddcl.render import render_claims

    verdicts = render_claims(args.results)
    lines = "\n".join(f"{name}: {verdict}" for name, verdict in verdicts.items())
    _print({"suite": _planned(args).suite, "verdicts": verdicts} if args.json else lines)


def tune(args: Namespace) -> None:
    """Choose settings by a tuning suite; write the scores (tuning.csv) and the choice (tuned.yaml)."""
    from ddcl.render import render_tuning

    for variant, choice in render_tuning(args.results).items():
        print(f"{variant}: {choice}")


def figure(args: Namespace) -> None:
    """Draw figures as PNG, PDF and SVG; without a name, all figures of the suite."""
    from ddcl.render import render_figure

    for name in args.names or _planned(args).figures:
        render_figure(name, args.results)


def picture(args: Namespace) -> None:
    """Draw pictures of images and trained encoders as PNG, PDF and CSV; without a name, all pictures of the suite."""
    device = _device(args)
    from ddcl.pictures.render import render_picture

    plan = _planned(args)
    for name in args.names or [entry.name for entry in plan.pictures]:
        render_picture(name, plan, args.results, device)


def report(args: Namespace) -> None:
    """Write the report page."""
    from ddcl.render import render_page

    print(render_page(args.results))


def _print(found: str | Mapping[str, object]) -> None:
    """Print text, or what a script asked for by --json as one JSON object."""
    print(found if isinstance(found, str) else json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False))


def _planned(args: Namespace) -> Plan:
    """Return the plan in the results folder."""
    from ddcl.plan.plan import read_plan

    return read_plan(args.results)


def _suite_file(suite: str) -> Path:
    """Return the file of a suite; `UserError` that says what to do where the folder at hand has no suite of its own."""
    from ddcl.schema.suites import suite_path

    if suite == DEFAULT_SUITE and not Path(suite).exists():
        raise UserError(f"{suite}: no such file; name a suite with --suite, or make a project with `ddcl init FOLDER`")
    return suite_path(suite)


def _suite(args: Namespace, root: Path | None = None) -> Suite:
    """Return the suite, checked, with the number of images of each data set that is there.

    root: where data sets lie; None: where the suite or the environment says.
    """
    from functools import partial

    from ddcl.data.readers.folders import listed_counts
    from ddcl.plan.counted import counted
    from ddcl.plan.datasets import data_root
    from ddcl.plan.suite import Suite

    suite = Suite.load(_suite_file(args.suite))
    root = root or data_root(suite.config.data_root)
    return counted(suite, args.results, partial(listed_counts, root=root))


def _manifest(args: Namespace, dataset: str, recipe: DataRecipe | None = None) -> Path:
    """Return where the manifest of a prepared data set lies. recipe: its own, in place of what config/ now says."""
    from ddcl.plan.addresses import data_folder
    from ddcl.schema.recipes import data_recipe

    path: Path = args.results / data_folder(dataset, recipe or data_recipe(dataset)) / "manifest.json"
    return path


def _run(args: Namespace) -> Path:
    """Return the folder of a run: given as such, or by the run's name in the plan, such as digits/ddcl/caug/seed0."""
    folder: Path = args.run
    if (folder / "config.json").exists() or not (args.results / "suite.json").exists():
        return folder
    return Path(args.results / _planned(args).run(folder.as_posix()).folder)


def _recipe(folder: Path) -> Recipe:
    """Return the recipe in the folder of a run; `UserError` if it is not the one that the folder's name says."""
    from ddcl.plan.addresses import check_address
    from ddcl.schema.recipes import load_recipe

    recipe = load_recipe(folder / "config.json")
    check_address(folder, recipe)
    return recipe


def _workers(args: Namespace) -> int:
    """Return how many processes decode images: with one thread, the process itself does."""
    return int(args.threads) if args.threads > 1 else 0


def _device(args: Namespace, meter: Meter | None = None, recipe: Recipe | None = None) -> Device:
    """Return the device to use, after setting torch's number of threads, and tell it to the meter of a job's cost.

    recipe: of the run that the job is of; one without has a GPU to itself.
    """
    import torch

    from ddcl.core.devices import device_name, keep_freed_memory
    from ddcl.plan.gpu_places import places_for
    from ddcl.plan.job_cost import Meter

    keep_freed_memory()
    torch.set_num_threads(args.threads)
    meter = meter or Meter()
    device = _kind_of_device(args, meter, places_for(recipe) if recipe else 1)
    meter.device, meter.device_name = device, device_name(device)
    return device


def _kind_of_device(args: Namespace, meter: Meter, places: int) -> Device:
    """Return the kind of the device to use; of several GPUs, one that has room is the current one then."""
    import torch

    from ddcl.core.gpus import gpu_given, use_free_gpu

    if args.device == "cpu" or (args.device == "auto" and not torch.cuda.is_available()):
        if args.device == "auto" and (given := gpu_given()):
            print(f"ddcl: warning: {given}, but torch finds no CUDA device: using the CPU", file=sys.stderr)
        return "cpu"
    if not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no CUDA device here; allowed now: cpu, auto")
    with meter.waiting():
        use_free_gpu(places)
    return "cuda"
