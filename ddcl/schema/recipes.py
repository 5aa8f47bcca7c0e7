"""From names to a recipe: everything that can move the numbers of one run, in one object.

The recipe is what `resolve` writes to config.json; labels and other words are not in it, so a changed label retrains
nothing. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from ddcl.base.errors import UserError, check_name
from ddcl.base.files import canonical_json, digest_text, read_json
from ddcl.base.yaml_files import Model, merge, parse, read_yaml
from ddcl.schema.ops import build_settings
from ddcl.schema.registry import EVALUATIONS, METHODS, READERS
from ddcl.schema.run_key import RunKey
from ddcl.schema.suites import DatasetConfig, EvaluationConfig, NormalisationConfig, OpsConfig, VariantConfig
from ddcl.schema.training import TrainingConfig

CONFIG_DIR = Path(__file__).resolve().parents[2] / "config"
NO_AUGMENTATION = "none"  # the augmentation of runs that do not train
ANY_SCALE = "any"  # folder of the variants that change something at every scale
AUTHORS_SUFFIX = "_authors"  # of the variants of a block with `authors: true`


class OpRecipe(Model):
    """One image operation with all its numbers."""

    op: str
    settings: dict[str, Any]


class DataRecipe(Model):
    """Everything that can move the images of a prepared data set."""

    reader: str
    settings: dict[str, Any]
    image_side_px: int
    n_classes: int
    normalisation: NormalisationConfig | None
    resize_px: int | None


def run_name(run: Mapping[str, Any]) -> str:
    """Return the address of a run below results/runs, from its dataset, variant, augmentation and seed."""
    return f"{run['dataset']}/{run['variant']}/{run['augmentation']}/seed{run['seed']}"


class Recipe(Model):
    """Everything that can move the numbers of one run."""

    dataset: str
    variant: str
    augmentation: str
    seed: int = Field(ge=0)
    data: DataRecipe
    method: str
    settings: dict[str, Any]
    training: TrainingConfig
    ops: list[OpRecipe]

    @property
    def digest(self) -> str:
        """16 hex digits that change with any number of the recipe."""
        return digest_text(canonical_json(self.model_dump()))

    @property
    def authors(self) -> bool:
        """Whether the run reproduces the official code, quirks included."""
        return self.variant.endswith(AUTHORS_SUFFIX)

    @property
    def key(self) -> RunKey:
        """What names the run."""
        return RunKey(dataset=self.dataset, variant=self.variant, augmentation=self.augmentation, seed=self.seed)

    @property
    def name(self) -> str:
        """``dataset/variant/augmentation/seedN``: the run's address below results/runs."""
        return run_name(vars(self))


class EvaluationRecipe(Model):
    """Everything that can move the numbers of one evaluation of given features."""

    evaluation: str
    protocol: str
    selection: str
    settings: dict[str, Any]
    under: str = Field(default="all", exclude=True)  # which cells there are, not what their numbers are


class PerturbationRecipe(Model):
    """A fixed recipe for test images."""

    perturbation: str
    ops: list[OpRecipe]
    draws: int = 1


def load_recipe(path: Path) -> Recipe:
    """Read the recipe that `resolve` wrote."""
    return parse(Recipe, read_json(path, "recipe"), str(path))


def variant_path(scale: str, name: str) -> Path:
    """Return the file of a variant: of the scale, else of `any`, where what holds at every scale stands."""
    own = CONFIG_DIR / "variants" / scale / f"{name}.yaml"
    if own.exists():
        return own
    common = CONFIG_DIR / "variants" / ANY_SCALE / f"{name}.yaml"
    return common if common.exists() else own


