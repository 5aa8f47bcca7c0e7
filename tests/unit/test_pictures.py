"""Pictures: which runs they show, that what they show is what it says, and that what is missing is said."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ddcl.base.errors import UserError
from ddcl.base.files import write_json
from ddcl.build import build_method, build_pipeline
from ddcl.core.checkpoint import save_checkpoint
from ddcl.data.loader import TwoViewLoader
from ddcl.data.prepare import prepare
from ddcl.pictures import activation, embedding, neighbours, retrieval, views
from ddcl.pictures.material import PLAIN, Encoder, Material, load, rotate
from ddcl.pictures.render import render_picture
from ddcl.plan.addresses import run_folder
from ddcl.plan.cost import jobs
from ddcl.plan.needs import picture_needs
from ddcl.plan.pictures import planned_pictures
from ddcl.plan.plan import Plan
from ddcl.plan.suite import Suite
from ddcl.report.page.write import described
from ddcl.schema import pictures as catalogue
from ddcl.schema.pictures import DRAWINGS, NeighboursSettings, ViewsSettings, read_picture
from ddcl.schema.places import CONFIG_DIR
from ddcl.schema.recipes import Recipe

NAMES = [path.stem for path in sorted((CONFIG_DIR / "pictures").glob("*.yaml"))]
FEW = {"shown_queries": 2, "shown_neighbours": 3, "random_draws": 2}
N_IMAGES = {"views": 2, "activation": 1, "neighbours": 40, "embedding": 40}


def suite(**changes: Any) -> Suite:
    trained = {"variants": ["ddcl", "simsiam"], "augmentations": ["baug", "caug"], "seeds": [1, 0]}
    blocks = [trained, {"variants": ["random_init"], "augmentations": ["none"], "seeds": [1]}]
    blocks = [block | {"datasets": ["digits"]} for block in blocks]
    values: dict[str, Any] = {"suite": "t", "title": "t", "description": "t", "runs": blocks, "evaluations": ["knn"]}
    return Suite(values | {"perturbations": ["none"], "pictures": ["views", "neighbours"]} | changes, "suite.yaml")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with digits, and untrained checkpoints of the suite's runs."""
    folder = tmp_path_factory.mktemp("results")
    prepare("digits", folder / suite().plan.data_folders[0], folder, False)
    for recipe in suite().recipes.values():
        write_json(folder / run_folder(recipe) / "config.json", recipe.model_dump())
        save(folder, recipe, "ok")
    return folder


def save(folder: Path, recipe: Recipe, status: str) -> None:
    content = {"recipe_digest": recipe.digest, "status": status, "method": build_method(recipe).state_dict()}
    save_checkpoint(folder / run_folder(recipe) / "checkpoint.pt", content)


def plan(picture: str, **settings: Any) -> Plan:
    """The plan of the suite with one picture, some of its numbers smaller."""
    found = suite(pictures=[picture]).plan
    (entry,) = found.pictures
    known = entry.settings | {key: value for key, value in settings.items() if key in entry.settings}
    return found.changed(pictures=[entry.model_copy(update={"settings": known})])


def material(results: Path, picture: str, **settings: Any) -> Material:
    found = plan(picture, **settings)
    return Material(found.pictures[0], found, results)


def texts(figure: Figure) -> str:
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    return " | ".join([*found, figure.get_suptitle()])


# --- which runs


@pytest.mark.parametrize("name", NAMES)
def test_every_file_in_config_is_valid_and_drawn_by_something(name: str) -> None:
    config = read_picture(name)
    assert callable(DRAWINGS[config.drawing].load())
    assert config.caption.endswith(".")


def test_a_picture_shows_the_first_seed_of_each_method_after_the_last_augmentation() -> None:
    found = {entry.name: entry for entry in suite().plan.pictures}
    assert list(found) == ["views_digits", "neighbours_digits"]
    assert found["neighbours_digits"].runs == [
        "digits/ddcl/caug/seed1",
        "digits/simsiam/caug/seed1",
        "digits/random_init/none/seed1",
    ]
    choice = "Digits, trained under CAug; of each method the first seed (1)."
    assert found["neighbours_digits"].caption.endswith(choice)
    assert "of the 10 nearest" in found["neighbours_digits"].caption
    assert found["views_digits"].runs == ["digits/ddcl/baug/seed1", "digits/ddcl/caug/seed1"]
    assert "seed 1" in found["views_digits"].caption


