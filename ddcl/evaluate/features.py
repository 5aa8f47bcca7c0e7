"""Extraction: the features of clean training images and of test images under every perturbation, once per run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.base.files import ArrayWriter, file_sha256, remove, write_array
from ddcl.base.folders import replace_folder, temporary_folder
from ddcl.build import build_method, build_pipeline
from ddcl.core.checkpoint import load_checkpoint, weights_digest
from ddcl.core.method import Method
from ddcl.core.seeds import derive
from ddcl.data.images import Images, on_device
from ddcl.data.manifest import normalisation_of, read_manifest
from ddcl.data.stored import read_images
from ddcl.evaluate.encode import Job, NotFiniteError, encode_chunks, finite
from ddcl.plan.digests import extract_digest
from ddcl.schema import feature_index, run_summary
from ddcl.schema.feature_index import Draw, DrawFile, DrawnFiles, FeatureIndex, SplitFiles, StoredFile
from ddcl.schema.manifest import Manifest
from ddcl.schema.op_recipes import PerturbationRecipe
from ddcl.schema.recipes import Recipe, data_recipe
from ddcl.schema.suites import NormalisationConfig
from ddcl.schema.training import Status


def load_frozen(path: Path, recipe: Recipe, device: str) -> tuple[Method, Status, str]:
    """Return the run's method with the checkpoint's weights, how its training ended, and the checkpoint's digest."""
    content, digest = load_checkpoint(path)
    if not {"recipe_digest", "status", "method"} <= content.keys():
        raise UserError(f"{path}: not the checkpoint of a run; run `ddcl pretrain` again")
    if content["recipe_digest"] != recipe.digest:
        raise UserError(
            f"{path}: checkpoint of recipe {content['recipe_digest']}, but run {recipe.name} has {recipe.digest}; "
            "run `ddcl pretrain` again"
        )
    _check_summary(path, digest)
    method = build_method(recipe)
    try:
        method.load_state_dict(content.pop("method"), strict=True)
    except (RuntimeError, KeyError) as error:  # other layers or shapes: another version of the network's package
        raise UserError(
            f"{path}: weights of another network ({' '.join(str(error).split())[:200]}); run `ddcl pretrain` again"
        ) from None
    return method.to(device).requires_grad_(False), content["status"], digest


def _check_summary(path: Path, digest: str) -> None:
    """Raise `UserError` if the run.json beside the checkpoint belongs to another one; it may also be missing."""
    summary_path = path.with_name(run_summary.FILE)
    if not summary_path.exists():
        return
    summary = run_summary.load(summary_path)
    if (summary.checkpoint_digest, summary.checkpoint_sha256) != (digest, file_sha256(path)):
        raise UserError(
            f"{path}: not the checkpoint described by {run_summary.FILE} beside it (content {digest}, expected "
            f"{summary.checkpoint_digest}); run `ddcl pretrain` again"
        )


@dataclass(frozen=True)
class Target:
    """The data set that features are extracted of: its name, prepared data, where the features go, and their digest."""

    dataset: str
    manifest_path: Path
    folder: Path
    digest: str


def extract(
    recipe: Recipe,
    run: Path,
    trained_on: Manifest,
    target: Target,
    perturbations: Sequence[PerturbationRecipe],
    options: tuple[str, int],
) -> None:
    """Write the features of the run in folder `run` on `target`, replacing existing ones when all are written.

    A diverged run, or one whose features are not finite, gets an index with status `diverged` and no features.
    trained_on: the manifest of the run's data set, for its normalisation. options: device, decoding processes.
    """
    device, workers = options
    method, status, digest = load_frozen(run / "checkpoint.pt", recipe, device)
    manifest = read_manifest(target.manifest_path, target.dataset, data_recipe(target.dataset))
    index = FeatureIndex(
        run=recipe.key,
        digest=target.digest,
        eval_dataset=target.dataset,
        status=status,
        parts=method.parts(),
        recipe_digest=recipe.digest,
        checkpoint_digest=digest,
        code_digest=extract_digest(recipe.method, [item.op for each in perturbations for item in each.ops]),
        encoder_digest=None,
        trained_on_seal=trained_on.seal,
        evaluated_on_seal=manifest.seal,
        train=None,
        test=None,
    )
    with temporary_folder(target.folder) as folder:
        if status != "diverged":
            side_px, normalisation = recipe.data.image_side_px, normalisation_of(recipe, trained_on)
            images, clean = _images(target, manifest, side_px, workers), build_pipeline([], side_px, normalisation)
            jobs = (clean, 0, 0), extraction_jobs(recipe, normalisation, target.dataset, perturbations)
            index = index.model_copy(update=_written(method, images, jobs, folder, device))
        sealed.write(folder / feature_index.FILE, index)
        replace_folder(target.folder, folder)