def _read_with_base(scale: str, name: str, chain: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the YAML of variant `name` on top of its `base`, recursively."""
    path = variant_path(scale, name)
    if name in chain:
        raise UserError(f"{path}: circular base: {' -> '.join((*chain, name))}")
    values = dict(read_yaml(path))
    base = values.pop("base", None)
    return values if base is None else merge(_read_with_base(scale, base, (*chain, name)), values)


def read_dataset(name: str) -> DatasetConfig:
    """Read and check config/datasets/`name`.yaml."""
    path = CONFIG_DIR / "datasets" / f"{name}.yaml"
    dataset = parse(DatasetConfig, read_yaml(path), str(path))
    check_name("reader", dataset.reader, READERS, str(path))
    for op, values in dataset.augmentation_overrides.items():
        build_settings(op, values, f"{path}: augmentation_overrides")
    return dataset


def data_recipe(name: str) -> DataRecipe:
    """Return the recipe of the data set `name`."""
    dataset = read_dataset(name)
    values = dataset.model_dump(include=set(DataRecipe.model_fields))
    return DataRecipe.model_validate(values | {"settings": reader_settings(name, dataset).model_dump()})


def reader_settings(name: str, dataset: DatasetConfig) -> BaseModel:
    """Return the settings of the data set's reader, checked."""
    where = f"{CONFIG_DIR / 'datasets' / name}.yaml: settings"
    return parse(READERS[dataset.reader].settings, dataset.settings, where)


def read_variant(dataset: DatasetConfig, name: str, overrides: dict[str, Any], authors: bool = False) -> VariantConfig:
    """Read and check the variant `name` of the data set's scale.

    On top of the variant's own numbers come, in this order, what the data set needs otherwise, the variant's `authors`
    section if `authors` is asked for, and a block's `overrides` of the training settings.
    """
    root = CONFIG_DIR / "variants"
    scales = [entry.name for entry in root.iterdir() if entry.is_dir() and entry.name != ANY_SCALE]
    check_name("scale", dataset.scale, scales, str(root))
    where = str(variant_path(dataset.scale, name))
    values = _read_with_base(dataset.scale, name)
    values["training"] = merge(values.get("training") or {}, dataset.training_overrides)
    if authors:
        if not values.get("authors"):
            raise UserError(f"{where}: has no section `authors`, but a block with `authors: true` names it")
        values = merge(values, values["authors"]) | {"label": f"{values.get('label')} (as published)"}
    values["training"] = merge(values["training"], overrides)
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
    if config.family:
        raise UserError(f"{path}: a family stands for several perturbations; it has no operations of its own")
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


def read_perturbations(name: str, draws: int = 1) -> dict[str, tuple[str, PerturbationRecipe]]:
    """Return label and recipe of the perturbation `name`, by name; a family gives one for each combination.

    draws: of a perturbation with operations; members of a family are drawn once.
    """
    path = CONFIG_DIR / "perturbations" / f"{name}.yaml"
    config = parse(OpsConfig, read_yaml(path), str(path))
    if not config.family:
        label, ops = read_ops("perturbations", name, {})
        return {name: (label, PerturbationRecipe(perturbation=name, ops=ops, draws=draws if ops else 1))}
    family = config.family
    if config.base is not None:
        base = CONFIG_DIR / "perturbations" / f"{config.base}.yaml"
        family = merge(parse(OpsConfig, read_yaml(base), str(base)).family, family)
    if len(family) != 1 or config.ops or config.remove:
        raise UserError(f"{path}: a family has exactly one operation, and neither ops nor remove")
    ((op, lists),) = family.items()
    found = {}
    for values in product(*lists.values()):
        member = f"{name}.{'_'.join(map(str, values))}"
        item = _complete(OpRecipe(op=op, settings=dict(zip(lists, values, strict=True))), {}, str(path))
        recipe = PerturbationRecipe(perturbation=member, ops=[item], draws=1)
        text = " ".join(map(str, values)).replace("_", " ")
        found[member] = (text if any(isinstance(own, str) for own in values) else f"{config.label} {text}", recipe)
    return found


def read_perturbation(name: str, draws: int = 1) -> PerturbationRecipe:
    """Return the recipe of one perturbation; members of a family are named FAMILY.VALUES."""
    members = read_perturbations(name.split(".", 1)[0], draws)
    check_name("perturbation", name, members, str(CONFIG_DIR / "perturbations"))
    return members[name][1]


def read_evaluation(name: str) -> tuple[str, EvaluationRecipe]:
    """Return label and recipe of config/evaluations/`name`.yaml."""
    path = CONFIG_DIR / "evaluations" / f"{name}.yaml"
    config = parse(EvaluationConfig, read_yaml(path), str(path))
    check_name("protocol", config.protocol, EVALUATIONS, str(path))
    settings = parse(EVALUATIONS[config.protocol].settings, config.settings, f"{path}: settings")
    return config.label, EvaluationRecipe(
        evaluation=name,
        protocol=config.protocol,
        selection=config.selection,
        settings=settings.model_dump(),
        under=config.under,
    )


def build_recipe(names: tuple[str, str, str], seed: int, overrides: dict[str, Any], authors: bool = False) -> Recipe:
    """Return the recipe of the run `names` = (dataset, variant, augmentation)."""
    dataset_name, variant_name, augmentation = names
    dataset = read_dataset(dataset_name)
    variant = read_variant(dataset, variant_name, overrides, authors)
    trains = METHODS[variant.method].trains
    if trains == (augmentation == NO_AUGMENTATION):
        wanted = "a name in config/augmentations" if trains else repr(NO_AUGMENTATION)
        raise UserError(f"variant {variant_name!r} with augmentation {augmentation!r}: it needs {wanted}")
    ops = read_ops("augmentations", augmentation, dataset.augmentation_overrides)[1] if trains else []
    return Recipe(
        dataset=dataset_name,
        variant=variant_name + (AUTHORS_SUFFIX if authors else ""),
        augmentation=augmentation,
        seed=seed,
        data=data_recipe(dataset_name),
        method=variant.method,
        settings=parse(METHODS[variant.method].settings, variant.settings, variant_name).model_dump(),
        training=variant.training,
        ops=ops,
    )