def test_views_have_the_order_of_the_suite_although_a_later_block_has_one_augmentation_only() -> None:
    block = {"datasets": ["digits"], "seeds": [0], "variants": ["simsiam"], "augmentations": ["baug", "caug"]}
    later = block | {"variants": ["ddcl_w0"], "augmentations": ["baug"]}
    entry = suite(runs=[block, later]).plan.pictures[0]
    assert entry.runs == ["digits/simsiam/baug/seed0", "digits/simsiam/caug/seed0"]


def test_the_choice_follows_what_figures_show() -> None:
    entries = suite(figure_variants=["simsiam"], figure_augmentations=["baug"]).plan.pictures
    assert entries[1].runs == ["digits/simsiam/baug/seed1", "digits/random_init/none/seed1"]


def test_an_unknown_picture_drawing_or_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="did you mean 'views'"):
        suite(pictures=["view"])
    usual = {"drawing": "views", "caption": "c", "alt": "a", "settings": {"n_images": 2}}
    for change, message in (
        ({"drawing": "viewz"}, "unknown drawing 'viewz'; did you mean 'views'"),
        ({"settings": {"n_image": 2}}, "unknown key 'n_image'; did you mean 'n_images'"),
    ):
        monkeypatch.setattr(catalogue, "read_yaml", lambda path, change=change: usual | change)
        with pytest.raises(UserError, match=message):
            read_picture("views")


def test_a_picture_needs_little_and_more_for_a_large_network() -> None:
    assert jobs(suite())["picture"] == 2
    small = picture_needs(suite(), suite().plan.pictures[1])
    assert (small.cpus, small.gpu) == (1, 0)
    assert small.mem_mb <= 2200
    assert small.runtime <= 30
    paper = Suite.load(CONFIG_DIR / "suites" / "imagenet100.yaml")
    entries = planned_pictures(["neighbours"], paper.plan)
    assert picture_needs(paper, entries[0]).runtime > small.runtime


def test_the_page_describes_pictures_after_figures() -> None:
    found = described(suite(figures=["parts"]).plan)
    assert list(found) == ["parts", "parts_differences", "views_digits", "neighbours_digits"]
    assert found["views_digits"].alt.startswith("Contact sheet")


# --- what is shown


def test_views_are_those_of_the_first_epoch(results: Path) -> None:
    found, recipe = material(results, "views"), suite().recipes["digits/simsiam/caug/seed1"]
    _, _, original, pairs = views.first_views(found, recipe, 3)
    pipeline = build_pipeline(recipe.ops, 16, PLAIN)
    loader = TwoViewLoader(found.split("train"), pipeline, 128, ("digits", 1), "cpu")
    batch = next(iter(loader.epoch(0, 0)))
    assert torch.equal(pairs[0], batch.x1[:3])
    assert torch.equal(pairs[1], batch.x2[:3])
    assert not torch.equal(original, pairs[0])


def test_a_turn_by_a_right_angle_is_exact() -> None:
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    turned = rotate(images, torch.tensor([0.0, 90.0, 180.0, -90.0]))
    for place, times in enumerate((0, 1, 2, 3)):
        assert torch.allclose(turned[place], torch.rot90(images[place] / 255.0, times, (1, 2)), atol=1e-6)


