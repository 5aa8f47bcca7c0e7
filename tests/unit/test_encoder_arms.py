"""Encoders from elsewhere as arms of a suite: in the plan, with an identity, from a file of weights to a record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from matplotlib.figure import Figure

from ddcl.__main__ import main
from ddcl.base.errors import UserError
from ddcl.base.files import write_json
from ddcl.build import build_method, load_given
from ddcl.data.prepare import prepare
from ddcl.evaluate.features import Target, extract
from ddcl.evaluate.store import read_test, read_train
from ddcl.pictures.activation import activation_maps, pool_of
from ddcl.pictures.material import Encoder
from ddcl.plan.addresses import features_digest
from ddcl.plan.cost import describe
from ddcl.plan.networks import forward_gflops, network_of
from ddcl.plan.suite import Suite
from ddcl.plan.weights import check_weights, lacking
from ddcl.report.claims.contrasts import Address, Cells, Measured, comparisons
from ddcl.report.figures.layout import FigureStyle
from ddcl.report.figures.painters import floor
from ddcl.schema import feature_index
from ddcl.schema.encoders import GivenEncoder, read_encoder
from ddcl.schema.feature_index import CLEAN_DRAW
from ddcl.schema.manifest import Manifest
from ddcl.schema.op_recipes import read_perturbation
from ddcl.schema.recipes import Recipe, data_recipe, encoder_recipe, recipe_of
from ddcl.training import Options, pretrain

RESNET = {
    "block": "basic",
    "blocks": [1, 1],
    "widths": [8, 8],
    "stem": "3x3",
    "stem_stride": 1,
    "max_pool": False,
    "init": "torch",
    "zero_init_last": False,
}
BLOCK: dict[str, Any] = {"datasets": ["digits"], "encoders": ["small", "split"], "seeds": [0, 1]}
SUITE: dict[str, Any] = {
    "suite": "own",
    "title": "Own",
    "description": "Own.",
    "runs": [BLOCK, {"datasets": ["digits"], "variants": ["ddcl"], "augmentations": ["baug"], "seeds": [0, 1]}],
    "evaluations": ["linear", "knn"],
    "perturbations": ["none", "color_rotate"],
    "tables": ["linear", "knn", "robustness"],
}


def encoder(folder: Path, name: str, **changes: Any) -> dict[str, Any]:
    """Write an encoder's YAML and its weights; return the YAML's values."""
    from safetensors.torch import save

    from ddcl.base.files import digest_text, file_sha256
    from ddcl.core.networks import build_network
    from ddcl.schema.training import BackboneConfig

    torch.manual_seed(int(digest_text(name)[:6], 16))
    file = folder / f"{name}.safetensors"
    file.write_bytes(save(build_network("ddcl", None, BackboneConfig.model_validate(RESNET)).state_dict()))
    values: dict[str, Any] = {
        "label": f"The {name} one",
        "file": str(file),
        "sha256": file_sha256(file),
        "network": "ddcl",
        "shape": RESNET,
        "feature_dim": 8,
        "normalisation": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
        "n_parameters": 1400,
        "gflops": 0.0007,
        "origin": {"file": "a.pth", "sha256": "0" * 64, "layout": "torchvision", "n_used": 9, "left_out": []},
    } | changes
    (folder / "encoders").mkdir(exist_ok=True)
    (folder / "encoders" / f"{name}.yaml").write_text(yaml.safe_dump(values))
    return values


@pytest.fixture(autouse=True)
def encoders(own_config: Path) -> Path:
    """A folder of configuration with two encoders: `small`, and `split` with six columns of DIR."""
    encoder(own_config, "small", with_labels=True)
    encoder(own_config, "split", dir_width=6, side_px=32, trained_on=["digits"])
    return own_config


def suite(**changes: Any) -> Suite:
    return Suite(SUITE | changes, "own.yaml")


def test_encoders_are_arms_without_training_that_are_marked() -> None:
    plan = suite().plan
    small, split = plan.run("digits/small/none/seed0"), plan.run("digits/split/none/seed1")
    assert not small.trains
    assert (small.epochs, small.ops, small.backbone) == (0, [], "ResNet basic 1-1, widths 8-8")
    assert (small.parts, split.parts) == (["full"], ["full", "dir", "dvr"])
    assert plan.label("variant", "small") == "The small one (from elsewhere, trained with labels)"
    assert plan.label("variant", "split") == "The split one (from elsewhere, trained on images of digits)"
    ddcl = plan.run("digits/ddcl/baug/seed0")
    assert [target.evaluation for target in small.targets] == [target.evaluation for target in ddcl.targets]
    assert split.targets[0].parts == ddcl.targets[0].parts
    assert small.targets[0].perturbations == ddcl.targets[0].perturbations


def test_the_address_holds_weights_and_preprocessing_and_nothing_of_words_or_of_training(encoders: Path) -> None:
    before = encoder_recipe("digits", "small", 0)
    digests = {before.arm_digest}
    for same in ({"label": "Other", "with_labels": False}, {"trained_on": ["digits"]}):
        encoder(encoders, "small", **same)
        assert encoder_recipe("digits", "small", 0).arm_digest == before.arm_digest
    changes: list[dict[str, Any]] = [
        {"sha256": "1" * 64},
        {"side_px": 32},
        {"normalisation": {"mean": [0.4, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}},
        {"shape": RESNET | {"stem_stride": 2}},
        {"dir_width": 4},
    ]
    for change in changes:
        encoder(encoders, "small", **change)
        digests.add(encoder_recipe("digits", "small", 0).arm_digest)
    assert len(digests) == len(changes) + 1
    assert before.training.optimizer.base_lr
    other = before.training.model_copy(update={"batch_size": 4, "channels_last": False})
    assert before.model_copy(update={"training": other}).arm_digest == before.arm_digest


def test_a_recipe_is_read_back_and_recipes_without_encoders_are_as_before() -> None:
    for name in ("small", "split"):
        recipe = encoder_recipe("digits", name, 1)
        again = recipe_of(recipe.model_dump(), "config.json")
        assert again == recipe
        assert again.digest == recipe.digest
    assert "encoder" not in suite().recipes["digits/ddcl/baug/seed0"].model_dump()


def test_cost_is_of_the_encoder_s_own_network(encoders: Path) -> None:
    recipe = encoder_recipe("digits", "small", 0)
    assert forward_gflops(recipe) == 0.0007
    assert network_of(recipe).checkpoint_mb == 1.0
    encoder(encoders, "small", n_parameters=25_000_000)
    assert network_of(encoder_recipe("digits", "small", 0)).checkpoint_mb == 100.0


def test_weights_that_are_missing_or_others_are_said_with_the_file_and_the_command(encoders: Path) -> None:
    assert lacking(suite(), encoders) == []
    file = encoders / "split.safetensors"
    file.unlink()
    line = f"encoder split: {file} is missing; `ddcl encoder add split FILE` makes it again from 'a.pth'"
    assert lacking(suite(), encoders) == [line]
    assert line in describe(suite(), encoders, encoders)
    with pytest.raises(UserError, match="nothing was run, and what is finished stays as it is"):
        check_weights(suite(), encoders)
    encoder(encoders, "split", origin={**encoder(encoders, "split")["origin"], "source": "a page"})
    file.unlink()
    assert lacking(suite(), encoders) == [f"{line} (a page)"]
    file.write_bytes(b"other")
    (line,) = lacking(suite(), encoders)
    assert line.startswith(f"encoder split: {file} is not its file (sha256 d9298a10…, expected ")


REFUSED = {
    "an unknown encoder": ({"encoders": ["smal"]}, r"unknown encoder 'smal'; did you mean 'small'"),
    "nothing": ({"encoders": []}, "a block needs variants, or encoders"),
    "variants without augmentations": ({"variants": ["ddcl"]}, "variants and augmentations go together"),
    "overrides": ({"overrides": {"epochs": 2}}, "encoders are not trained: authors and overrides mean nothing"),
    "a variant's name": ({"encoders": ["ddcl"]}, "scale small has a variant of this name"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_block_cannot_be(what: str, encoders: Path) -> None:
    encoder(encoders, "ddcl")
    change, message = REFUSED[what]
    with pytest.raises(UserError, match=message):
        suite(runs=[BLOCK | change])


def test_no_variant_may_name_the_method_of_encoders(encoders: Path) -> None:
    (encoders / "variants" / "small").mkdir(parents=True)
    (encoders / "variants" / "small" / "mine.yaml").write_text("base: random_init\nlabel: Mine\nmethod: elsewhere\n")
    block = {"datasets": ["digits"], "variants": ["mine"], "augmentations": ["none"], "seeds": [0]}
    with pytest.raises(UserError, match="unknown method 'elsewhere'"):
        suite(runs=[block])


def test_an_encoder_without_dvr_or_with_two_networks_is_refused(encoders: Path) -> None:
    for change, message in (
        ({"dir_width": 8}, "leaves no DVR"),
        ({"network": "timm/resnet18"}, "network ddcl has one"),
    ):
        encoder(encoders, "small", **change)
        with pytest.raises(UserError, match=message):
            read_encoder("small")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """The prepared digits."""
    folder = tmp_path_factory.mktemp("data")
    return folder / "manifest.json", prepare("digits", folder, Path(), False)


def made(recipe: Recipe, data: tuple[Path, Manifest], folder: Path) -> Path:
    """Make the run of an encoder, and its features on its data set; return their folder."""
    write_json(folder / "config.json", recipe.model_dump())
    pretrain(recipe, data[0], folder, "c" * 16, Options())
    perturbations = [read_perturbation("none", 1)]
    digest = features_digest(perturbations, data_recipe("digits"))
    target = Target("digits", data[0], folder / "features", digest)
    extract(recipe, folder, data[1], target, perturbations, ("cpu", 0))
    return target.folder


@pytest.mark.parametrize("name", ["small", "split"])
def test_features_are_those_of_the_file_with_its_own_preprocessing(
    name: str, data: tuple[Path, Manifest], tmp_path: Path
) -> None:
    recipe = encoder_recipe("digits", name, 0)
    folder = made(recipe, data, tmp_path / "run")
    index = feature_index.load(folder)
    assert index.status == "ok"
    method = build_method(recipe)
    load_given(method, recipe)
    images = torch.from_numpy(read_images_of(data[0], "test")).float() / 255
    x = (images - 0.5) / 0.25
    if recipe.encoder and recipe.encoder.side_px:
        x = torch.nn.functional.interpolate(x, (32, 32), mode="bilinear", antialias=True)
    with torch.no_grad():
        expected = method.eval().encoder.get_submodule("network")(x)
    found = torch.from_numpy(read_test(folder, index, CLEAN_DRAW).features.copy()).float()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)  # stored as float16
    assert expected.std(dim=0).max() > 0.01
    assert read_train(folder, index).features.shape[1] == 8
    assert dict(index.parts) == {name: tuple(own) for name, own in method.parts().items()}


def read_images_of(manifest: Path, split: str) -> Any:
    import numpy as np

    from ddcl.data.manifest import split_path

    return np.load(split_path(manifest.parent, split, "images"))


def test_activation_maps_of_encoders_and_of_those_without_positions() -> None:
    recipe = encoder_recipe("digits", "split", 0)
    method = build_method(recipe).eval()
    own = Encoder(recipe, "Split", "ok", method, lambda x: x)
    assert activation_maps(own, torch.rand(3, 3, 16, 16), (0, 6)).shape == (3, 16, 16)
    method.encoder.network.global_pool = None
    assert pool_of(own) is None
    assert pool_of(replace(own, method=None)) is None


def test_figures_draw_a_line_for_each_arm_without_training_and_no_mean_of_them() -> None:
    style = FigureStyle(suite(runs=[BLOCK]).plan)
    assert style.floors == ["small", "split"]
    frame = pd.DataFrame({"variant": ["small", "small", "split"], "value": [0.2, 0.4, 0.9]})
    axes = Figure().subplots()
    floor(axes, frame, style)
    assert [line.get_ydata()[0] for line in axes.lines] == pytest.approx([0.3, 0.9])


def test_given_encoder_and_its_yaml_agree() -> None:
    config = read_encoder("small")
    assert type(config.given) is GivenEncoder
    assert config.given.sha256 == config.sha256


CLAIM: dict[str, Any] = {
    "statement": "DIR knows the class better than DVR.",
    "statement_short": "DIR knows the class",
    "source": "a claim of one's own",
    "reported": "Nothing.",
    "reported_short": "nothing",
    "decided_by": "all",
    "checks": [
        {
            "name": "knn",
            "label": "kNN",
            "statement": "DIR is classified better than DVR, of an encoder from elsewhere.",
            "forms": {
                "asymmetric": [
                    {"treatment": {"variant": "split", "part": "dir"}, "control": {"variant": "split", "part": "dvr"}}
                ]
            },
            "over": [{"augmentation": ["none"]}],
            "evaluation": ["knn"],
            "unit": "points",
            "scale": 100.0,
            "smallest_effect": {"value": 1.0, "reason": "Less than one is no reason to choose."},
            "gates": ["trained"],
            "family": "knn",
        }
    ],
}


def test_claims_name_encoders_and_count_one_checkpoint_as_one_training(encoders: Path) -> None:
    """Its seeds are no other trainings: without this, a claim would rest on the spread of the evaluation alone."""
    (encoders / "claims").mkdir()
    (encoders / "claims" / "E1.yaml").write_text(yaml.safe_dump(CLAIM))
    plan = suite(runs=[BLOCK | {"seeds": [0, 1, 2]}], claims=["E1"]).plan
    check = plan.claims["E1"].checks[0]
    cells = Cells(plan=plan, runs={run.arm: run for run in plan.runs})
    for part, value in (("dir", 0.9), ("dvr", 0.5)):
        address = Address("digits", "split", "none", part, "knn", "digits", "none", "top1")
        cells.measured[address] = {seed: Measured(value, "ok", 899) for seed in range(3)}
    (found,) = comparisons(check, "asymmetric", cells)
    assert found.seeds == (0,)
    assert found.lost == dict.fromkeys((1, 2), f"{plan.label('variant', 'split')} is one training, whatever the seed")


def test_from_the_file_to_tables_figures_and_the_page(encoders: Path, tmp_path: Path) -> None:
    """Every command, one after the other in this process, for both encoders and the floor."""
    floor = {"datasets": ["digits"], "variants": ["random_init"], "augmentations": ["none"], "seeds": [0]}
    runs = [{**BLOCK, "seeds": [0]}, floor]
    values: dict[str, Any] = SUITE | {
        "runs": runs,
        "evaluations": ["knn", "linear"],
        "tables": ["knn", "robustness"],
        "figures": ["robustness", "claims"],
        "claims": ["E1"],
    }
    (encoders / "claims").mkdir()
    (encoders / "claims" / "E1.yaml").write_text(yaml.safe_dump(CLAIM))
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(values))
    results = ["--results", str(tmp_path / "results")]
    assert main(["resolve", "--suite", str(tmp_path / "own.yaml"), *results]) == 0
    assert main(["prepare", "digits", *results]) == 0
    under = ["--perturbations", "none", "color_rotate"]
    for name in ("small", "split", "random_init"):
        run = ["--run", f"digits/{name}/none/seed0", *results, "--device", "cpu"]
        assert main(["pretrain", *run]) == 0
        assert main(["extract", *run, *under]) == 0
        for evaluation in ("knn", "linear"):
            assert main(["evaluate", evaluation, *run, *under]) == 0
    assert lacking(Suite.load(tmp_path / "own.yaml"), tmp_path / "results") == []
    (encoders / "split.safetensors").unlink()  # its finished runs hold the weights
    assert lacking(Suite.load(tmp_path / "own.yaml"), tmp_path / "results") == []
    for verb in ("collect", "table", "claims", "figure", "report"):
        assert main([verb, *results]) == 0
    claims = pd.read_csv(tmp_path / "results/tables/claim_comparisons.csv")
    assert list(claims["verdict"]) == ["inconclusive"]
    assert list(claims["effect"].notna()) == [True]
    table = (tmp_path / "results/tables/knn.md").read_text(encoding="utf-8")
    page = (tmp_path / "results/report/index.html").read_text(encoding="utf-8")
    for label in ("The small one (from elsewhere, trained with labels)", "The split one (from elsewhere, trained on"):
        assert label in table
        assert label in page
    for fact in ("encoder.network", "encoder.normalisation.mean", "encoder.side_px"):
        assert fact in page
    frame = pd.read_csv(tmp_path / "results/tables/knn.csv")
    assert {"full", "dir", "dvr"} == set(frame.loc[frame["variant"] == "split", "part"])
    assert frame["mean"].between(5, 100).all()
    for name in ("knn", "robustness"):
        assert main(["trace", str(tmp_path / f"results/tables/{name}.csv"), "--all"]) == 0
