"""What the rules of the workflow ask for: patterns of paths, and for the wildcards of a job its inputs and parameters.

The files in workflow/rules name these and nothing else. Imports no torch: Snakemake reads it at every start.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from ddcl.base.checkout import ROOT, is_installed
from ddcl.base.errors import UserError, check_name
from ddcl.base.files import digest_text
from ddcl.plan.addresses import ADDRESSED, DIGITS, addressed, folder_of_data, log_folder
from ddcl.plan.counted import Counts, counted
from ddcl.plan.datasets import VARIABLE, check_one_root, data_root
from ddcl.plan.digests import (
    collect_digest,
    evaluate_digest,
    extract_digest,
    page_digest,
    picture_digest,
    prepare_digest,
    pretrain_digest,
    report_digest,
)
from ddcl.plan.expand import Run
from ddcl.plan.gpu_places import places_taken
from ddcl.plan.needs import (
    Needs,
    evaluate_needs,
    extract_needs,
    is_short,
    picture_needs,
    prepare_needs,
    pretrain_needs,
)
from ddcl.plan.plan import PlannedPicture, PlannedRun
from ddcl.plan.relations import TAKEN_TABLES
from ddcl.plan.status import is_trained
from ddcl.plan.suite import Suite
from ddcl.schema.claims import FILES, JUDGED, MACROS
from ddcl.schema.figures import WORDS
from ddcl.schema.pictures import DRAWINGS
from ddcl.schema.places import SUITE, search_beside
from ddcl.schema.tuning import CHOICE, SCORES

Wildcards = Any  # of a job: a mapping of names
Function = Callable[..., Any]  # of a job's wildcards, and of its input where it says so, as Snakemake calls it

RESULTS = "results"
RUN = "runs/{dataset}/{variant}/{arm}/seed{seed}"
DATA = "data/{prepared}"
FEATURES = f"{RUN}/on/{{eval_dataset}}/features-{{digest}}/arrays"
HEX = "[0-9a-f]{8}"
CLAIMS = (*FILES, MACROS)
TUNING = (SCORES, CHOICE)
FRAMES = ("records.parquet", "histories.parquet", "runs.json", "suite.json")
HEADINGS = {"convergence": "While training", "published": "Beside published numbers"}


def job_environment(data_root: Path) -> dict[str, str]:
    """Return what jobs find in their environment: the programs of this interpreter, this code, and the data sets."""
    first = {"PATH": str(Path(sys.executable).parent)} | ({} if is_installed() else {"PYTHONPATH": str(ROOT)})
    found = {name: os.environ.get(name, "").split(os.pathsep) for name in first}
    joined = {name: os.pathsep.join(dict.fromkeys([first[name], *filter(None, found[name])])) for name in first}
    return joined | {VARIABLE: str(data_root)}


def one_of(names: Iterable[str]) -> str:
    """Return a pattern that matches the given names only: a typo becomes "no rule to produce", not a strange job."""
    return "|".join(map(re.escape, sorted(set(names)))) or "(?!)"


def record_pattern(evaluation: str) -> str:
    """Return the pattern of the records of an evaluation."""
    return f"{RUN}/on/{{eval_dataset}}/{evaluation}-{{digest}}/{evaluation}.json"


def log_pattern(stage: str) -> str:
    """Return the pattern of the logs of a stage of runs; {eval_dataset} and {digest} where the stage has them."""
    where = "" if stage == "pretrain" or stage == "resolve" else "{eval_dataset}/"
    digest = "-{digest}" if where else ""
    return f"{log_folder(RUN)}/{where}{stage}{digest}.log"


def typed_suite(files: Sequence[str], folder: Path, values: Mapping[str, object]) -> Suite:
    """Read the suite file, with the project's own reader; `UserError` for more than one.

    files, values: what Snakemake was given by --configfile and --config. folder: of the main Snakefile; without a
    file, the suite is config/config.yaml beside it, or beside the folder workflow/ that it lies in.
    """
    if values:
        raise UserError(
            f"--config: a suite is one complete file, found {', '.join(values)}; write it into the suite's file"
        )
    default = next((path for path in (folder / SUITE, folder.parent / SUITE) if path.exists()), folder / SUITE)
    paths = [Path(file) for file in files] or [default]
    if len(paths) != 1:
        raise UserError(
            f"--configfile: expected one suite file, found {len(paths)}: {', '.join(map(str, paths))}; "
            "a suite can include others (key include)"
        )
    search_beside(paths[0])
    return Suite.load(paths[0])


def module_suite(config: Mapping[str, object], files: Sequence[str], name: str) -> Suite:
    """Return the suite that a workflow gives to this one as the configuration of its module `name`.

    files: the workflow's own configuration files, whose folders are searched for names.
    """
    if not config:
        raise UserError(f"module {name}: expected `config:` with a whole suite, found nothing")
    for file in files:
        search_beside(Path(file))
    suite = Suite(dict(config), f"module {name}: config")
    check_one_root(suite.config.data_root, name)
    return suite


class Rules:
    """The rules' view of a checked suite. Every path is below the results folder, and given with it.

    folder: where that folder lies.
    """

    def __init__(self, suite: Suite, folder: Path = Path(RESULTS)) -> None:
        self.suite, self.plan, self.pilot, self.folder = suite, suite.plan, suite.pilot, folder
        self.data_root = data_root(suite.config.data_root)
        self._by_names: dict[tuple[str, ...], tuple[Run, PlannedRun]] = {
            (run.dataset, run.variant, run.folder.split("/")[-2], str(run.seed)): (suite.runs[run.name], run)
            for run in self.plan.runs
        }
        self.data = {addressed(name, digest): name for name, digest in self.plan.data.items()}
        self.pictures = {entry.name: entry for entry in self.plan.pictures}
        self._needs = cache(self._new_needs)
        self._extract_code = cache(self._new_extract_code)
        self._stored = {
            (run.folder, target.eval_dataset, target.evaluation): f"{RESULTS}/{run.features(target)}"
            for run in self.plan.runs
            for target in run.targets
        }

    @classmethod
    def of(cls, suite: Suite, results: Path, lister: Callable[..., Counts]) -> Rules:
        """Return the rules' view of a suite whose results lie in `results`, with the number of images of each data set.

        Numbers that its YAML does not say come from what was prepared there, else from
        `lister(configs, root=data_root)`.
        """
        root = data_root(suite.config.data_root)
        return cls(counted(suite, results, partial(lister, root=root)), results)

    def check_targets(self, targets: Iterable[str]) -> None:
        """Raise `UserError` for a file among the words typed that is of no table, figure or picture of the suite."""
        known = {"tables": [*self.plan.tables, *TAKEN_TABLES], "figures": [*self.plan.figures, *self.pictures]}
        for target in targets:
            match = re.fullmatch(rf"(?:.*/)?{RESULTS}/(tables|figures)/([^/]+)\.[a-z]+", target)
            if match:
                check_name(match[1].removesuffix("s"), match[2], known[match[1]], f"{target}: suite {self.plan.suite}")

    # --- wildcards

    @property
    def constraints(self) -> dict[str, str]:
        """The pattern of each wildcard."""
        recipes = self.suite.recipes.values()
        return {
            "dataset": one_of(self.suite.dataset_configs),
            "eval_dataset": one_of(self.suite.dataset_configs),
            "prepared": one_of(self.data),
            "variant": one_of(recipe.variant for recipe in recipes),
            "arm": ADDRESSED,
            "seed": r"\d+",
            "digest": HEX,
            "table": one_of(self.plan.tables),
            "figure": one_of(self.plan.figures),
            "picture": one_of(self.pictures),
        }

    def _both(self, wildcards: Wildcards) -> tuple[Run, PlannedRun]:
        names = (wildcards["dataset"], wildcards["variant"], wildcards["arm"], wildcards["seed"])
        found = self._by_names.get(names)
        if found is None:
            raise UserError(f"runs/{'/'.join(names)} is not a run of suite {self.plan.suite}")
        return found

    def run(self, wildcards: Wildcards) -> Run:
        """Return the suite's run with these wildcards."""
        return self._both(wildcards)[0]

    def dataset(self, wildcards: Wildcards) -> str:
        """Return the name of a data set from that of its folder."""
        return self.data[wildcards["prepared"]]

    # --- inputs

    def manifest(self, dataset: str) -> str:
        """Return the manifest of a prepared data set. It holds the checksums of all that lies beside it."""
        return f"{RESULTS}/{folder_of_data(dataset, self.plan.data[dataset])}/manifest.json"

    def own_manifest(self, wildcards: Wildcards) -> str:
        """Return the manifest of the data set that a run is trained on."""
        return self.manifest(wildcards["dataset"])

    def eval_manifest(self, wildcards: Wildcards) -> str:
        """Return the manifest of the data set that a run is evaluated on."""
        return self.manifest(wildcards["eval_dataset"])

    def evaluation_input(self, evaluation: str) -> dict[str, str | Function]:
        """Return what an evaluation takes: features, or the checkpoint and images of both data sets."""
        inputs, files = self.suite.protocol(evaluation).inputs, dict[str, str | Function]()
        if "features" in inputs:
            files["features"] = lambda wildcards: self._features(wildcards, evaluation)
        if "images" in inputs:
            files["checkpoint"] = f"{RESULTS}/{RUN}/checkpoint.pt"
            files["own_data"], files["data"] = self.own_manifest, self.eval_manifest
        if self.suite.protocol(evaluation).of_features:
            files["features"] = lambda wildcards: self._features(wildcards, evaluation)
        return files

    def _features(self, wildcards: Wildcards, evaluation: str) -> str | list[str]:
        """Return the features that an evaluation of a run takes; none where it takes none."""
        run, planned = self._both(wildcards)
        stored = self._stored[planned.folder, wildcards["eval_dataset"], evaluation]
        return stored if self.suite.takes_features(run, evaluation) else []

    def collected(self, wildcards: Wildcards) -> list[str]:
        """Return every summary, history and record of the suite, and the manifests."""
        files = [f"{folder}/manifest.json" for folder in self.plan.data_folders]
        for run in self.plan.runs:
            files += [f"{run.folder}/run.json", f"{run.folder}/history.csv"]
            files += [run.record(target) for target in run.targets]
        return [f"{RESULTS}/{file}" for file in files]

    @property
    def pilot_json(self) -> str:
        """The pilot, for the command that judges it; nothing where the suite has none."""
        return self.pilot.model_dump_json() if self.pilot else ""

    @property
    def pilot_records(self) -> list[str]:
        """The records that the pilot is judged by."""
        gates = self.pilot.gates if self.pilot else []
        return [f"{RESULTS}/{record}" for gate in gates for record in gate.records.values()]

    @property
    def verdict(self) -> str:
        """The verdict on the pilot; its address says what was asked of which records."""
        return f"{RESULTS}/pilots/{digest_text(self.pilot_json)[:DIGITS]}.json"

    def after_pilot(self, checkpoints: Any) -> Function:
        """Return the input function by which a training waits for the pilot; the pilot's own and finished ones do not.

        checkpoints: Snakemake's. The verdict is no input: Snakemake would train again what was trained without it.
        """

        def none_yet(wildcards: Wildcards) -> list[str]:
            run = self._both(wildcards)[1]
            if self.pilot and run.name not in self.pilot.runs and not is_trained(self.folder, run):
                checkpoints.gate.get()
            return []

        return none_yet

    def priority(self, wildcards: Wildcards) -> int:
        """Return the priority of a job of a run: those of the pilot come first."""
        return int(bool(self.pilot and self._both(wildcards)[1].name in self.pilot.runs))

    def figure_input(self, wildcards: Wildcards) -> list[str]:
        """Return the judged claims, for a figure that shows them in a suite that has any."""
        shown = self.plan.claims and WORDS[wildcards["figure"]].claims
        return [f"{RESULTS}/tables/{JUDGED}"] if shown else []

    def picture(self, wildcards: Wildcards) -> PlannedPicture:
        """Return the plan's entry of a picture."""
        return self.pictures[wildcards["picture"]]

    def picture_input(self, wildcards: Wildcards) -> list[str]:
        """Return the manifest of a picture's data set, and the checkpoints of the runs that it shows."""
        entry = self.picture(wildcards)
        encoders = DRAWINGS[entry.drawing].encoders
        names = ["config.json", *(["checkpoint.pt"] if encoders else [])]
        runs = [self.plan.run(name).folder for name in entry.runs]
        return [self.manifest(entry.dataset), *(f"{RESULTS}/{run}/{name}" for run in runs for name in names)]

    def targets(self) -> list[str]:
        """Return everything that the suite is to make."""
        return [f"{RESULTS}/{name}" for name in self.plan.made()]

    # --- parameters: what a stage depends on beside its inputs

    def recipe_json(self, wildcards: Wildcards) -> str:
        """Return the recipe of a run."""
        return self.run(wildcards).recipe.model_dump_json()

    def data_code(self, wildcards: Wildcards) -> str:
        """Return the digest of the code that prepares a data set."""
        return prepare_digest(self.suite.dataset_configs[self.dataset(wildcards)].reader)

    def pretrain_code(self, wildcards: Wildcards) -> str:
        """Return the digest of the code that trains a run."""
        recipe = self.run(wildcards).recipe
        return pretrain_digest(recipe.method, [item.op for item in recipe.ops])

    def extract_code(self, wildcards: Wildcards) -> str:
        """Return the digest of the code that extracts the features of a run."""
        return self._extract_code(self.run(wildcards).recipe.method, tuple(self._feature_names(wildcards)))

    def _new_extract_code(self, method: str, perturbations: tuple[str, ...]) -> str:
        return extract_digest(method, self.suite.ops(perturbations))

    def extract_arguments(self, wildcards: Wildcards) -> str:
        """Return the part of the command that says what to extract."""
        names = self._feature_names(wildcards)
        draws = max(self.suite.perturbations[name].draws for name in names)
        return f"--draws {draws} --perturbations {shlex.join(names)}"

    def table_title(self, wildcards: Wildcards) -> str:
        """Return the title of a table, for Snakemake's own report."""
        return self.plan.tables[wildcards["table"]].title

    def table_caption(self, wildcards: Wildcards) -> str:
        """Return the caption of a table, for Snakemake's own report."""
        return self.plan.tables[wildcards["table"]].caption

    def heading(self, wildcards: Wildcards) -> str:
        """Return under which heading Snakemake's own report lists a table."""
        return HEADINGS.get(self.plan.tables[wildcards["table"]].kind, "Evaluations")

    def figure_caption(self, wildcards: Wildcards) -> str:
        """Return the caption of a figure, for Snakemake's own report."""
        return self.plan.figures[wildcards["figure"]].caption

    def _feature_names(self, wildcards: Wildcards) -> list[str]:
        return self.suite.features(self.run(wildcards), wildcards["eval_dataset"])

    def evaluate_arguments(self, evaluation: str) -> Function:
        """Return the function of wildcards and input that gives what the command of an evaluation depends on."""

        def arguments(wildcards: Wildcards, input: Any) -> str:
            run = self.run(wildcards)
            names, subsets = run.evaluations[wildcards["eval_dataset"]][evaluation], run.subsets
            control = f"--subsets {subsets.draws} --dir-frac {subsets.dir_frac} " if subsets else ""
            stored = f"--features {shlex.quote(input.features)} " if self.suite.takes_features(run, evaluation) else ""
            return f"{stored}{control}--perturbations {shlex.join(names)}"

        return arguments

    def evaluate_code(self, evaluation: str) -> Function:
        """Return the function of wildcards that gives the digest of the code of an evaluation."""
        protocol = self.suite.evaluations[evaluation].protocol
        return lambda wildcards: evaluate_digest(self.run(wildcards).recipe.method, protocol)

    def picture_code(self, wildcards: Wildcards) -> str:
        """Return the digest of the code that draws a picture."""
        entry = self.picture(wildcards)
        recipes = [self.suite.runs[name].recipe for name in entry.runs]
        ops = [item.op for recipe in recipes for item in recipe.ops]
        return picture_digest(entry.drawing, [recipe.method for recipe in recipes], ops)

    collect_code = staticmethod(collect_digest)
    report_code = staticmethod(report_digest)
    page_code = staticmethod(page_digest)

    # --- what a job needs of a machine

    def needs(self, stage: str, wildcards: Wildcards, *evaluation: str) -> Needs:
        """Return what the job of a stage needs: prepare, pretrain, extract, evaluate (by an evaluation) or picture."""
        if stage == "prepare":
            return prepare_needs(self.suite.dataset_configs[self.dataset(wildcards)])
        if stage == "picture":
            return picture_needs(self.suite, self.picture(wildcards))
        where = [] if stage == "pretrain" else [wildcards["eval_dataset"]]
        return self._needs(stage, self._both(wildcards)[1].name, *where, *evaluation)

    def _new_needs(self, stage: str, name: str, *where: str) -> Needs:
        of_run: dict[str, Callable[..., Needs]]
        of_run = {"pretrain": pretrain_needs, "extract": extract_needs, "evaluate": evaluate_needs}
        return of_run[stage](self.suite, self.suite.runs[name], *where)

    def cpus(self, stage: str, *evaluation: str) -> Function:
        """Return the function that gives the number of cores of a stage's job."""
        return lambda wildcards: self.needs(stage, wildcards, *evaluation).cpus

    def resources(self, stage: str, *evaluation: str) -> dict[str, Callable[..., int]]:
        """Return the functions of a stage's resources; tried again, a job gets up to three times memory and time."""

        def amount(name: str, most: int) -> Callable[..., int]:
            return lambda wildcards, attempt: int(
                getattr(self.needs(stage, wildcards, *evaluation), name) * min(attempt, most)
            )

        def places(wildcards: Wildcards, attempt: int) -> int:
            n = self.needs(stage, wildcards, *evaluation).gpu
            return n * places_taken(self.run(wildcards).recipe) if n else 0

        return {
            "gpu": places,
            "mem_mb": amount("mem_mb", 3),
            "disk_mb": amount("disk_mb", 1),
            "runtime": amount("runtime", 3),
        }

    def group(self, evaluation: str) -> Function:
        """Return the function that puts short evaluations of features into one cluster job with their extraction."""
        return lambda wildcards: "evaluation" if is_short(self.needs("evaluate", wildcards, evaluation)) else None
