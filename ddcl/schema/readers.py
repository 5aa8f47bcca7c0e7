"""Settings of data-set readers, as typed models. Imports no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ddcl.base.errors import UserError
from ddcl.base.paths import expanded
from ddcl.base.yaml_files import MOST, Model, Seed
from ddcl.schema.places import existing_files, no_such_file


class ShapesSettings(Model):
    """Settings of `ddcl.data.readers.shapes:read_shapes`."""

    n_train: int = Field(ge=10, le=MOST, description="images of the training split")
    n_test: int = Field(ge=10, le=MOST, description="images of the test split")
    seed: Seed = Field(description="seed of all factors")


class FashionMnistSettings(Model):
    """Settings of `ddcl.data.readers.arrays:read_fashion_mnist`."""

    n_train: int | None = Field(
        default=None,
        ge=10,
        le=MOST,
        description="use this many training images, the first ones, equally many of each class; null: all",
    )


TEXTURE_BANDS = 4  # those of `ddcl.data.readers.textures`


class TexturesSettings(Model):
    """Settings of `ddcl.data.readers.textures:read_texture_identity`."""

    part: Literal["study", "tuning"] = Field(description="which textures are classes: those of tuning are others")
    n_textures: int = Field(ge=2, le=MOST, description="classes of each part")
    patch_px: int = Field(ge=4, le=MOST, description="side of a patch in the texture; it is reduced to image_side_px")
    train_patches: int = Field(
        ge=TEXTURE_BANDS,
        le=MOST,
        description=f"of each texture's left half, as many in each of its {TEXTURE_BANDS} bands",
    )
    test_patches: int = Field(ge=1, le=MOST, description="patches from each texture's right half")
    other_patches: int = Field(
        ge=0, le=MOST, description="patches of all other textures, for pretraining, without labels"
    )
    seed: Seed = Field(description="seed of the choice of textures and of the places of patches")

    @model_validator(mode="after")
    def _equal_bands(self) -> TexturesSettings:
        if self.train_patches % TEXTURE_BANDS:
            raise ValueError(f"train_patches: expected a multiple of {TEXTURE_BANDS}, found {self.train_patches}")
        return self


class TextureNamesSettings(Model):
    """Settings of `ddcl.data.readers.textures:read_texture_names`."""

    names: list[str] = Field(min_length=2, description="the classes: what the textures' file names begin with")
    patch_px: int = Field(ge=4, le=MOST, description="as in `TexturesSettings`")
    group_patches: int = Field(ge=1, le=MOST, description="patches of each group of near-duplicates")
    test_frac: float = Field(
        gt=0, lt=1, description="share of each class's groups of near-duplicates that is for testing"
    )
    most_groups: int = Field(
        ge=4, le=MOST, description="groups of near-duplicates per class, at most, as some classes have many"
    )
    seed: Seed = Field(description="seed of that choice and of the places of patches")


EMOJI_STYLES: tuple[Literal["google"], Literal["twitter"]] = ("google", "twitter")
EMOJI_LEAST_GROUPS = 4  # those of `ddcl.data.readers.emoji`


class EmojiSettings(Model):
    """Settings of `ddcl.data.readers.emoji:read_emoji`."""

    train_style: Literal["google", "twitter"] = Field(
        description="whose pictures are for training; the other's are for testing"
    )
    classes: Literal["subcategory", "identity"] = Field(
        description="what an image shows: a kind of emoji, or a single emoji, which has one image of each style"
    )
    part: Literal["study", "tuning"] = Field(description="which emoji have labels: those of tuning are others")
    tuning_frac: float = Field(gt=0, lt=1, description="share of each subcategory's groups of emoji that is for tuning")
    least_groups: int = Field(
        ge=EMOJI_LEAST_GROUPS, le=MOST, description="groups of emoji that a subcategory needs to be a class"
    )
    leave_out: list[str] = Field(description="subcategories that are no classes, however large")
    seed: Seed = Field(description="seed of the choice of emoji for tuning")


class ImageNetSettings(Model):
    """Settings of `ddcl.data.readers.files:read_imagenet`."""

    classes: str | None = Field(
        default=None, description="file in config/datasets with one WordNet id a line: only these classes; null: all"
    )
    classes_sha256: str | None = Field(default=None, description="sha256 of that file")


class ImageFolderSettings(Model):
    """Settings of `ddcl.data.readers.files:read_image_folder`."""

    folder: str = Field(
        min_length=1, description="folder below data_root (or an absolute path; ~ and $NAME are expanded)"
    )
    train: str = Field(default="train", description="folder in it of the training images: one subfolder per class")
    test: str = Field(default="val", description="folder in it of the test images: the same subfolders")
    test_frac: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="the class folders lie in `folder` itself, and this share of each class is drawn for testing",
        json_schema_extra={"absent": None},
    )
    seed: Seed = Field(default=0, description="seed of that draw", json_schema_extra={"absent": 0})

    @model_validator(mode="after")
    def _one_way(self) -> ImageFolderSettings:
        if self.test_frac is not None and (self.train, self.test) != ("train", "val"):
            raise ValueError("either train and test, or test_frac for one folder of classes")
        if self.test_frac is None and self.seed:
            raise ValueError("seed is that of test_frac, which is not given")
        if self.train == self.test:
            raise ValueError(f"train and test are one folder, {self.train!r}")
        return self

    def place(self, root: Path) -> Path:
        """Return the folder, with `~` and variables of the environment in its name. root: `data_root`.

        `UserError` for a variable that is not set.
        """
        return root / expanded(self.folder, "settings.folder")


def read_class_list(dataset: str, file: str, sha256: str | None) -> list[str]:
    """Return the sorted lines of the list of classes config/datasets/`file`, without comments.

    dataset: which names it, for messages. sha256: of the file, checked; None: not known.
    """
    for path in existing_files(f"datasets/{file}"):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
        found = hashlib.sha256(content).hexdigest()
        if sha256 not in (None, found):
            raise UserError(f"{path}: sha256 {found}, expected {sha256}")
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not UTF-8 ({error})") from None
        lines = (line.split("#")[0].strip() for line in text.splitlines())
        return sorted(line for line in lines if line)
    raise UserError(f"{no_such_file(f'datasets/{file}')}; the data set {dataset} names it as its list of classes")
