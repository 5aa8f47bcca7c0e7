"""From names to a recipe: everything that can move the numbers of one run, in one object.

The recipe is what `resolve` writes to config.json; labels and other words are not in it, so a changed label retrains
nothing. Imports no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from ddcl.core.config import (
    DatasetConfig,
    EvaluationConfig,
    Model,
    OpsConfig,
    TrainingConfig,
    VariantConfig,
    merge,
    parse,
    read_yaml,
)
from ddcl.core.errors import UserError, check_name
from ddcl.core.files import canonical_json, digest_text, read_json
from ddcl.data.op_settings import build_settings
from ddcl.registry import EVALUATIONS, METHODS, READERS

CONFIG_DIR = Path(__file__).resolve().parents[1] / "config"
NO_AUGMENTATION = "none"  # the augmentation of runs that do not train


class OpRecipe(Model):
    """One image operation with all its numbers."""

    op: str
    settings: dict[str, Any]


class Recipe(Model):
    """Everything that can move the numbers of one run."""

    dataset: str
    variant: str
    augmentation: str
    seed: int = Field(ge=0)
    reader: str
    image_side_px: int
    method: str
    settings: dict[str, Any]
    training: TrainingConfig
    ops: list[OpRecipe]

    @property
    def digest(self) -> str:
        """16 hex digits that change with any number of the recipe."""
        return digest_text(canonical_json(self.model_dump()))

    @property
    def name(self) -> str:
        """``dataset/variant/augmentation/seedN``: the run's address below results/runs."""
        return f"{self.dataset}/{self.variant}/{self.augmentation}/seed{self.seed}"


class EvaluationRecipe(Model):
    """Everything that can move the numbers of one evaluation of given features."""

    evaluation: str
    protocol: str
    selection: str
    settings: dict[str, Any]


class PerturbationRecipe(Model):
    """A fixed recipe for test images."""

    perturbation: str
    ops: list[OpRecipe]


def load_recipe(path: Path) -> Recipe:
    """Read the recipe that `resolve` wrote."""
    return parse(Recipe, read_json(path, "recipe"), str(path))


def _read_with_base(folder: Path, name: str, chain: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the YAML `folder`/`name` on top of its `base`, recursively."""
    if name in chain:
        raise UserError(f"{folder / name}.yaml: circular base: {' -> '.join((*chain, name))}")
    values = read_yaml(folder / f"{name}.yaml")
    base = values.pop("base", None)
    return values if base is None else merge(_read_with_base(folder, base, (*chain, name)), values)


def read_dataset(name: str) -> DatasetConfig:
    """Read and check config/datasets/`name`.yaml."""
    path = CONFIG_DIR / "datasets" / f"{name}.yaml"
    dataset = parse(DatasetConfig, read_yaml(path), str(path))
    check_name("reader", dataset.reader, READERS, str(path))
    for op, values in dataset.augmentation_overrides.items():
        build_settings(op, values, f"{path}: augmentation_overrides")
    return dataset


def read_variant(scale: str, name: str, overrides: dict[str, Any]) -> VariantConfig:
    """Read and check config/variants/`scale`/`name`.yaml, with a block's `overrides` of its training settings."""
    folder = CONFIG_DIR / "variants" / scale
    check_name("scale", scale, [entry.name for entry in folder.parent.iterdir() if entry.is_dir()], str(folder.parent))
    where = f"{folder / name}.yaml"
    values = _read_with_base(folder, name)
    values["training"] = merge(values.get("training") or {}, overrides)
    variant = parse(VariantConfig, values, where if not overrides else f"{where} with the block's overrides")
    check_name("method", variant.method, METHODS, where)
    parse(METHODS[variant.method].settings, variant.settings, f"{where}: settings")
    return variant


def read_ops(
    kind: str, name: str, overrides: dict[str, dict[str, Any]], chain: tuple[str, ...] = ()
) -> tuple[str, list[OpRecipe]]:
    """Return label and operations of config/`kind`/`name`.yaml (`kind`: augmentations or perturbations)."""
    path = CONFIG_DIR / kind / f"{name}.yaml"
    if name in chain:
        raise UserError(f"{path}: circular base: {' -> '.join((*chain, name))}")
    config = parse(OpsConfig, read_yaml(path), str(path))
    ops: list[OpRecipe] = []
    if config.base is None and config.remove:
        raise UserError(f"{path}: remove: there is no base to remove {config.remove} from")
    if config.base is not None:
        ops = read_ops(kind, config.base, {}, (*chain, name))[1]
        for op in config.remove:
            check_name("operation to remove", op, [item.op for item in ops], f"{path}: remove")
        ops = [item for item in ops if item.op not in config.remove]
    for index, entry in enumerate(config.ops):
        if len(entry) != 1:
            raise UserError(f"{path}: ops.{index}: expected one operation per item, found {sorted(entry)}")
        ((op, values),) = entry.items()
        ops.append(OpRecipe(op=op, settings=values))
    return config.label, [_complete(item, overrides, str(path)) for item in ops]


def _complete(item: OpRecipe, overrides: dict[str, dict[str, Any]], where: str) -> OpRecipe:
    """Return the operation with overrides and all defaults filled in, checked."""
    values = merge(item.settings, overrides.get(item.op, {}))
    settings: BaseModel = build_settings(item.op, values, where)
    return OpRecipe(op=item.op, settings=settings.model_dump())


def read_perturbation(name: str) -> tuple[str, PerturbationRecipe]:
    """Return label and recipe of config/perturbations/`name`.yaml."""
    label, ops = read_ops("perturbations", name, {})
    return label, PerturbationRecipe(perturbation=name, ops=ops)


def read_evaluation(name: str) -> tuple[str, EvaluationRecipe]:
    """Return label and recipe of config/evaluations/`name`.yaml."""
    path = CONFIG_DIR / "evaluations" / f"{name}.yaml"
    config = parse(EvaluationConfig, read_yaml(path), str(path))
    check_name("protocol", config.protocol, EVALUATIONS, str(path))
    settings = parse(EVALUATIONS[config.protocol].settings, config.settings, f"{path}: settings")
    return config.label, EvaluationRecipe(
        evaluation=name, protocol=config.protocol, selection=config.selection, settings=settings.model_dump()
    )


def build_recipe(names: tuple[str, str, str], seed: int, overrides: dict[str, Any]) -> Recipe:
    """Return the recipe of the run `names` = (dataset, variant, augmentation)."""
    dataset_name, variant_name, augmentation = names
    dataset = read_dataset(dataset_name)
    variant = read_variant(dataset.scale, variant_name, overrides)
    trains = METHODS[variant.method].trains
    if trains == (augmentation == NO_AUGMENTATION):
        wanted = "a name in config/augmentations" if trains else repr(NO_AUGMENTATION)
        raise UserError(f"variant {variant_name!r} with augmentation {augmentation!r}: it needs {wanted}")
    ops = read_ops("augmentations", augmentation, dataset.augmentation_overrides)[1] if trains else []
    return Recipe(
        dataset=dataset_name,
        variant=variant_name,
        augmentation=augmentation,
        seed=seed,
        reader=dataset.reader,
        image_side_px=dataset.image_side_px,
        method=variant.method,
        settings=parse(METHODS[variant.method].settings, variant.settings, variant_name).model_dump(),
        training=variant.training,
        ops=ops,
    )
