"""From names to a recipe: everything that can move the numbers of one run, in one object.

The recipe is what `resolve` writes to config.json; labels and other words are not in it, so a changed label retrains
nothing. Imports no torch.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from ddcl.base.errors import UserError, check_name
from ddcl.base.files import canonical_json, digest_text, read_json
from ddcl.base.yaml_files import Model, parse, read_yaml
from ddcl.schema.bases import Named, on_its_base
from ddcl.schema.encoders import GivenEncoder, GivenFeatures, read_encoder
from ddcl.schema.extras import Extras
from ddcl.schema.identity import completed, identity
from ddcl.schema.names import NO_AUGMENTATION
from ddcl.schema.op_recipes import OpRecipe, PerturbationRecipe, on_images, read_ops, read_perturbation
from ddcl.schema.ops import OPS, build_settings
from ddcl.schema.places import config_names, config_path
from ddcl.schema.readers import ImageFolderSettings
from ddcl.schema.registry import EVALUATIONS, METHODS, READERS, Entry, given_method
from ddcl.schema.run_key import RunKey
from ddcl.schema.suites import WHITE, Background, DatasetConfig, EvaluationConfig, HoldoutConfig, NormalisationConfig
from ddcl.schema.training import BackboneConfig, TrainingConfig
from ddcl.schema.tuning import Setting
from ddcl.schema.variants import authors_name, read_variant, variant_names

FLOOR = "random_init"  # the variant of every scale that is not trained


class DataRecipe(Model):
    """Everything that can move the images of a prepared data set."""

    reader: str
    settings: dict[str, Any]
    image_side_px: int
    n_classes: int
    normalisation: NormalisationConfig | None
    resize_px: int | None
    one_array: bool = Field(default=False, json_schema_extra={"absent": False})
    background: Background = Field(default=WHITE, json_schema_extra={"absent": [*WHITE]})
    holdout: HoldoutConfig | None = Field(
        default=None, json_schema_extra={"absent": None}, exclude_if=lambda value: value is None
    )

    def identity(self) -> dict[str, object]:
        """Return what digests are made of."""
        return identity(self) | {"settings": _settings_identity(READERS[self.reader], self.settings)}

    @property
    def digest(self) -> str:
        """16 hex digits that change with anything that can move the images."""
        return digest_of(self.identity())


def _settings_identity(entry: Entry, values: dict[str, object]) -> dict[str, object]:
    return identity(entry.settings.model_validate(completed(entry.settings, values)))


def digest_of(value: Any) -> str:
    """Return the 16 hex digits of a value that JSON can hold."""
    return digest_text(canonical_json(value))


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
    extras: Extras | None = Field(
        default=None, json_schema_extra={"absent": None}, exclude_if=lambda value: value is None
    )
    encoder: GivenEncoder | None = Field(
        default=None,
        description="from elsewhere, in place of the training's backbone; of the training only the monitor counts then",
        json_schema_extra={"absent": None},
        exclude_if=lambda value: value is None,
    )

    @cached_property
    def arm_digest(self) -> str:
        """16 hex digits that change with any number of the recipe but its seed."""
        values = identity(self) | {"settings": _settings_identity(METHODS[self.method], self.settings)}
        values |= {"data": self.data.identity(), "ops": [item.identity() for item in self.ops]}
        if self.encoder:
            values["training"] = {"monitor": identity(self.training.monitor)}
        del values["seed"]
        return digest_of(values)

    @property
    def digest(self) -> str:
        """16 hex digits that change with any number of the recipe."""
        return digest_text(f"{self.arm_digest} seed {self.seed}")

    @property
    def network(self) -> GivenEncoder | BackboneConfig:
        """The encoder's network: its name and the width of its features."""
        return self.encoder or self.training.backbone

    @property
    def given_features(self) -> GivenFeatures | None:
        """What is known of an encoder that is not here; None: there is one, which encodes images."""
        return self.encoder.features if self.encoder else None

    @property
    def key(self) -> RunKey:
        """What names the run."""
        return RunKey(dataset=self.dataset, variant=self.variant, augmentation=self.augmentation, seed=self.seed)

    @property
    def name(self) -> str:
        """``dataset/variant/augmentation/seedN``: how the run is called."""
        return self.key.name


class EvaluationRecipe(Model):
    """Everything that can move the numbers of one evaluation of given features."""

    evaluation: str
    protocol: str
    selection: str
    settings: dict[str, Any]
    under: str = Field(default="all", exclude=True)  # which cells there are, not what their numbers are

    def identity(self) -> dict[str, object]:
        """Return what digests are made of."""
        return identity(self) | {"settings": _settings_identity(EVALUATIONS[self.protocol], self.settings)}


def load_recipe(path: Path) -> Recipe:
    """Read the recipe that `resolve` wrote; later fields that it lacks have the values declared as absent."""
    return recipe_of(read_json(path, "recipe"), str(path))


def recipe_of(values: Any, where: str) -> Recipe:
    """Return the recipe that a file holds, checked to the last setting. where: names the file in a `UserError`."""
    recipe = parse(Recipe, completed(Recipe, values) if isinstance(values, dict) else values, where)
    METHODS.check(recipe.method, where)
    READERS.check(recipe.data.reader, where)
    for item in recipe.ops:
        OPS.check(item.op, where)
    data = _settings(READERS[recipe.data.reader].settings, recipe.data.settings, f"{where}: data")
    ops = [_settings(OPS[item.op].settings, item.settings, f"{where}: ops: {item.op}") for item in recipe.ops]
    return recipe.model_copy(
        update={
            "settings": _settings(METHODS[recipe.method].settings, recipe.settings, where),
            "data": recipe.data.model_copy(update={"settings": data}),
            "ops": [item.model_copy(update={"settings": own}) for item, own in zip(recipe.ops, ops, strict=True)],
        }
    )


