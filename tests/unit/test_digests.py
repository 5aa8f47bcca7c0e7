"""What an edit of the project's own code changes: the digests of the stages that it can move, and no others.

The edits are made in a copy of the code. Entries of the registries are made in this process: they are in no digest.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ddcl.base import fingerprint
from ddcl.base.yaml_files import NoSettings
from ddcl.build import build_method
from ddcl.data.images import ArrayImages
from ddcl.data.readers import emoji, textures
from ddcl.evaluate.sgd import ImageTask
from ddcl.evaluate.store import Features
from ddcl.plan import digests
from ddcl.schema import readers as schema
from ddcl.schema.feature_index import CLEAN_DRAW, Draw
from ddcl.schema.op_recipes import read_ops, read_perturbations
from ddcl.schema.ops import OPS, GrayscaleSettings, OpEntry
from ddcl.schema.pictures import DRAWINGS
from ddcl.schema.places import CONFIG_DIR
from ddcl.schema.recipes import build_recipe, read_evaluation
from ddcl.schema.registry import EVALUATIONS, METHODS, READERS, SHAPES_FACTORS, MethodEntry
from ddcl.schema.suites import NormalisationConfig
from tests.unit.test_fingerprint import edit, forget

Digests = dict[tuple[str, str, str], str]  # by stage, what it is of, and augmentation or perturbation


def names(kind: str) -> list[str]:
    return sorted(path.stem for path in (CONFIG_DIR / kind).glob("*.yaml"))


AUGMENTATIONS = {name: {item.op for item in read_ops("augmentations", name, {})[1]} for name in names("augmentations")}
PERTURBATIONS = {
    name: {item.op for _, recipe in read_perturbations(name).values() for item in recipe.ops}
    for name in names("perturbations")
}


def all_digests() -> Digests:
    """Return the digests of all stages, as a new process would."""
    forget()
    stages: Digests = {("prepare", name, ""): digests.prepare_digest(name) for name in READERS}
    for method in METHODS:
        for name, ops in AUGMENTATIONS.items():
            stages["pretrain", method, name] = digests.pretrain_digest(method, ops)
        for name, ops in PERTURBATIONS.items():
            stages["extract", method, name] = digests.extract_digest(method, ops)
        for name in EVALUATIONS:
            stages["evaluate", method, name] = digests.evaluate_digest(method, name)
    for drawing in DRAWINGS:
        for name, ops in AUGMENTATIONS.items():
            stages["picture", drawing, name] = digests.picture_digest(drawing, ["ddcl"], ops)
    return stages | {("collect", "", ""): digests.collect_digest(), ("report", "", ""): digests.report_digest()}


@pytest.fixture(scope="module")
def original() -> Digests:
    return all_digests()


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the code, which the digests are made of, as long as the test runs."""
    for package in fingerprint.PACKAGES:
        shutil.copytree(fingerprint.ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    yield tmp_path
    forget()


def changed(original: Digests) -> set[tuple[str, str, str]]:
    """Return the stages whose digests are others now; new ones do not count."""
    now = all_digests()
    assert set(original) <= set(now)
    return {stage for stage in original if now[stage] != original[stage]}


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def of(stage: str, kinds: dict[str, set[str]], *ops: str) -> set[tuple[str, str, str]]:
    """Return a stage of all methods, under those of `kinds` that have one of the operations."""
    return {(stage, method, name) for method in METHODS for name, own in kinds.items() if own & set(ops)}


def test_a_constant_of_the_corruptions_changes_the_extraction_under_them_and_nothing_else(
    original: Digests, code: Path
) -> None:
    append(code / "ddcl/data/ops/corruption.py", "\nFURTHER = 1\n")
    expected = of("extract", PERTURBATIONS, "corruption")
    assert {name for _, _, name in expected} == {"common_corruptions", "common_corruptions_3"}
    assert changed(original) == expected


def test_an_edit_of_rotation_changes_what_rotates(original: Digests, code: Path) -> None:
    edit(code / "ddcl/data/ops/rotation.py", 'padding_mode="zeros"', 'padding_mode="border"')
    drawn = {("picture", name, own) for name in DRAWINGS for own in AUGMENTATIONS}
    drawn -= {("picture", "views", name) for name, ops in AUGMENTATIONS.items() if "rotation" not in ops}
    found = changed(original)
    assert ("pretrain", "ddcl", "caug") in found
    assert ("pretrain", "ddcl", "baug") not in found
    assert ("picture", "views", "baug") not in found
    trained, extracted = of("pretrain", AUGMENTATIONS, "rotation"), of("extract", PERTURBATIONS, "rotation", "turn")
    assert found == trained | extracted | drawn | {("evaluate", method, "diagnostics") for method in METHODS}


def test_what_is_done_with_given_features_changes_the_stages_of_those_encoders(original: Digests, code: Path) -> None:
    append(code / "ddcl/encoders/stages.py", "\nFURTHER = 1\n")
    given, stages = {name for name, entry in METHODS.items() if not entry.encodes}, ("pretrain", "extract", "evaluate")
    assert given
    assert changed(original) == {each for each in original if each[0] in stages and each[1] in given}


def test_the_compiled_kernels_change_all_that_make_views(original: Digests, code: Path) -> None:
    append(code / "ddcl/data/fused_kernels.py", "\nFURTHER = 1\n")
    found = changed(original)
    trained, extracted = ({stage for stage in original if stage[0] == kind} for kind in ("pretrain", "extract"))
    assert trained | extracted <= found
    assert not any(stage in ("prepare", "collect", "report") for stage, _, _ in found)


def test_a_new_operation_changes_nothing(original: Digests, code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = OpEntry("ddcl.data.ops.negative", GrayscaleSettings)
    shutil.copy(code / "ddcl/data/ops/grayscale.py", code / "ddcl/data/ops/negative.py")
    edit(
        code / "ddcl/schema/ops.py",
        "OPS |= {\n",
        f'OPS |= {{\n    "negative": OpEntry("{new.target}", GrayscaleSettings),\n',
    )
    monkeypatch.setitem(OPS, "negative", new)
    assert changed(original) == set()
    with_it = digests.pretrain_digest("ddcl", [*AUGMENTATIONS["baug"], "negative"])
    assert with_it != original["pretrain", "ddcl", "baug"]


def test_a_new_method_changes_nothing(original: Digests, code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(code / "baselines/simsiam.py", code / "baselines/moco.py")
    append(
        code / "ddcl/schema/methods.py",
        "\n\nclass MocoSettings(SimSiamBaselineSettings):\n    momentum: float = 0.99\n",
    )
    edit(
        code / "ddcl/schema/registry.py",
        "METHODS |= {\n",
        'METHODS |= {\n    "moco": MethodEntry("baselines.moco:SimSiam", MocoSettings),\n',
    )
    monkeypatch.setitem(METHODS, "moco", MethodEntry("baselines.moco:SimSiam", NoSettings))
    assert changed(original) == set()
    assert digests.pretrain_digest("moco", []) != digests.pretrain_digest("simsiam", [])


def test_words_and_comments_change_nothing(original: Digests, code: Path) -> None:
    edit(code / "ddcl/schema/evaluations.py", "number of neighbours", "how many neighbours")
    edit(code / "ddcl/schema/ops.py", "standard deviation, pixels", "spread, pixels")
    edit(code / "ddcl/schema/metrics.py", '"top-1"', '"accuracy"')
    edit(code / "ddcl/data/ops/rotation.py", "from the centre, in pixels", "in pixels from the centre")
    edit(code / "ddcl/training.py", '"""The pretraining stage', '"""Pretraining, the stage')
    append(code / "ddcl/core/pretrain.py", "# the end\n")
    assert changed(original) == set()


def test_what_settings_are_checked_against_is_what_readers_use() -> None:
    """The readers' own numbers are in the digests; those of the schema, which is in none, only check."""
    assert (schema.TEXTURE_BANDS, schema.EMOJI_LEAST_GROUPS) == (textures.BANDS, emoji.LEAST_GROUPS)


def test_preparing_data_has_nothing_to_do_with_views() -> None:
    reached = fingerprint.closure(["ddcl.data.prepare", *{entry.target.split(":")[0] for entry in READERS.values()}])
    making = ("ops", "views", "fused", "fused_kernels", "batches", "loader", "images", "files", "stored")
    assert not {f"ddcl.data.{name}" for name in making} & set(reached)
    assert not [name for name in reached if name.startswith("ddcl.data.ops.")]


# --- protocols say which operations they use


class Stored(dict[Draw, Features]):
    """Test features in memory, with the interface of those on disk."""

    @property
    def draws(self) -> list[Draw]:
        return list(self)


def task(folder: Path) -> ImageTask:
    """Noise of ten classes, with made-up factors, and an untrained encoder: it has no augmentation of its own."""
    recipe = build_recipe(("digits", "random_init", "none"), 0, {"backbone": {"widths": [8, 16, 32]}})
    random, images, factors = np.random.default_rng(0), [], {}
    for split in ("train", "test"):
        pixels, labels = random.integers(0, 256, (40, 3, 16, 16), dtype=np.uint8), torch.arange(40) % 10
        images.append(ArrayImages(torch.from_numpy(pixels), labels, 16))
        factors[split] = {name: np.arange(40.0) % 4 for name in SHAPES_FACTORS}
    method = build_method(recipe).eval().requires_grad_(False)
    normalisation = NormalisationConfig(mean=[0.5] * 3, std=[0.25] * 3)
    state = folder / "state.pt"
    return ImageTask(recipe, method, *images, ("digits", 0), 10, normalisation, state, ["a"], factors=factors)


SMALL = {
    "max_train_images": 40,
    "max_test_images": 40,
    "n_views": 2,
    "n_moved_images": 20,
    "n_moved_views": 2,
    "epochs": 1,
    "batch_size": 20,
    "max_iterations": 5,
    "subset": None,
}
USUAL = {"online": "linear_online", "finetune": "finetune_b32", "diagnostics": "diagnostics", "factors": "factors"}


@pytest.mark.parametrize("protocol", [name for name, entry in EVALUATIONS.items() if "images" in entry.inputs])
def test_a_protocol_declares_the_operations_that_it_uses(protocol: str, tmp_path: Path, used_ops: set[str]) -> None:
    entry, given = EVALUATIONS[protocol], task(tmp_path)
    usual = read_evaluation(USUAL[protocol])[1].settings
    settings = entry.settings.model_validate(usual | {key: value for key, value in SMALL.items() if key in usual})
    sets, evaluate = {"full": [np.arange(32)]}, entry.load()
    if not entry.predicts:
        evaluate(given, sets, settings)
    elif "features" in entry.inputs:
        evaluate(given, sets, Stored({CLEAN_DRAW: Features(np.zeros((40, 32)), given.test.labels.numpy())}), settings)
    else:
        evaluate(given, settings)
    assert used_ops == set(entry.ops)


def test_protocols_that_are_given_features_only_have_no_operations() -> None:
    assert not [name for name, entry in EVALUATIONS.items() if entry.ops and "images" not in entry.inputs]