def _written(
    method: Method, images: tuple[Images, Images], jobs: tuple[Job, dict[Draw, Job]], folder: Path, device: str
) -> dict[str, object]:
    """Write all features; return their entries in the index. If any feature is not finite, nothing is kept."""
    try:
        return _write_all(method, images, jobs, folder, device)
    except NotFiniteError:
        for path in folder.iterdir():
            remove(path)
        print("some features are not finite in float16: no features are kept, and the status in the index is diverged")
        return {"status": "diverged"}


def _images(target: Target, manifest: Manifest, side_px: int, workers: int) -> tuple[Images, Images]:
    """Return the images of both splits: train, test."""
    train, test = (read_images(target.manifest_path, manifest, split, side_px, workers) for split in ("train", "test"))
    return train, test


def _write_all(
    method: Method, images: tuple[Images, Images], jobs: tuple[Job, dict[Draw, Job]], folder: Path, device: str
) -> dict[str, object]:
    """Write all arrays of the training and test images; return their entries in the index."""
    before = weights_digest(method)
    train = _write_train(method, images[0], jobs[0], folder, device)
    test = _write_test(method, images[1], jobs[1], folder, device)
    if weights_digest(method) != before:
        raise RuntimeError(f"{folder}: the frozen encoder changed during extraction (weights or BatchNorm)")
    return {"encoder_digest": before, "train": train, "test": test}


def _write_train(method: Method, images: Images, job: Job, folder: Path, device: str) -> SplitFiles:
    """Write features, labels and groups of the clean training images."""
    known, features = _write_known(images, folder, "train"), "train.npy"
    (digest,) = _write_features(method, on_device(images, device), {folder / features: job})
    return SplitFiles(features=StoredFile(file=features, sha256=digest), **known)


def _write_test(method: Method, images: Images, jobs: dict[Draw, Job], folder: Path, device: str) -> DrawnFiles:
    """Write features under each draw, labels and groups of the test images."""
    known = _write_known(images, folder, "test")
    names = {draw: f"test_{draw.perturbation}-{draw.draw}.npy" for draw in jobs}
    digests = _write_features(method, on_device(images, device), {folder / names[draw]: jobs[draw] for draw in jobs})
    features = [
        DrawFile(perturbation=draw.perturbation, draw=draw.draw, file=name, sha256=digest)
        for (draw, name), digest in zip(names.items(), digests, strict=True)
    ]
    return DrawnFiles(features=tuple(features), **known)


def _write_known(images: Images, folder: Path, split: str) -> dict[str, StoredFile]:
    """Write labels and, where there are any, groups of a split; return their entries in the index."""
    arrays = {"labels": images.labels} | ({} if images.groups is None else {"groups": images.groups})
    for name, array in arrays.items():
        write_array(folder / f"{split}_{name}.npy", array.numpy())
    names = {name: f"{split}_{name}.npy" for name in arrays}
    return {name: StoredFile(file=file, sha256=file_sha256(folder / file)) for name, file in names.items()}


def _write_features(method: Method, images: Images, jobs: dict[Path, Job]) -> list[str]:
    """Write the features of all images under each job, float16, chunk by chunk; return the files' digests."""
    width = method.parts()["full"][1]
    with ExitStack() as stack:
        writers = [stack.enter_context(ArrayWriter(path, (len(images), width), "float16")) for path in jobs]
        for chunk in encode_chunks(method, images, list(jobs.values())):
            for writer, features in zip(writers, chunk, strict=True):
                writer.write(finite(features.half()).cpu().numpy())
    return [writer.digest for writer in writers]


def extraction_jobs(
    recipe: Recipe, normalisation: NormalisationConfig, dataset: str, perturbations: Sequence[PerturbationRecipe]
) -> dict[Draw, Job]:
    """Return what to encode the test images with, by draw."""
    side_px = recipe.data.image_side_px
    jobs: dict[Draw, Job] = {}
    for item in perturbations:
        pipeline = build_pipeline(item.ops, side_px, normalisation)
        # independent of method and augmentation: every method sees the same perturbed images
        stream = derive(dataset, recipe.seed, "perturb", item.perturbation)
        jobs |= {Draw(item.perturbation, draw): (pipeline, stream, draw) for draw in range(item.draws)}
    return jobs
