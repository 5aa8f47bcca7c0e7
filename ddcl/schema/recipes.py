"""From names to a recipe: everything that can move the numbers of one run, in one object.

The recipe is what `resolve` writes to config.json; labels and other words are not in it, so a changed label retrains
nothing. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from ddcl.base.errors import UserError, check_name
from ddcl.base.files import canonical_json, digest_text, read_json
from ddcl.base.yaml_files import Model, merge, parse, read_yaml
from ddcl.schema.bases import Named, on_its_base
from ddcl.schema.identity import completed, identity
from ddcl.schema.ops import OPS, build_settings
from ddcl.schema.places import config_names, config_path
from ddcl.schema.registry import EVALUATIONS, METHODS, READERS, Entry
from ddcl.schema.run_key import RunKey
from ddcl.schema.suites import DatasetConfig, EvaluationConfig, NormalisationConfig, OpsConfig
from ddcl.schema.training import TrainingConfig
from ddcl.schema.variants import authors_name, read_variant

NO_AUGMENTATION = "none"  # the augmentation of runs that do not train


class OpRecipe(Model):
    """One image operation with all its numbers."""

    op: str
    settings: dict[str, Any]

    def identity(self) -> dict[str, Any]:
        """Return what digests are made of."""
        return {"op": self.op, "settings": identity(build_settings(self.op, self.settings, self.op))}


class DataRecipe(Model):
    """Everything that can move the images of a prepared data set."""

    reader: str
    settings: dict[str, Any]
    image_side_px: int
    n_classes: int
    normalisation: NormalisationConfig | None
    resize_px: int | None

    def identity(self) -> dict[str, Any]:
        """Return what digests are made of."""
        return identity(self) | {"settings": _settings_identity(READERS[self.reader], self.settings)}

    @property
    def digest(self) -> str:
        """16 hex digits that change with anything that can move the images."""
        return digest_of(self.identity())


def _settings_identity(entry: Entry, values: dict[str, Any]) -> dict[str, Any]:
    return identity(entry.settings.model_validate(completed(entry.settings, values)))


def digest_of(value: Any) -> str:
    """Return the 16 hex digits of a value that JSON can hold."""
    return digest_text(canonical_json(value))


def run_name(run: Mapping[str, Any]) -> str:
    """Return the address of a run below results/runs, from its dataset, variant, augmentation and seed."""
    return f"{run['dataset']}/{run['variant']}/{run['augmentation']}/seed{run['seed']}"


class Recipe(Model):
    """Everything that can move the numbers of one run."""

    dataset: str
    variant: str
    augmentation: str
    seed: int = Field(ge=0)
    authors: bool = Field(description="whether the run reproduces the official code, quirks included")
    data: DataRecipe
    method: str
    settings: dict[str, Any]
    training: TrainingConfig
    ops: list[OpRecipe]

    @cached_property
    def arm_digest(self) -> str:
        """16 hex digits that change with any number of the recipe but its seed."""
        values = identity(self) | {"settings": _settings_identity(METHODS[self.method], self.settings)}
        values |= {"data": self.data.identity(), "ops": [item.identity() for item in self.ops]}
        del values["seed"]
        return digest_of(values)

    @property
    def digest(self) -> str:
        """16 hex digits that change with any number of the recipe."""
        return digest_text(f"{self.arm_digest} seed {self.seed}")

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

    def identity(self) -> dict[str, Any]:
        """Return what digests are made of."""
        return identity(self) | {"settings": _settings_identity(EVALUATIONS[self.protocol], self.settings)}


class PerturbationRecipe(Model):
    """A fixed recipe for test images."""

    perturbation: str
    ops: list[OpRecipe]
    draws: int = 1
    # Of a member of a family: whose it is, and the number in which the members differ, if it is one. What the member is
    # called, not what it does, so it is not part of what is compared.
    family: str | None = Field(default=None, exclude=True)
    strength: float | None = Field(default=None, exclude=True)

    def identity(self) -> dict[str, Any]:
        """Return what digests are made of."""
        return identity(self) | {"ops": [item.identity() for item in self.ops]}


def load_recipe(path: Path) -> Recipe:
    """Read the recipe that `resolve` wrote; later fields that it lacks have the values declared as absent."""
    values, where = read_json(path, "recipe"), str(path)
    recipe = parse(Recipe, completed(Recipe, values) if isinstance(values, dict) else values, where)
    check_name("method", recipe.method, METHODS, where)
    check_name("reader", recipe.data.reader, READERS, where)
    for item in recipe.ops:
        check_name("operation", item.op, OPS, where)
    data = completed(READERS[recipe.data.reader].settings, recipe.data.settings)
    return recipe.model_copy(
        update={
            "settings": completed(METHODS[recipe.method].settings, recipe.settings),
            "data": recipe.data.model_copy(update={"settings": data}),
            "ops": [item.model_copy(update={"settings": _op_settings(item)}) for item in recipe.ops],
        }
    )


def _op_settings(item: OpRecipe) -> dict[str, Any]:
    return completed(OPS[item.op].settings, item.settings)


def read_dataset(name: str) -> DatasetConfig:
    """Read and check config/datasets/`name`.yaml."""
    path = config_path("datasets", name)
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
    where = f"{config_path('datasets', name)}: settings"
    return parse(READERS[dataset.reader].settings, dataset.settings, where)


def read_ops(
    kind: str, name: str, overrides: dict[str, dict[str, Any]], chain: tuple[str, ...] = ()
) -> tuple[str, list[OpRecipe]]:
    """Return label and operations of config/`kind`/`name`.yaml (`kind`: augmentations or perturbations)."""
    path = config_path(kind, name)
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


def _read_ops_config(kind: str, name: str) -> OpsConfig:
    path = config_path(kind, name)
    return parse(OpsConfig, read_yaml(path), str(path))


def read_perturbations(name: str, draws: int = 1) -> dict[str, tuple[str, PerturbationRecipe]]:
    """Return label and recipe of the perturbation `name`, by name; a family gives one for each combination.

    draws: of a perturbation with operations; members of a family are drawn once.
    """
    config = _read_ops_config("perturbations", name)
    if not config.family:
        label, ops = read_ops("perturbations", name, {})
        return {name: (label, PerturbationRecipe(perturbation=name, ops=ops, draws=draws if ops else 1))}
    op, lists = _lists_of(name, config)
    where = str(config_path("perturbations", name))
    found: dict[str, tuple[str, PerturbationRecipe]] = {}
    for values in product(*lists.values()):
        item = _complete(OpRecipe(op=op, settings=dict(zip(lists, values, strict=True))), {}, where)
        member = _member_name(name, values)
        strength = float(values[0]) if len(values) == 1 and isinstance(values[0], int | float) else None
        recipe = PerturbationRecipe(perturbation=member, ops=[item], draws=1, family=name, strength=strength)
        text = " ".join(map(str, values)).replace("_", " ")
        found[member] = (text if any(isinstance(own, str) for own in values) else f"{config.label} {text}", recipe)
    return found


def _lists_of(family: str, config: OpsConfig) -> tuple[str, dict[str, list[Any]]]:
    """Return the operation of a family, and the lists of its settings."""
    lists = config.family
    if config.base is not None:
        lists = merge(_read_ops_config("perturbations", config.base).family, lists)
    if len(lists) != 1 or config.ops or config.remove:
        path = config_path("perturbations", family)
        raise UserError(f"{path}: a family has exactly one operation, and neither ops nor remove")
    ((op, settings),) = lists.items()
    return op, settings


def _member_name(family: str, values: Iterable[Any]) -> str:
    """Return the name of a family's member with these settings; nothing takes it apart again."""
    return f"{family}.{'_'.join(map(str, values))}"