def test_activation_maps_are_each_positions_share_of_the_parts_squared_norm(results: Path) -> None:
    found = material(results, "activation")
    ddcl, simsiam, _ = found.encoders()
    x = load(found.split("test").subset(torch.arange(3))) / 255.0
    for encoder in (ddcl, simsiam):
        assert encoder.method is not None
        with torch.no_grad():
            layer = encoder.method.encoder.forward_features(encoder.normalise(x))  # [N, D, h, w]
        h = layer.mean(dim=(2, 3))
        n_positions = layer.shape[2] * layer.shape[3]
        maps = {part: activation.activation_maps(encoder, x, columns) for part, columns in encoder.parts.items()}
        for part, (start, stop) in encoder.parts.items():
            expected = torch.einsum("nk,nkhw->nhw", h[:, start:stop], layer[:, start:stop]) / n_positions
            torch.testing.assert_close(maps[part], expected, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(
                maps[part].sum(dim=(1, 2)), h[:, start:stop].square().sum(dim=1), rtol=1e-4, atol=1e-5
            )
    assert set(ddcl.parts) == {"full", "dir", "dvr"}


def test_a_map_is_laid_over_its_image() -> None:
    image = torch.zeros(3, 8, 8)
    image[:, :, 4:] = 1.0
    heat = torch.zeros(2, 2)
    heat[0] = 7.0
    shown = activation.overlay(image, heat)
    assert shown.shape == (8, 8, 3)
    assert shown[0, 0].sum() > shown[-1, 0].sum()  # above it is bright
    assert np.allclose(shown[:, 7] - shown[:, 0], activation.SHINE)  # the image adds the same everywhere
    assert np.isfinite(activation.overlay(image, 0 * heat)).all()


@dataclass(frozen=True)
class Planted(Encoder):
    """An encoder whose features are given: DIR is the class, DVR the angle, each in one column per value."""

    given: Tensor = field(default_factory=lambda: torch.zeros(0))

    @property
    def parts(self) -> dict[str, tuple[int, int]]:
        return {"full": (0, 18), "dir": (0, 10), "dvr": (10, 18)}

    def features(self, x: Tensor) -> Tensor:
        return self.given


def planted(found: Material, settings: NeighboursSettings, informative: bool) -> pd.DataFrame:
    """The shares of an encoder whose parts are class and angle, or noise."""
    x, labels, level = found.rotated(settings.n_images, settings.angles_deg)
    noise = torch.randn(len(x), 18, generator=torch.Generator().manual_seed(0))
    own = torch.cat([torch.eye(10)[labels], torch.eye(8)[level]], dim=1)
    encoder = found.encoders()[0]
    values = own + 0.01 * noise if informative else noise
    given = Planted(encoder.recipe, "planted", "ok", encoder.method, encoder.normalise, values)
    return retrieval.measure(found, [given], settings).set_index("part")


def test_planted_parts_are_told_from_each_other_and_from_noise(results: Path) -> None:
    found = material(results, "neighbours")
    settings = NeighboursSettings.model_validate(found.entry.settings | {"n_images": 250})
    shares = planted(found, settings, informative=True)
    assert shares.loc["dvr", "same_angle"] == 1
    assert shares.loc["dir", "same_class"] == 1
    assert shares.loc["dvr", "same_class"] == pytest.approx(0.1, abs=0.03)
    assert shares.loc["dir", "same_angle"] == pytest.approx(0.125, abs=0.03)
    assert 0.2 < shares.loc["random_dvr", "same_angle"] < 0.95
    assert shares.loc["random_dvr", "sd_draws_same_angle"] > 0.02
    assert list(shares["n_draws"]) == [1, 1, 1, 20, 20]
    assert list(shares["width"]) == [18, 10, 8, 10, 8]
    noise = planted(found, settings, informative=False)
    for kind in ("class", "angle"):
        assert np.allclose(noise[f"same_{kind}"], noise[f"chance_{kind}"], atol=0.02)


def test_chance_is_that_of_drawing_another_image() -> None:
    kind = torch.tensor([0, 0, 0, 1])
    every_other = torch.tensor([[j for j in range(4) if j != i] for i in range(4)])
    share, chance = retrieval.shared(every_other, kind)
    assert share == pytest.approx(chance) == 0.5  # three have 2 of 3 others like them, one has none


def test_neighbours_are_the_nearest_by_cosine_without_the_image_itself() -> None:
    features = torch.tensor([[1.0, 0.0], [10.0, 1.0], [0.0, 1.0], [-1.0, 0.0]])
    assert retrieval.nearest(features, 2).tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]


def test_the_layout_of_a_plane_keeps_its_distances() -> None:
    plane = np.random.default_rng(0).normal(size=(50, 2)) * [3, 1]
    base, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 2)))
    points, note = embedding.project((plane @ base.T).astype(np.float32), "pca")
    assert note == " (100%)"
    distances = [np.linalg.norm(rows[:, None] - rows[None], axis=2) for rows in (plane, points)]
    assert np.allclose(*distances, atol=1e-5)


