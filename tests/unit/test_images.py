"""Images from arrays and from files: the same question, answered as torchvision would."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from ddcl.base.errors import UserError
from ddcl.core.seeds import Draws
from ddcl.data.batches import views
from ddcl.data.files import FileImages
from ddcl.data.images import ArrayImages, BatchRequest, Images, chunks
from ddcl.data.ops import resized_crop
from ddcl.data.readers.decode import content_digest
from ddcl.data.views import CROP, Pipeline
from ddcl.schema.ops import ResizedCropSettings, build_settings
from ddcl.schema.suites import WHITE

SIDE = 32
SIZES = [(40, 60), (64, 48), (50, 50), (33, 90), (200, 36)]  # height, width
CROPPING = ResizedCropSettings()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images of different sizes; the last is grey."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i, (height, width) in enumerate(SIZES):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        image = coarse.resize((width, height), Image.Resampling.BICUBIC)
        (image.convert("L") if i == 4 else image).save(root / f"{i}.jpg", quality=95)
    return root


def digests(root: Path, names: list[str]) -> list[str]:
    return [content_digest((root / name).read_bytes()) for name in names]


def files(root: Path, workers: int = 0) -> FileImages:
    names = [f"{i}.jpg" for i in range(len(SIZES))]
    return FileImages(root, names, digests(root, names), torch.arange(len(SIZES)), SIDE, 36, WHITE, workers)


def request(*index: int, views: int = 0) -> BatchRequest:
    chosen = torch.tensor(index)
    return BatchRequest(chosen, tuple(Draws(7, chosen, 3, view) for view in range(views)))


def pil(root: Path, i: int) -> Image.Image:
    return Image.open(root / f"{i}.jpg").convert("RGB")


def pixels(image: Image.Image) -> Tensor:
    return tv.pil_to_tensor(image)


def test_evaluation_sees_the_resized_central_square(folder: Path) -> None:
    ((loaded,),) = list(files(folder).load([request(0, 4, 1)], None))
    for row, i in zip(loaded, (0, 4, 1), strict=True):
        expected = tv.center_crop(tv.resize(pil(folder, i), [36], antialias=True), [SIDE, SIDE])
        assert torch.equal(row, pixels(expected))


def test_random_crops_are_torchvisions_on_the_same_box(folder: Path) -> None:
    (loaded,) = list(files(folder).load([request(0, 1, 2, 3, views=2)], CROPPING))
    assert len(loaded) == 2
    for view, images in enumerate(loaded):
        for i, found in enumerate(images):
            box = resized_crop.sample(Draws(7, torch.tensor([i]), 3, view), CROP, SIZES[i], CROPPING)
            top, left, height, width = (int(box[key]) for key in ("top_px", "left_px", "height_px", "width_px"))
            expected = tv.resized_crop(pil(folder, i), top, left, height, width, [SIDE, SIDE])
            assert torch.equal(found, pixels(expected))
    assert not torch.equal(loaded[0], loaded[1])


def test_nothing_depends_on_the_number_of_workers_or_on_the_batch(folder: Path) -> None:
    requests = [request(0, 1, views=2), request(2, 3, views=2), request(4, 0, views=2)]
    alone = list(files(folder).load(requests, CROPPING))
    for workers in (1, 2):
        together = list(files(folder, workers).load(requests, CROPPING))
        assert all(torch.equal(a, b) for x, y in zip(alone, together, strict=True) for a, b in zip(x, y, strict=True))
    ((one, _),) = list(files(folder).load([request(1, views=2)], CROPPING))
    assert torch.equal(one[0], alone[0][0][1])


@pytest.mark.parametrize("first", ["resized_crop", "horizontal_flip"])
def test_workers_that_make_the_views_make_the_same_ones(first: str, folder: Path) -> None:
    ops = [(name, build_settings(name, {}, "test")) for name in (first, "color_jitter", "gaussian_blur")]
    pipeline = Pipeline(ops, SIDE, [0.4] * 3, [0.2] * 3)
    requests = [request(0, 1, views=2), request(2, 3, 4, views=2)]
    alone, together = (list(views(files(folder, workers), requests, pipeline, "cpu")) for workers in (0, 2))
    assert [x.shape[0] for x, _ in together] == [2, 3]
    assert all(torch.equal(a, b) for x, y in zip(alone, together, strict=True) for a, b in zip(x, y, strict=True))


def test_a_large_jpeg_is_decoded_no_larger_than_its_crops_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """300 × 420 px for 32-px views: a crop of all needs a quarter of the resolution, one of 0.3 of the area a half."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    coarse.resize((420, 300), Image.Resampling.BICUBIC).save(tmp_path / "0.jpg", quality=95)
    images = FileImages(tmp_path, ["0.jpg"], digests(tmp_path, ["0.jpg"]), torch.zeros(1), SIDE, 36, WHITE)
    requested = [request(0, views=2)]
    sizes = []
    convert = Image.Image.convert
    monkeypatch.setattr(
        Image.Image,
        "convert",
        lambda image, *mode: sizes.append(image.size) or convert(image, *mode),  # type: ignore[func-returns-value]
    )
    found = {}
    for share in (1.0, 0.3):
        crop = ResizedCropSettings(scale=[share, share], ratio=[0.99, 1.01])
        for exact in (False, True):
            (found[share, exact],) = list(replace(images, exact=exact).load(requested, crop))
    assert sizes == [(105, 75), (420, 300), (210, 150), (420, 300)]
    for share in (1.0, 0.3):
        for reduced, whole in zip(found[share, False], found[share, True], strict=True):
            difference = (reduced.float() - whole.float()).abs()
            assert 0 < difference.mean() < 1.5, difference.mean()  # of 255 levels