def _settings(model: type[BaseModel], values: dict[str, object], where: str) -> dict[str, object]:
    """Return stored settings with the later ones that they lack, after checking that they are those of `model`."""
    whole = completed(model, values)
    parse(model, whole, f"{where}: settings")
    return whole


def read_dataset(name: str) -> DatasetConfig:
    """Read and check config/datasets/`name`.yaml."""
    where, values = on_its_base(name, lambda own: _find("datasets", own))
    dataset = parse(DatasetConfig, values, where)
    READERS.check(dataset.reader, where)
    if dataset.probe:
        check_name("evaluation", dataset.probe, config_names("evaluations"), f"{where}: probe")
    for op, own in dataset.op_overrides.items():
        build_settings(op, own, f"{where}: op_overrides")
    if (dataset.resize_px is not None or dataset.one_array) and not READERS[dataset.reader].keeps_files:
        key = "one_array" if dataset.one_array else "resize_px"
        raise UserError(f"{where}: {key} is for images in files; reader {dataset.reader} makes arrays")
    settings = reader_settings(name, dataset)
    if not isinstance(settings, ImageFolderSettings):
        return dataset
    obtain = dataset.obtain or f"put its class folders there, or say in settings.folder of {where} where they are"
    found_by = dataset.found_by or [str(settings.place(Path()))]
    return dataset.model_copy(update={"obtain": obtain, "found_by": found_by})


def perturbation_on(dataset: str, name: str, draws: int = 1) -> PerturbationRecipe:
    """Return the recipe of one perturbation, or of one member of a family, as it is for the images of a data set."""
    return on_images(read_perturbation(name, draws), read_dataset(dataset).op_overrides)


def keeps_files(dataset: DatasetConfig) -> bool:
    """Return whether images stay in files, decoded when they are needed; else they become one array."""
    return READERS[dataset.reader].keeps_files and not dataset.one_array


def data_recipe(name: str) -> DataRecipe:
    """Return the recipe of the data set `name`."""
    dataset = read_dataset(name)
    values = dataset.model_dump(include=set(DataRecipe.model_fields))
    return DataRecipe.model_validate(values | {"settings": reader_settings(name, dataset).model_dump()})


def reader_settings(name: str, dataset: DatasetConfig) -> BaseModel:
    """Return the settings of the data set's reader, checked."""
    where = f"{config_path('datasets', name)}: settings"
    return parse(READERS[dataset.reader].settings, dataset.settings, where)


def read_evaluation(name: str) -> tuple[str, EvaluationRecipe]:
    """Return label and recipe of config/evaluations/`name`.yaml."""
    where, values = on_its_base(name, lambda own: _find("evaluations", own))
    config = parse(EvaluationConfig, values, where)
    EVALUATIONS.check(config.protocol, where)
    settings = parse(EVALUATIONS[config.protocol].settings, config.settings, f"{where}: settings")
    return config.label, EvaluationRecipe(
        evaluation=name,
        protocol=config.protocol,
        selection=config.selection,
        settings=settings.model_dump(),
        under=config.under,
    )


def _find(kind: str, name: str) -> Named:
    path = config_path(kind, name)
    return Named(str(path), read_yaml(path))


def build_recipe(
    names: tuple[str, str, str],
    seed: int,
    overrides: dict[str, Any],
    authors: bool = False,
    setting: Setting | None = None,
) -> Recipe:
    """Return the recipe of the run `names` = (dataset, variant, augmentation). setting: that a tuning suite tries."""
    dataset_name, variant_name, augmentation = names
    dataset = read_dataset(dataset_name)
    variant = read_variant(dataset, variant_name, overrides, authors, setting)
    if setting:
        variant_name = setting.name(variant_name)
    trains = METHODS[variant.method].trains
    if trains == (augmentation == NO_AUGMENTATION):
        wanted = "a name in config/augmentations" if trains else repr(NO_AUGMENTATION)
        raise UserError(f"variant {variant_name!r} with augmentation {augmentation!r}: it needs {wanted}")
    ops = read_ops("augmentations", augmentation, dataset.op_overrides)[1] if trains else []
    settings = parse(METHODS[variant.method].settings, variant.settings, variant_name)
    return Recipe(
        dataset=dataset_name,
        variant=authors_name(variant_name) if authors else variant_name,
        augmentation=augmentation,
        seed=seed,
        authors=authors,
        data=data_recipe(dataset_name),
        method=variant.method,
        settings=settings.model_dump(),
        training=variant.training,
        ops=ops,
        extras=settings.extras(),
    )


def encoder_recipe(dataset_name: str, name: str, seed: int) -> Recipe:
    """Return the recipe of the arm of an encoder from elsewhere on a data set: the floor's, with the weights replaced.

    The seed decides the draws of its evaluations; its weights are the same for every seed.
    """
    dataset, config = read_dataset(dataset_name), read_encoder(name)
    if name in variant_names(dataset.scale):
        raise UserError(f"encoder {name!r}: scale {dataset.scale} has a variant of this name; rename one")
    settings: dict[str, Any] = {"dir_width": config.dir_width} if config.dir_width else {}
    features = config.features
    return Recipe(
        dataset=dataset_name,
        variant=name,
        augmentation=NO_AUGMENTATION,
        seed=seed,
        authors=False,
        data=data_recipe(dataset_name),
        method=given_method(bool(settings), not features, not features or features.n_views > 0),
        settings=settings,
        training=read_variant(dataset, FLOOR, {"epochs": 0}).training,
        ops=[],
        encoder=config.given,
    )
