"""The image operations against torchvision's functions on the same parameters, their draws, and the pipeline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from ddcl.base.errors import UserError
from ddcl.core.seeds import Draws
from ddcl.data.ops import color_jitter, elastic, resized_crop
from ddcl.data.ops import pixels as shared
from ddcl.data.ops.parameters import Params, elastic_strength
from ddcl.data.views import Pipeline, load_op
from ddcl.schema.op_recipes import read_ops
from ddcl.schema.ops import OPS, build_settings

N_STATISTICS = 4000
BAUG = ["resized_crop", "color_jitter", "grayscale", "gaussian_blur", "horizontal_flip"]
CAUG_PLUS = [*BAUG, "rotation", "elastic"]
ROTATED_COLOR = ["rotation", "color_jitter", "elastic"]  # a test perturbation: black corners, then jitter


def settings_of(op: str, **values: Any) -> Any:
    return build_settings(op, values, "test")


def draw(op: str, n: int, side_px: int = 16, **values: Any) -> Params:
    return load_op(op).sample(Draws(7, torch.arange(n)), f"0:{op}", (side_px, side_px), settings_of(op, **values))


def run(op: str, x: Tensor, params: Params, **values: Any) -> Tensor:
    return load_op(op).apply(x.clone(), params, settings_of(op, **values))


def random_images(n: int, height: int = 16, width: int = 16) -> Tensor:
    """Images [n, 3, H, W] in [0, 1]; every fourth has few levels (ties between channels), every eighth is grey."""
    x = torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0))
    x[::4] = (x[::4] * 3).round() / 3
    x[::8] = x[::8, :1]
    return x


def pixels(n: int, height: int, width: int) -> Tensor:
    return (random_images(n, height, width) * 255).round().to(torch.uint8)


def pipeline(names: list[str], side_px: int = 16) -> Pipeline:
    recipe = [(name, settings_of(name)) for name in names]
    return Pipeline(recipe, side_px, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def assert_share(applied: Tensor, prob: float) -> None:
    """Check a share against 5 standard deviations of the binomial."""
    tolerance = 5 * (prob * (1 - prob) / len(applied)) ** 0.5
    assert abs(float(applied.float().mean()) - prob) <= tolerance


# --- parity with torchvision ---


@pytest.mark.parametrize(("height", "width", "side"), [(16, 16, 16), (24, 17, 40), (70, 90, 20)])
@pytest.mark.parametrize("as_uint8", [False, True])
def test_resized_crop_parity(height: int, width: int, side: int, as_uint8: bool) -> None:
    x = pixels(12, height, width)
    settings = settings_of("resized_crop", scale=[0.05, 1.0])
    params = resized_crop.sample(Draws(1, torch.arange(12)), "crop", (height, width), settings)
    y = resized_crop.apply(x if as_uint8 else x / 255, params, settings, side)
    box = torch.stack([params[key] for key in ("top_px", "left_px", "height_px", "width_px")], 1).tolist()
    wanted = [tv.resized_crop(x[i] / 255, *box[i], [side, side], antialias=True) for i in range(12)]
    torch.testing.assert_close(y, torch.stack(wanted), atol=1e-5, rtol=0)


def test_color_jitter_parity() -> None:
    x = random_images(96)
    params = draw("color_jitter", 96, hue=0.5)
    y = run("color_jitter", x, params)
    factors = [
        params[key].tolist() for key in ("brightness_factor", "contrast_factor", "saturation_factor", "hue_turns")
    ]
    steps = [tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue]
    assert 0 < int(params["applied"].sum()) < 96
    for i, wanted in enumerate(x):
        for kind in params["order"][i].tolist() if params["applied"][i] else []:
            wanted = steps[kind](wanted, factors[kind][i])
        torch.testing.assert_close(y[i], wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["brightness", "contrast", "saturation"])
def test_one_jitter_parity(kind: str) -> None:
    only = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, kind: 0.9}
    params = draw("color_jitter", 16, prob=1.0, **only)
    x = random_images(16)
    adjust = getattr(tv, f"adjust_{kind}")
    wanted = [adjust(x[i], float(params[f"{kind}_factor"][i])) for i in range(16)]
    torch.testing.assert_close(run("color_jitter", x, params), torch.stack(wanted), atol=1e-5, rtol=0)


def test_hue_of_pure_red_by_hand() -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).repeat(4, 1, 1, 1)
    shifted = color_jitter.shift_hue(red, torch.tensor([0.0, 1 / 6, 1 / 3, -1 / 3]))[:, :, 0, 0]
    wanted = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]])  # red, yellow, green, blue
    torch.testing.assert_close(shifted, wanted, atol=1e-5, rtol=0)


def test_grayscale_parity() -> None:
    x = random_images(40)
    params = draw("grayscale", 40)
    applied = params["applied"][:, None, None, None]
    assert 0 < int(applied.sum()) < 40
    torch.testing.assert_close(run("grayscale", x, params), torch.where(applied, tv.rgb_to_grayscale(x, 3), x))


@pytest.mark.parametrize("size", [(16, 16), (20, 33), (32, 80)])  # the last is beyond the side for matrices
def test_gaussian_blur_parity(size: tuple[int, int]) -> None:
    x = random_images(8, *size)
    params = draw("gaussian_blur", 8, prob=1.0)
    y = run("gaussian_blur", x, params, prob=1.0)
    wanted = [tv.gaussian_blur(x[i], [17, 17], [float(params["sigma_px"][i])]) for i in range(8)]
    torch.testing.assert_close(y, torch.stack(wanted), atol=1e-5, rtol=0)


def test_blur_kernel_wider_than_the_image_reflects_repeatedly() -> None:
    x = random_images(1, 3, 3)
    y = shared.blur(x, torch.tensor([4.0]), 9)
    line = [2, 1, 0, 1]  # … 0 1 2 1 0 1 2 …: the pixels at -2, -1, 0, 1, repeated
    index = [line[(position + 2) % 4] for position in range(-9, 12)]
    padded = x[:, :, index][:, :, :, index]
    weights = torch.exp(-0.5 * (torch.arange(-9.0, 10) / 4) ** 2)
    kernel = torch.outer(weights, weights).div(weights.sum() ** 2).expand(3, 1, -1, -1)
    torch.testing.assert_close(y, torch.nn.functional.conv2d(padded, kernel, groups=3), atol=1e-5, rtol=0)


def test_horizontal_flip_parity() -> None:
    x = random_images(20)
    params = draw("horizontal_flip", 20)
    y = run("horizontal_flip", x, params)
    assert torch.equal(y[params["applied"]], tv.horizontal_flip(x)[params["applied"]])
    assert torch.equal(y[~params["applied"]], x[~params["applied"]])
    assert 0 < int(params["applied"].sum()) < 20


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("size", [(16, 16), (21, 32)])
def test_rotation_parity(interpolation: str, size: tuple[int, int]) -> None:
    x = random_images(24, *size)
    params = draw("rotation", 24, degrees_max=180.0)
    y = run("rotation", x, params, interpolation=interpolation)
    mode = InterpolationMode(interpolation)
    wanted = torch.stack([tv.rotate(x[i], float(params["angle_deg"][i]), mode) for i in range(24)])
    wrong = (y - wanted).abs() > 1e-4
    # nearest: a pixel at a tie may go to either neighbour
    assert float(wrong.float().mean()) < (1e-3 if interpolation == "nearest" else 1e-9)


def test_rotation_by_90_degrees_by_hand() -> None:
    x = random_images(1)
    params = {"applied": torch.tensor([True]), "angle_deg": torch.tensor([90.0])}
    assert torch.equal(run("rotation", x, params), torch.rot90(x, 1, (2, 3)))


@pytest.mark.parametrize("size", [(16, 16), (20, 72)])
def test_elastic_parity(size: tuple[int, int]) -> None:
    x = random_images(12, *size)
    settings = settings_of("elastic", alpha_px=400.0)
    params = elastic.sample(Draws(1, torch.arange(12)), "elastic", size, settings)
    y = elastic.apply(x.clone(), params, settings)
    field = elastic.elastic_field(params["noise_key"], size, settings)
    field[~params["applied"]] = 0
    wanted = [tv.elastic(x[i], field[i : i + 1], InterpolationMode.BILINEAR) for i in range(12)]
    torch.testing.assert_close(y, torch.stack(wanted), atol=1e-4, rtol=0)
    assert params["applied"].any()
    assert torch.equal(y[~params["applied"]], x[~params["applied"]])


@pytest.mark.parametrize(
    ("scale_with_side", "alpha_px", "sigma_px", "taps"),
    [(False, 100.0, 5.0, 41), (True, 100 / 49, 5 / 7, 7)],  # 224 / 32 = 7; int(8 · 5 / 7 + 1) = 6, made odd
)
def test_elastic_field_is_torchvisions(scale_with_side: bool, alpha_px: float, sigma_px: float, taps: int) -> None:
    draws = Draws(1, torch.arange(1))
    settings = settings_of("elastic", prob=1.0, scale_with_side=scale_with_side)
    params = elastic.sample(draws, "elastic", (40, 32), settings)
    field = elastic.elastic_field(params["noise_key"], (40, 32), settings)
    noise = draws.uniform("elastic:noise", 2 * 40 * 32).view(1, 2, 40, 32) * 2 - 1
    smooth = tv.gaussian_blur(noise, [taps, taps], [sigma_px])
    wanted = torch.stack((smooth[:, 0] * alpha_px / 32, smooth[:, 1] * alpha_px / 40), -1)
    torch.testing.assert_close(field, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("side", [32, 96, 224])
def test_elastic_displacement_is_the_same_share_of_any_side(side: int) -> None:
    params = draw("elastic", 24, side, prob=1.0)
    field = elastic.elastic_field(params["noise_key"], (side, side), settings_of("elastic"))
    rms_frac = float(field.square().mean().sqrt()) / 2
    assert 0.007 < rms_frac < 0.008


# --- operations of a given strength ---


@pytest.mark.parametrize("angle", [-180.0, -30.0, 0.0, 90.0])
def test_a_turn_is_the_rotation_of_every_image_by_one_angle(angle: float) -> None:
    x = random_images(6)
    turned = run("turn", x, draw("turn", 6, angle_deg=angle), angle_deg=angle)
    params = draw("rotation", 6) | {"angle_deg": torch.full((6,), angle)}
    assert torch.equal(turned, run("rotation", x, params))
    if angle == 0.0:
        assert torch.equal(turned, x)


def test_strength_1_is_the_official_operation_on_every_image() -> None:
    x, draws = random_images(6), Draws(7, torch.arange(6))
    for name, official in (("jitter_strength", "color_jitter"), ("elastic_strength", "elastic")):
        own, usual = settings_of(name, strength=1.0), settings_of(official, prob=1.0)
        params = [load_op(op).sample(draws, "op", (16, 16), asked) for op, asked in ((name, own), (official, usual))]
        found, expected = (
            load_op(name).apply(x.clone(), params[0], own),
            load_op(official).apply(x.clone(), params[1], usual),
        )
        assert torch.equal(found, expected), name


def test_twice_the_strength_is_twice_the_range_and_the_field() -> None:
    jitter = draw("jitter_strength", N_STATISTICS, strength=2.0)
    assert float(jitter["brightness_factor"].min()) < 0.22
    assert float(jitter["brightness_factor"].max()) > 1.78
    assert 0.19 < float(jitter["hue_turns"].abs().max()) <= 0.2
    assert float(draw("jitter_strength", N_STATISTICS, strength=9.0)["hue_turns"].abs().max()) <= 0.5
    x = random_images(6)
    doubled, params = settings_of("elastic", prob=1.0, alpha_px=200.0), draw("elastic_strength", 6, strength=2.0)
    same = {"applied": torch.ones(6, dtype=torch.bool), "noise_key": params["noise_key"]}
    found = run("elastic_strength", x, params, strength=2.0)
    assert torch.allclose(found, load_op("elastic").apply(x.clone(), same, doubled), atol=1e-5)
    own = draw("elastic_strength", N_STATISTICS, side_px=4, strength=10.0, uniform=True)["strength"]
    assert 0 <= float(own.min()) < 0.05
    assert 9.95 < float(own.max()) < 10
    still = run("elastic_strength", x, draw("elastic_strength", 6, strength=0.0), strength=0.0)
    assert torch.allclose(still, x, atol=1e-6)


# --- draws ---


def test_literal_pixels_are_never_matched() -> None:
    matched = [{"side_px": 32, "times": 10.0}]
    own, plain = (
        settings_of("elastic", matched=matched, scale_with_side=False),
        settings_of("elastic", scale_with_side=False),
    )
    assert elastic_strength(own, 32) == elastic_strength(plain, 32)
    assert elastic_strength(plain, 32)[:2] == (100.0, 5.0)


def test_elastic_strength_is_matched_at_small_sides_only() -> None:
    matched = [{"side_px": 32, "times": 10.0}, {"side_px": 16, "times": 6.5}]
    own, plain = settings_of("elastic", matched=matched), settings_of("elastic")
    for side, times in ((8, 6.5), (16, 6.5), (17, 10.0), (32, 10.0), (33, 1.0), (224, 1.0)):
        found, scaled = elastic_strength(own, side), elastic_strength(plain, side)
        assert found == pytest.approx((times * scaled[0], *scaled[1:]))
    trained, tested = (
        read_ops("augmentations", "caug_plus", {})[1],
        read_ops("perturbations", "color_rotate_elastic", {})[1],
    )
    assert trained[-1].settings["matched"] == tested[-1].settings["matched"] != []


@pytest.mark.parametrize("op", [op for op, entry in OPS.items() if "prob" in entry.settings.model_fields])
def test_probability_and_draws_of_untouched_images(op: str) -> None:
    n = N_STATISTICS
    for prob in (0.0, 0.3, 1.0):
        params = draw(op, n, side_px=4, prob=prob)
        assert_share(params["applied"], prob)
    x = random_images(n, 4, 4)
    untouched = ~draw(op, n, side_px=4, prob=0.3)["applied"]
    assert torch.equal(run(op, x, draw(op, n, side_px=4, prob=0.3), prob=0.3)[untouched], x[untouched])


def test_the_next_operation_may_write_into_images_that_were_all_changed() -> None:
    """At 224 px on a CPU a chunk is a few images, and now and then all of them are made grey."""
    grey = run("grayscale", random_images(3), draw("grayscale", 3, prob=1.0), prob=1.0)
    some = draw("gaussian_blur", 3, prob=1.0) | {"applied": torch.tensor([True, False, True])}
    blurred = run("gaussian_blur", grey, some)
    assert torch.equal(load_op("gaussian_blur").apply(grey, some, settings_of("gaussian_blur")), blurred)


def test_ranges_of_the_draws() -> None:
    n = N_STATISTICS
    jitter = draw("color_jitter", n, prob=1.0)
    uniform = {
        "brightness_factor": (jitter, 0.6, 1.4),
        "contrast_factor": (jitter, 0.6, 1.4),
        "saturation_factor": (jitter, 0.6, 1.4),
        "hue_turns": (jitter, -0.1, 0.1),
        "sigma_px": (draw("gaussian_blur", n, prob=1.0), 0.1, 2.0),
        "angle_deg": (draw("rotation", n), -90.0, 90.0),
    }
    for key, (params, low, high) in uniform.items():
        values, span = params[key], high - low
        assert low <= float(values.min()) < low + 0.01 * span
        assert high - 0.01 * span < float(values.max()) <= high
        assert abs(float(values.mean()) - (low + high) / 2) < 5 * span / (12 * n) ** 0.5
    assert float(draw("color_jitter", n, brightness=2.0)["brightness_factor"].min()) >= 0
    scaled = draw("gaussian_blur", n, 56, prob=1.0, scale_with_side=True)["sigma_px"]
    torch.testing.assert_close(scaled, uniform["sigma_px"][0]["sigma_px"] / 4)


def test_jitter_order_is_uniform_over_the_permutations() -> None:
    order = draw("color_jitter", N_STATISTICS)["order"]
    assert torch.equal(order.sort(dim=1).values, torch.arange(4).expand(N_STATISTICS, 4))
    counts = (order * torch.tensor([64, 16, 4, 1])).sum(1).unique(return_counts=True)[1]
    expected = N_STATISTICS / 24
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    assert len(counts) == 24
    assert chi2 < 60  # 23 degrees of freedom: exceeded once in 30 000


def test_crops_lie_inside_the_image_and_have_the_areas_asked_for() -> None:
    height, width = 64, 48
    params = resized_crop.sample(
        Draws(3, torch.arange(N_STATISTICS)), "crop", (height, width), settings_of("resized_crop")
    )
    top, left, h, w = (params[key] for key in ("top_px", "left_px", "height_px", "width_px"))
    assert int(top.min()) == 0
    assert int((top + h).max()) == height
    assert int(left.min()) == 0
    assert int((left + w).max()) == width
    area, ratio = h * w / (height * width), w / h
    assert 0.19 < float(area.min()) < 0.21
    assert float(area.max()) > 0.95
    assert 0.7 < float(ratio.min()) < 0.78
    assert 1.28 < float(ratio.max()) < 1.4


def test_crops_are_those_of_torchvisions_loop_on_the_same_uniforms() -> None:
    height, width, draws = 30, 64, Draws(3, torch.arange(400))
    settings = settings_of("resized_crop")  # in a wide image many tries do not fit
    params = resized_crop.sample(draws, "crop", (height, width), settings)
    got = torch.stack([params[key] for key in ("top_px", "left_px", "height_px", "width_px")], 1).tolist()
    wanted = []
    for u in draws.uniform("crop", 22).double().tolist():
        for area, log_ratio in zip(u[:10], u[10:20], strict=True):
            area_px = (0.2 + 0.8 * area) * height * width
            ratio = 0.75 * (4 / 3 / 0.75) ** log_ratio
            w, h = round((area_px * ratio) ** 0.5), round((area_px / ratio) ** 0.5)
            if w <= width and h <= height:
                wanted.append([int(u[20] * (height - h + 1)), int(u[21] * (width - w + 1)), h, w])
                break
        else:
            wanted.append([0, 12, 30, 40])
    equal = [one == other for one, other in zip(got, wanted, strict=True)]
    assert sum(equal) >= 398  # float32 may round another way than float64


def test_draws_of_the_jitter_are_uncorrelated() -> None:
    params = draw("color_jitter", N_STATISTICS, prob=1.0)
    keys = ("brightness_factor", "contrast_factor", "saturation_factor", "hue_turns")
    places = params["order"].argsort(dim=1)[:, :3]  # of brightness, contrast, saturation; hue has the place left over
    table = torch.cat([torch.stack([params[key] for key in keys], 1), places.float()], 1)
    correlation = torch.corrcoef(table.T)
    correlation[4:, 4:] = 0  # places exclude each other
    assert float((correlation - torch.diag(correlation.diag())).abs().max()) < 5 / N_STATISTICS**0.5


@pytest.mark.parametrize(
    ("size", "ratio", "box"),  # box: top, left, height, width
    [
        ((10, 100), [0.75, 4 / 3], [0, 43, 10, 13]),  # too wide: all of the height, width 10 · 4 / 3
        ((100, 10), [0.75, 4 / 3], [43, 0, 13, 10]),  # too narrow: all of the width, height 10 / 0.75
        ((8, 8), [1.2, 1.3], [0, 0, 7, 8]),  # too narrow: height 8 / 1.2
        ((7, 11), [1.5, 1.6], [0, 0, 7, 11]),  # allowed as it is
    ],
)
def test_crop_falls_back_to_the_centre(size: tuple[int, int], ratio: list[float], box: list[int]) -> None:
    """Where no try fits: here, the whole area in a shape that the image does not have."""
    settings = settings_of("resized_crop", scale=[1.0, 1.0], ratio=ratio)
    params = resized_crop.sample(Draws(0, torch.arange(3)), "crop", size, settings)
    got = torch.stack([params[key] for key in ("top_px", "left_px", "height_px", "width_px")], 1)
    assert got.tolist() == [box] * 3


def test_image_epoch_view_and_place_change_the_draws() -> None:
    draws = Draws(5, torch.arange(8), epoch=1, view=0)
    base = pipeline(CAUG_PLUS).sample(draws, 16, 16)
    others = [
        pipeline(CAUG_PLUS).sample(replace(draws, **change), 16, 16)
        for change in ({"epoch": 2}, {"view": 1}, {"stream": 6}, {"images": torch.arange(8, 16)})
    ]
    for place, key in ((0, "height_px"), (1, "order"), (1, "hue_turns"), (3, "sigma_px"), (5, "angle_deg")):
        for other in others:
            assert not torch.equal(base[place][key], other[place][key])
    twice = pipeline(["rotation", "rotation"]).sample(draws, 16, 16)
    assert not torch.equal(twice[0]["angle_deg"], twice[1]["angle_deg"])


# --- the pipeline ---


@pytest.mark.parametrize("names", [BAUG, CAUG_PLUS, ROTATED_COLOR, []])
def test_result_does_not_depend_on_the_batch(names: list[str]) -> None:
    images = pixels(24, 16, 16)
    index = torch.randperm(1000, generator=torch.Generator().manual_seed(1))[:24]
    views = pipeline(names)
    batch = views(images, Draws(9, index, 3, 1))
    alone = torch.cat([views(images[i : i + 1], Draws(9, index[i : i + 1], 3, 1)) for i in range(24)])
    torch.testing.assert_close(batch, alone, atol=1e-6, rtol=0)


def test_result_does_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    images, draws = pixels(24, 16, 16), Draws(9, torch.arange(24))
    whole = pipeline(CAUG_PLUS)(images, draws)
    monkeypatch.setattr("ddcl.data.views.CPU_CHUNK_PIXELS", 7 * 16 * 16)
    torch.testing.assert_close(pipeline(CAUG_PLUS)(images, draws), whole, atol=1e-6, rtol=0)


def test_same_draws_give_the_same_bits_and_leave_the_images_alone() -> None:
    images = pixels(32, 20, 24)
    before = images.clone()
    first = pipeline(CAUG_PLUS)(images, Draws(2, torch.arange(32)))
    assert torch.equal(first, pipeline(CAUG_PLUS)(images, Draws(2, torch.arange(32))))
    assert torch.equal(images, before)
    assert first.shape == (32, 3, 16, 16)
    assert first.dtype == torch.float32


def test_pipeline_is_the_chain_of_its_operations_then_normalised() -> None:
    images, views = pixels(16, 16, 16), pipeline(ROTATED_COLOR)
    params = views.sample(Draws(4, torch.arange(16)), 16, 16)
    kept = [{key: value.clone() for key, value in item.items()} for item in params]
    x = images / 255
    for name, own in zip(ROTATED_COLOR, params, strict=True):
        x = run(name, x, own)
    wanted = (x - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    torch.testing.assert_close(views.apply(images, params), wanted, atol=1e-5, rtol=1e-5)
    for item, copy in zip(params, kept, strict=True):  # later readers see what was applied
        assert all(torch.equal(item[key], copy[key]) for key in copy)


def test_empty_recipe_only_normalises() -> None:
    images = torch.full((2, 3, 16, 16), 255, dtype=torch.uint8)
    views = pipeline([])(images, Draws(0, torch.arange(2)))
    torch.testing.assert_close(views[0, :, 0, 0], torch.tensor([0.5 / 0.2, 0.6 / 0.3, 0.7 / 0.4]))


def test_pipeline_refuses_what_it_cannot_do() -> None:
    draws = Draws(0, torch.arange(2))
    with pytest.raises(UserError, match=r"16 × 16 px, found images of 20 × 16 px"):
        pipeline(["grayscale"])(pixels(2, 20, 16), draws)
    with pytest.raises(ValueError, match="uint8"):
        pipeline(BAUG)(torch.rand(2, 3, 16, 16), draws)
    with pytest.raises(ValueError, match="3 images, but draws for 2"):
        pipeline(BAUG)(pixels(3, 16, 16), draws)
    with pytest.raises(UserError, match="did you mean 'rotation'"):
        Pipeline([("rotaton", settings_of("rotation"))], 16, (0, 0, 0), (1, 1, 1))
    with pytest.raises(TypeError, match="RotationSettings, found GrayscaleSettings"):
        Pipeline([("rotation", settings_of("grayscale"))], 16, (0, 0, 0), (1, 1, 1))
    with pytest.raises(UserError, match="3 positive stds"):
        Pipeline([], 16, (0, 0, 0), (1, 0, 1))


# --- settings ---


ASKED: dict[str, dict[str, Any]] = {  # of operations that have no usual case
    "corruption": {"kind": "fog", "severity": 1},
    "turn": {"angle_deg": 30.0},
    "jitter_strength": {"strength": 1.0},
    "elastic_strength": {"strength": 1.0},
}


def test_every_operation_has_settings_with_defaults_and_descriptions() -> None:
    for name, entry in OPS.items():
        model, op = entry.settings, load_op(name)
        settings = build_settings(name, ASKED.get(name, {}), "test")
        assert build_settings(name, settings.model_dump(), "test") == settings
        assert all(field.description for field in model.model_fields.values())
        assert {op.sample.__module__, op.apply.__module__} == {entry.target}


@pytest.mark.parametrize(
    ("op", "values", "parts"),
    [
        ("gausian_blur", {}, ["a.yaml", "'gausian_blur'", "did you mean 'gaussian_blur'?"]),
        ("rotation", {"degree_max": 3.0}, ["a.yaml: rotation", "'degree_max'", "did you mean 'degrees_max'?"]),
        ("rotation", {"interpolation": "cubic"}, ["interpolation", "'nearest' or 'bilinear'", "found 'cubic'"]),
        ("grayscale", {"prob": 1.5}, ["prob", "less than or equal to 1", "found 1.5"]),
        ("gaussian_blur", {"sigma_px": [2.0, 0.1]}, ["sigma_px", "lower bound 2.0 is above", "found [2.0, 0.1]"]),
        ("gaussian_blur", {"sigma_px": [0.0, 1.0]}, ["sigma_px.0", "greater than 0"]),
        ("resized_crop", {"scale": [0.5]}, ["scale", "at least 2"]),
        ("elastic", {"scale_with_side": 1}, ["scale_with_side", "boolean", "found 1"]),
        ("color_jitter", {"hue": 0.6}, ["hue", "less than or equal to 0.5", "found 0.6"]),
    ],
)
def test_wrong_settings_are_refused_on_one_line(op: str, values: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UserError) as error:
        build_settings(op, values, "a.yaml")
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