@pytest.mark.parametrize("source", ["files", "array"])
def test_views_are_the_pipelines_with_the_crop_done_where_the_pixels_are(source: str, folder: Path) -> None:
    """Whoever cuts the crop, the operations after it draw the same numbers."""
    ops = [("resized_crop", CROPPING), ("grayscale", build_settings("grayscale", {"prob": 0.5}, "test"))]
    pipeline = Pipeline(ops, SIDE, [0.0] * 3, [1.0] * 3)
    own = files(folder)
    images: Images = own
    index = torch.arange(4)
    if source == "array":
        (clean,) = next(own.load([BatchRequest(index)], None))
        images = ArrayImages(clean, index, SIDE)
    requested = BatchRequest(index, (Draws(1, index), Draws(1, index, 0, 1)))
    ((x1, x2),) = list(views(images, [requested], pipeline, "cpu"))
    assert x1.shape == x2.shape == (4, 3, SIDE, SIDE)
    grey = [bool((row[0] == row[1]).all()) for row in x1]
    params = pipeline.sample(requested.draws[0], SIDE, SIDE)[1]
    assert grey == params["applied"].tolist()


def test_arrays_of_another_side_are_resized(folder: Path) -> None:
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    ((loaded,),) = list(ArrayImages(images, torch.zeros(3), SIDE).load(chunks(3, 8), None))
    assert loaded.shape == (3, 3, SIDE, SIDE)
    expected = tv.resize(images, [SIDE, SIDE], antialias=True)
    assert (loaded.int() - expected.int()).abs().max() <= 1


def test_subsets_keep_order_and_labels(folder: Path) -> None:
    part = files(folder).subset(torch.tensor([3, 1]))
    assert list(part.names) == ["3.jpg", "1.jpg"]
    assert part.labels.tolist() == [3, 1]
    array = ArrayImages(torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 8, 8), torch.arange(5), 8)
    assert array.subset(torch.tensor([4, 0])).images[:, 0, 0, 0].tolist() == [4, 0]


def test_a_damaged_a_changed_and_a_missing_file_name_themselves(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    images = files(copy)
    data = (copy / "2.jpg").read_bytes()
    (copy / "2.jpg").write_bytes(data[:-1] + b"x")  # as long, and an image still
    with pytest.raises(
        UserError, match=r"2\.jpg: its content has changed since it was prepared; run `ddcl prepare` again"
    ):
        next(images.load([request(2)], None))
    (copy / "1.jpg").write_bytes(b"x" * 100)
    with pytest.raises(UserError, match=r"1\.jpg: cannot be read as an image \(not an image in a known format\)"):
        next(replace(images, digests=digests(copy, ["0.jpg", "1.jpg"])).load([request(1)], None))
    (copy / "0.jpg").unlink()
    with pytest.raises(UserError, match=r"0\.jpg: cannot be read as an image"):
        next(images.load([request(0)], None))


def test_workers_outlive_the_first_signal_and_not_the_second(folder: Path) -> None:
    """Slurm signals all processes of a job; without its workers the training could not finish its step."""
    requests = [request(0, 1, views=1) for _ in range(40)]
    expected = list(files(folder).load(requests, CROPPING))
    loading = files(folder, workers=2).load(requests, CROPPING)
    found = [next(loading), next(loading)]  # one of each: both have begun
    workers = multiprocessing.active_children()
    assert len(workers) == 2
    for worker in workers:
        os.kill(int(worker.pid or 0), signal.SIGTERM)
    found += list(loading)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(found, expected, strict=True))

    loading = files(folder, workers=1).load(requests, CROPPING)
    next(loading)
    (worker,) = (each for each in multiprocessing.active_children() if each not in workers)

    def signal_again_and_load() -> None:
        os.kill(int(worker.pid or 0), signal.SIGTERM)
        worker.join(5)
        list(loading)

    os.kill(int(worker.pid or 0), signal.SIGTERM)
    time.sleep(0.2)
    assert worker.is_alive()
    with pytest.raises(RuntimeError, match=r"Terminated|exited unexpectedly"):
        signal_again_and_load()
