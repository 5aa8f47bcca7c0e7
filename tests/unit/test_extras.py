"""What batches have beyond two views: the same draws that made the views, on both backends and from files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ddcl.base.errors import UserError
from ddcl.core.method import Batch, Drawn
from ddcl.data.extras import operation_names, third_pipeline
from ddcl.data.files import FileImages
from ddcl.data.images import ArrayImages, Images
from ddcl.data.loader import TwoViewLoader, epoch_requests
from ddcl.data.readers.decode import content_digest
from ddcl.data.views import Pipeline
from ddcl.plan.relations import check_extras
from ddcl.schema.extras import Extras, ThirdCrop
from ddcl.schema.methods import SimSiamBaselineSettings
from ddcl.schema.ops import build_settings
from ddcl.schema.recipes import Recipe, build_recipe
from ddcl.schema.suites import WHITE

SIDE, N = 16, 12
CAUG_PLUS = [
    "resized_crop",
    "color_jitter",
    "grayscale",
    "gaussian_blur",
    "horizontal_flip",
    "rotation",
    "elastic",
]
ALL = Extras(drawn=True, original=True, crop=ThirdCrop(side_frac=0.5, scale=[0.05, 0.2]), shared_draws=3)
DRAWN = Extras(drawn=True)


def pipeline(compiled: bool = True, ops: list[str] = CAUG_PLUS, side: int = SIDE) -> Pipeline:
    recipe = [(name, build_settings(name, {}, "test")) for name in ops]
    return Pipeline(recipe, side, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), compiled)


def array() -> ArrayImages:
    rng = torch.Generator().manual_seed(0)
    return ArrayImages(torch.randint(0, 256, (N, 3, SIDE, SIDE), generator=rng).byte(), torch.arange(N), SIDE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of different sizes."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for i in range(N):
        image = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        image.resize((20 + 3 * i, 50 - i), Image.Resampling.BICUBIC).save(root / f"{i}.png")
    return root


def files(root: Path, workers: int) -> FileImages:
    names = [f"{i}.png" for i in range(N)]
    digests = [content_digest((root / name).read_bytes()) for name in names]
    return FileImages(root, names, digests, torch.arange(N), SIDE, SIDE, WHITE, workers)


def batches(images: Images, extras: Extras | None, used: Pipeline | None = None, start: int = 0) -> list[Batch]:
    loader = TwoViewLoader(images, used or pipeline(), 6, ("toy", 0), "cpu", labelled=True, extras=extras)
    return list(loader.epoch(3, 3, start))


def in_order(drawn: Drawn) -> list[dict[str, Tensor]]:
    return [dict(own) for own in drawn.values()]


@pytest.mark.parametrize("compiled", [True, False])
def test_what_was_drawn_makes_the_views_again_bit_for_bit(compiled: bool) -> None:
    images, used = array(), pipeline(compiled)
    found = batches(images, ALL, used)
    assert len(found) == 2
    for batch in found:
        assert batch.labels is not None
        x = images.images[batch.labels]  # the labels are the places
        assert all(list(own) == CAUG_PLUS for own in batch.drawn)
        for view, own in zip((batch.x1, batch.x2), batch.drawn, strict=False):
            assert torch.equal(used.apply(x, in_order(own)), view)
        assert batch.x3 is not None
        assert batch.x3.shape == (6, 3, 8, 8)
        assert torch.equal(third_pipeline(used, ThirdCrop(side_frac=0.5)).apply(x, in_order(batch.drawn[2])), batch.x3)


def test_what_was_drawn_is_the_same_on_both_backends() -> None:
    for one, other in zip(batches(array(), ALL, pipeline(True)), batches(array(), ALL, pipeline(False)), strict=True):
        for own, again in zip(one.drawn, other.drawn, strict=True):
            assert all(torch.equal(own[op][key], again[op][key]) for op in own for key in own[op])


@pytest.mark.parametrize("workers", [0, 2])
def test_of_images_in_files_the_crop_is_the_one_that_was_cut(workers: int, folder: Path) -> None:
    images, used = files(folder, workers), pipeline()
    for batch in batches(images, DRAWN):
        assert batch.labels is not None
        for view, own in zip((batch.x1, batch.x2), batch.drawn, strict=True):
            crop, cut = own["resized_crop"], []
            for row, place in enumerate(batch.labels.tolist()):
                with Image.open(folder / f"{place}.png") as image:
                    assert image.size == (int(crop["image_width_px"][row]), int(crop["image_height_px"][row]))
                    left, top = int(crop["left_px"][row]), int(crop["top_px"][row])
                    box = left, top, left + int(crop["width_px"][row]), top + int(crop["height_px"][row])
                    resized = image.crop(box).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
                    cut.append(torch.from_numpy(np.array(resized)).permute(2, 0, 1))
            assert torch.equal(used.apply(torch.stack(cut), in_order(own)[1:], start=1), view)


@pytest.mark.parametrize("workers", [0, 2])
def test_files_give_a_third_view_and_the_original(workers: int, folder: Path) -> None:
    images = files(folder, workers)
    for batch in batches(images, ALL):
        assert batch.labels is not None
        assert batch.x0 is not None
        assert batch.x3 is not None
        (clean,) = next(iter(images.load(epoch_requests(N, N, ("a", 0), (0, 0), 0), None)))
        order = epoch_requests(N, N, ("a", 0), (0, 0), 0)[0].index.argsort()
        assert torch.equal(batch.x0, pipeline().without_operations().apply(clean[order][batch.labels], []))
        assert batch.x3.shape == (6, 3, 8, 8)
        crop = batch.drawn[2]["resized_crop"]
        share = crop["width_px"] * crop["height_px"] / (crop["image_width_px"] * crop["image_height_px"])
        assert 0.03 < float(share.min()) <= float(share.max()) < 0.25


def test_the_original_is_the_image_itself_normalised() -> None:
    for batch in batches(array(), ALL):
        assert batch.labels is not None
        assert batch.x0 is not None
        mean, std = (torch.tensor(v)[:, None, None] for v in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
        torch.testing.assert_close(batch.x0, (array().images[batch.labels] / 255 - mean) / std, rtol=0, atol=1e-5)


def test_images_in_a_row_share_their_draws_and_groups_do_not() -> None:
    for batch in batches(array(), ALL):
        for view in batch.drawn:
            angle, left = view["rotation"]["angle_deg"], view["resized_crop"]["left_px"]
            assert torch.equal(angle, angle[[0, 0, 0, 3, 3, 3]])
            assert torch.equal(left, left[[0, 0, 0, 3, 3, 3]])
            assert angle[0] != angle[3]
        first, second, third = (view["rotation"]["angle_deg"][0] for view in batch.drawn)
        assert len({float(first), float(second), float(third)}) == 3


def test_shares_of_a_batch_have_the_groups_of_the_whole() -> None:
    (request, _) = epoch_requests(24, 12, ("d", 0), (0, 0), 2, shared_draws=3)
    assert request.draws[0].images.unique().numel() == 4
    shares = [request.share(rank, 2) for rank in (0, 1)]
    for view in (0, 1):
        assert torch.equal(torch.cat([own.draws[view].images for own in shares]), request.draws[view].images)
    assert torch.equal(torch.cat([own.index for own in shares]), request.index)


def test_who_asks_for_nothing_has_the_same_two_views_and_nothing_else() -> None:
    more = ALL.model_copy(update={"shared_draws": 1})
    for plain, rich in zip(batches(array(), None), batches(array(), more), strict=True):
        assert torch.equal(plain.x1, rich.x1)
        assert torch.equal(plain.x2, rich.x2)
        assert (plain.x0, plain.x3, plain.drawn) == (None, None, ())


def test_an_epoch_goes_on_in_the_middle_with_the_same() -> None:
    (_, whole), (rest,) = batches(array(), ALL), batches(array(), ALL, start=1)
    for name in ("x0", "x1", "x2", "x3"):
        assert torch.equal(getattr(whole, name), getattr(rest, name))
    assert torch.equal(whole.drawn[2]["rotation"]["angle_deg"], rest.drawn[2]["rotation"]["angle_deg"])


def test_an_image_that_an_operation_leaves_alone_has_the_parameters_that_say_so() -> None:
    neutral = {
        "brightness_factor": 1.0,
        "contrast_factor": 1.0,
        "saturation_factor": 1.0,
        "hue_turns": 0.0,
        "sigma_px": 0.0,
        "angle_deg": 0.0,
        "alpha_px": 0.0,
    }
    seen = set()
    for batch in batches(array(), DRAWN):
        for own in (own for view in batch.drawn for own in view.values() if "applied" in own):
            for key in own.keys() & neutral.keys():
                left_alone = own[key][~own["applied"]]
                assert bool((left_alone == neutral[key]).all()), key
                seen |= {key} if len(left_alone) else set()
    assert {"hue_turns", "sigma_px", "alpha_px"} <= seen


def test_an_operation_that_occurs_again_has_a_name_of_its_own() -> None:
    assert operation_names(["blur", "flip", "blur", "blur"]) == ["blur", "flip", "blur.2", "blur.3"]
    used = pipeline(ops=["gaussian_blur", "grayscale", "gaussian_blur"])
    (batch, _) = batches(array(), DRAWN, used)
    assert list(batch.drawn[0]) == ["gaussian_blur", "grayscale", "gaussian_blur.2"]


# --- before anything runs


def asking(extras: Extras | None, **training: object) -> Recipe:
    return build_recipe(("digits", "simsiam", "baug"), 0, dict(training)).model_copy(update={"extras": extras})


def test_groups_that_do_not_fit_a_batch_are_refused() -> None:
    check_extras(asking(None, batch_size=10), "s")
    check_extras(asking(Extras(shared_draws=5), batch_size=10), "s")
    check_extras(asking(Extras(shared_draws=5), batch_size=10, processes=2), "s")
    with pytest.raises(UserError, match="s: digits/simsiam/baug/seed0: simsiam has groups of 4 images"):
        check_extras(asking(Extras(shared_draws=4), batch_size=10), "s")
    with pytest.raises(UserError, match="a batch of 4 images on each of 2 processes has no whole number"):
        check_extras(asking(Extras(shared_draws=8), batch_size=8, processes=2), "s")


def test_a_third_crop_needs_an_augmentation_that_begins_with_one() -> None:
    recipe = asking(Extras(crop=ThirdCrop(side_frac=0.5)))
    check_extras(recipe, "s")
    with pytest.raises(UserError, match="must begin with resized_crop; found"):
        check_extras(recipe.model_copy(update={"ops": recipe.ops[1:]}), "s")
    with pytest.raises(UserError, match="must begin with resized_crop"):
        third_pipeline(pipeline(ops=["rotation"]), ThirdCrop(side_frac=0.5))


def test_extras_are_part_of_the_recipe_and_their_absence_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = build_recipe(("digits", "simsiam", "baug"), 0, {})
    assert "extras" not in plain.model_dump()
    digests = {plain.digest}
    for extras in (DRAWN, ALL, ALL.model_copy(update={"shared_draws": 2})):
        monkeypatch.setattr(SimSiamBaselineSettings, "extras", lambda self, own=extras: own)
        asked = build_recipe(("digits", "simsiam", "baug"), 0, {})
        assert Recipe.model_validate(asked.model_dump()).extras == extras
        digests.add(asked.digest)
    assert len(digests) == 4
    assert all(a != b for a, b in pairwise(sorted(digests)))
