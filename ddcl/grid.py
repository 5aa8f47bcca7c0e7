"""A suite's grid: which runs, cells and files there are. Imports no torch: Snakemake reads it at every start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddcl.core.config import SuiteConfig, parse, read_yaml
from ddcl.core.errors import UserError, check_name
from ddcl.core.files import canonical_json
from ddcl.recipes import (
    CONFIG_DIR,
    EvaluationRecipe,
    PerturbationRecipe,
    Recipe,
    build_recipe,
    read_dataset,
    read_evaluation,
    read_ops,
    read_perturbation,
    read_variant,
)
from ddcl.registry import METHODS
from ddcl.report.specs import FIGURE_NAMES, TableSpec

CLEAN = "none"  # the perturbation that leaves test images as they are


@dataclass(frozen=True)
class Cell:
    """One number that the suite is expected to give: run × evaluation × perturbation × part."""

    run: str
    evaluation: str
    perturbation: str
    part: str


class Suite:
    """A checked suite. Everything is read and validated when it is built, so errors come before any job.

    config: the parsed suite file.
    where: where it comes from, for messages.
    """

    def __init__(self, config: dict[str, Any], where: str) -> None:
        self.config = parse(SuiteConfig, config, where)
        self.recipes: dict[str, Recipe] = {}
        names = dict.fromkeys(name for block in self.config.runs for name in block.datasets)
        self.dataset_configs = {name: read_dataset(name) for name in names}
        for block in self.config.runs:
            self._add_block(block.model_dump(), where)
        if CLEAN not in self.config.perturbations:
            raise UserError(f"{where}: perturbations must contain {CLEAN!r}: the clean images are the reference")
        for figure in self.config.figures:
            check_name("figure", figure, FIGURE_NAMES, f"{where}: figures")
        self.evaluations: dict[str, EvaluationRecipe] = {}
        self.perturbations: dict[str, PerturbationRecipe] = {}
        self.labels: dict[str, dict[str, str]] = {"evaluation": {}, "perturbation": {}}
        for name in self.config.evaluations:
            self.labels["evaluation"][name], self.evaluations[name] = read_evaluation(name)
        for name in self.config.perturbations:
            self.labels["perturbation"][name], self.perturbations[name] = read_perturbation(name)
        self.tables = {name: read_table(name) for name in self.config.tables}

    @classmethod
    def load(cls, path: Path) -> Suite:
        """Read the suite file `path`."""
        return cls(read_yaml(path), str(path))

    def _add_block(self, block: dict[str, Any], where: str) -> None:
        for dataset in block["datasets"]:
            for variant in block["variants"]:
                for augmentation in block["augmentations"]:
                    first: Recipe | None = None
                    for seed in block["seeds"]:
                        recipe = (
                            first.model_copy(update={"seed": seed})
                            if first
                            else build_recipe((dataset, variant, augmentation), seed, block["overrides"])
                        )
                        first = first or recipe
                        if self.recipes.setdefault(recipe.name, recipe) != recipe:
                            raise UserError(f"{where}: runs: {recipe.name} stands in two blocks with other numbers")

    def cells(self) -> list[Cell]:
        """Return every cell that the suite is expected to fill."""
        return [
            Cell(name, evaluation, perturbation, part)
            for name, recipe in self.recipes.items()
            for evaluation in self.evaluations
            for perturbation in self.perturbations
            for part in METHODS[recipe.method].parts
        ]

    def plan(self) -> dict[str, Any]:
        """Return the JSON object of results/suite.json: what collect, tables, figures and the report need to know."""
        labels = dict(self.labels)
        labels["dataset"] = {name: dataset.label for name, dataset in self.dataset_configs.items()}
        labels["variant"] = {}
        labels["augmentation"] = {CLEAN: "no training"}
        for recipe in self.recipes.values():
            scale = self.dataset_configs[recipe.dataset].scale
            labels["variant"][recipe.variant] = read_variant(scale, recipe.variant, {}).label
            if recipe.ops:
                labels["augmentation"][recipe.augmentation] = read_ops("augmentations", recipe.augmentation, {})[0]
        return {
            "schema": 1,
            "suite": self.config.suite,
            "title": self.config.title,
            "description": self.config.description,
            "runs": [self._run_entry(recipe) for recipe in self.recipes.values()],
            "evaluations": list(self.evaluations),
            "selections": {name: recipe.selection for name, recipe in self.evaluations.items()},
            "perturbations": list(self.perturbations),
            "tables": list(self.tables),
            "figures": self.config.figures,
            "table_specs": {name: spec.model_dump() for name, spec in self.tables.items()},
            "labels": labels,
        }

    def _run_entry(self, recipe: Recipe) -> dict[str, Any]:
        entry = METHODS[recipe.method]
        return {
            "dataset": recipe.dataset,
            "variant": recipe.variant,
            "augmentation": recipe.augmentation,
            "seed": recipe.seed,
            "parts": list(entry.parts),
            "trains": entry.trains,
            "recipe_digest": recipe.digest,
        }

    def plan_text(self) -> str:
        """Return `plan` as canonical JSON: the parameter of the rule that writes it."""
        return canonical_json(self.plan())


def read_table(name: str) -> TableSpec:
    """Read and check config/tables/`name`.yaml."""
    path = CONFIG_DIR / "tables" / f"{name}.yaml"
    return parse(TableSpec, read_yaml(path), str(path))