def _families() -> dict[str, str]:
    """Return the family of each member that config/perturbations stands for."""
    found: dict[str, str] = {}
    for family in config_names("perturbations"):
        config = _read_ops_config("perturbations", family)
        if config.family:
            settings = _lists_of(family, config)[1].values()
            found |= {_member_name(family, values): family for values in product(*settings)}
    return found


def read_perturbation(name: str, draws: int = 1) -> PerturbationRecipe:
    """Return the recipe of one perturbation, or of one member of a family."""
    single, file = config_names("perturbations"), name
    if name not in single:
        families = _families()
        check_name("perturbation", name, [*single, *families], "config/perturbations")
        file = families[name]
    members = read_perturbations(file, draws)
    check_name("perturbation", name, members, str(config_path("perturbations", file)))
    return members[name][1]


def read_evaluation(name: str) -> tuple[str, EvaluationRecipe]:
    """Return label and recipe of config/evaluations/`name`.yaml."""
    where, values = on_its_base(name, _find_evaluation)
    config = parse(EvaluationConfig, values, where)
    check_name("protocol", config.protocol, EVALUATIONS, where)
    settings = parse(EVALUATIONS[config.protocol].settings, config.settings, f"{where}: settings")
    return config.label, EvaluationRecipe(
        evaluation=name,
        protocol=config.protocol,
        selection=config.selection,
        settings=settings.model_dump(),
        under=config.under,
    )


def _find_evaluation(name: str) -> Named:
    path = config_path("evaluations", name)
    return Named(str(path), read_yaml(path))


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
        variant=authors_name(variant_name) if authors else variant_name,
        augmentation=augmentation,
        seed=seed,
        authors=authors,
        data=data_recipe(dataset_name),
        method=variant.method,
        settings=parse(METHODS[variant.method].settings, variant.settings, variant_name).model_dump(),
        training=variant.training,
        ops=ops,
    )