def test_near_angles_have_near_colours() -> None:
    colours, legend = embedding.angle_colours(np.array([0, 1, 2]), [179.0, -179.0, 0.0])
    assert np.abs(colours[0] - colours[1]).max() < 0.1 < np.abs(colours[0] - colours[2]).max()
    assert list(legend) == ["−179°", "0°", "179°"]


# --- what is written, and what is said to be missing


@pytest.mark.parametrize("name", N_IMAGES)
def test_a_drawing_declares_the_operations_that_it_uses(name: str, results: Path, used_ops: set[str]) -> None:
    found, drawing = material(results, name, **FEW, n_images=N_IMAGES[name]), DRAWINGS[name]
    drawing.load()(found, drawing.settings.model_validate(found.entry.settings))
    shown = set() if drawing.encoders else {item.op for recipe in found.recipes for item in recipe.ops}
    assert used_ops == {*drawing.ops, *shown}


@pytest.mark.parametrize("name", N_IMAGES)
def test_pictures_are_files_of_the_same_bytes(name: str, results: Path) -> None:
    found, before = plan(name, **FEW, n_images=N_IMAGES[name]), dict(matplotlib.rcParams)
    contents = []
    for _ in range(2):
        render_picture(f"{name}_digits", found, results, "cpu")
        files = [results / "figures" / f"{name}_digits.{end}" for end in ("png", "pdf", "csv")]
        contents.append([path.read_bytes() for path in files])
    assert contents[0] == contents[1]
    assert len(pd.read_csv(files[2]))
    assert dict(matplotlib.rcParams) == before


def test_t_sne_is_the_same_every_time() -> None:
    features = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    first, second = (embedding.project(features, "tsne")[0] for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", list(N_IMAGES)[1:])
def test_runs_without_an_encoder_are_said(name: str, results: Path, tmp_path: Path) -> None:
    found = material(results, name, **FEW, n_images=N_IMAGES[name])
    shown = replace(found, results=tmp_path)
    (tmp_path / "data").symlink_to(results / "data")
    for recipe, status in zip(found.recipes, ("diverged", "", "collapsed"), strict=True):
        write_json(tmp_path / run_folder(recipe) / "config.json", recipe.model_dump())
        if status:
            save(tmp_path, recipe, status)
    drawing = DRAWINGS[name]
    figure, frame = drawing.load()(shown, drawing.settings.model_validate(found.entry.settings))
    assert "DDCL" in texts(figure)
    assert "diverged" in texts(figure)
    assert "missing" in texts(figure)
    assert set(frame["variant"]) == {"random_init"}
    titles = " ".join(axes.get_title() for axes in figure.axes)
    assert "Random init†" in texts(figure) + titles


@pytest.mark.parametrize("name", list(N_IMAGES)[1:])
def test_a_picture_of_nothing_says_so(name: str, results: Path, tmp_path: Path) -> None:
    found = material(results, name, **FEW, n_images=N_IMAGES[name])
    (tmp_path / "data").symlink_to(results / "data")
    for recipe in found.recipes:
        write_json(tmp_path / run_folder(recipe) / "config.json", recipe.model_dump())
    drawing = DRAWINGS[name]
    figure, frame = drawing.load()(
        replace(found, results=tmp_path), drawing.settings.model_validate(found.entry.settings)
    )
    assert texts(figure).count("missing") >= 1
    assert frame.empty


def test_an_unknown_name_is_an_error_that_lists_the_pictures(results: Path) -> None:
    with pytest.raises(UserError, match="unknown picture 'views'; allowed: views_digits"):
        render_picture("views", plan("views"), results, "cpu")


def test_more_images_than_there_are_is_all(results: Path) -> None:
    figure, frame = views.draw(material(results, "views"), ViewsSettings(n_images=3))
    assert len(frame) == 6
    assert len(figure.axes[0].images) == 2 * 3 * 3
    x, labels, level = material(results, "neighbours").rotated(10_000, [0.0, 90.0])
    assert len(x) == len(labels) == len(level) == 899
    assert neighbours._queries(labels, 3) == sorted({int((labels == label).nonzero()[0]) for label in range(10)})[:3]
