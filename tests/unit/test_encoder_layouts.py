"""Encoders of others' files: the same features as in the network that made the file; anything unclear is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ddcl.base.errors import UserError
from ddcl.base.files import file_sha256, write_json
from ddcl.build import build_method, load_given
from ddcl.core.checkpoint import save_checkpoint
from ddcl.encoders.add import Told, add, network_for
from ddcl.encoders.inspect import inspect
from ddcl.encoders.layouts import find
from ddcl.encoders.reading import read_weights
from ddcl.encoders.recognise import fitted
from ddcl.schema.encoders import missing_weights, read_encoder
from ddcl.schema.recipes import Recipe, build_recipe, encoder_recipe
from tests.unit.foreign import FORMS, head, named, planted, resnet, write

pytestmark = pytest.mark.usefixtures("own_config")
GREY = Told(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def told(**changes: Any) -> Told:
    return Told(**vars(GREY) | changes)


def images(side_px: int = 32) -> Tensor:
    return torch.randn(4, 3, side_px, side_px, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def features(network: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = network.eval()(x)
    return out


def added(path: Path, tmp_path: Path, own: Told = GREY) -> Recipe:
    """Add the encoder in a file under the name `other`; return the recipe of its arm on digits."""
    add("other", path, own, tmp_path / "encoders")
    return encoder_recipe("digits", "other", 0)


def loaded(recipe: Recipe) -> nn.Module:
    method = build_method(recipe)
    load_given(method, recipe)
    return method.encoder


def assert_same(recipe: Recipe, network: nn.Module, side_px: int = 32) -> None:
    x = images(side_px)
    found, expected = features(loaded(recipe), x), features(network, x)
    assert expected.std(dim=0).max() > 1e-3, "the features do not depend on the image"
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_an_encoder_has_the_features_of_the_network_that_made_its_file(form: str, tmp_path: Path) -> None:
    """What `ddcl encoder add` does, without writing: it would take most of the time."""
    path = tmp_path / "model.pth"
    network, (layout, stem, _) = write(form, path), FORMS[form]
    found = find(path, read_weights(path), None)
    assert found.layout == layout
    own = network_for(path, found, Told())
    assert own.full_name == "torchvision/resnet18" + ("" if stem == "7x7" else f" with stem {stem}")
    built = own.build().network
    built.load_state_dict(fitted(found, own.name, built))
    torch.testing.assert_close(features(built, images()), features(network, images()), rtol=1e-5, atol=1e-5)


def test_an_encoder_that_was_added_has_the_features_of_its_network(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    network = write("solo-learn, CIFAR", path)
    recipe = added(path, tmp_path, told(label="solo-learn's", source="made here", licence="MIT", with_labels=True))
    config = read_encoder("other")
    assert config.origin.layout == "solo_learn"
    assert config.origin.sha256 == file_sha256(path)
    assert config.origin.left_out == ["classifier", "projector"]
    assert config.origin.n_used == len(network.state_dict())
    assert config.sha256 == file_sha256(Path(config.file))
    assert config.full_label == "solo-learn's (from elsewhere, trained with labels)"
    assert config.n_parameters == sum(p.numel() for p in network.parameters())
    assert_same(recipe, network)


def test_the_first_layers_that_differ_give_other_features_from_the_same_weights(tmp_path: Path) -> None:
    """Why a stem is never guessed: the shapes fit each other."""
    state = resnet("3x3").state_dict()
    stems = ["3x3", "3x3_padding_2", "3x3_no_relu"]
    found = []
    for stem in stems:
        network = resnet(stem)
        network.load_state_dict(state)
        found.append(features(network, images()))
    assert min((found[0] - other).abs().max() for other in found[1:]) > 1e-3


def test_the_split_of_the_official_ddcl_gives_parts(tmp_path: Path) -> None:
    write("DDCL", tmp_path / "model.pth")
    recipe = added(tmp_path / "model.pth", tmp_path)
    assert build_method(recipe).parts() == {"full": (0, 512), "dir": (0, 410), "dvr": (410, 512)}


def test_the_teacher_of_dino_counts_and_the_query_encoder_of_moco(tmp_path: Path) -> None:
    for form, wrong in (("DINO, full", "student"), ("MoCo v2", "encoder_k")):
        write(form, tmp_path / f"{wrong}.pth")
        name = wrong.replace("_", "")
        add(name, tmp_path / f"{wrong}.pth", GREY, tmp_path / "encoders")
        assert not any(wrong in line for line in read_encoder(name).origin.left_out if "." in line)
    assert read_encoder("encoderk").origin.left_out == ["encoder_k", "queue", "fc (within the encoder)"]


# --- real libraries


def test_networks_of_torchvision_with_a_classifier_of_several_layers(tmp_path: Path) -> None:
    network = planted(torchvision.models.mobilenet_v3_small(), 64)
    torch.save(network.state_dict(), tmp_path / "model.pth")
    network.classifier[-1] = nn.Identity()
    assert_same(added(tmp_path / "model.pth", tmp_path, told(network="torchvision/mobilenet_v3_small")), network, 64)
    assert read_encoder("other").origin.left_out == ["classifier (within the encoder)"]


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224"])
def test_networks_of_timm_with_its_own_side_and_normalisation(name: str, tmp_path: Path) -> None:
    whole = planted(timm.create_model(name), 224 if "224" in name else 64)
    save_file(whole.state_dict(), tmp_path / "model.safetensors")
    recipe = added(tmp_path / "model.safetensors", tmp_path, Told(network=f"timm/{name}"))
    config = timm.get_pretrained_cfg(name)
    assert recipe.encoder is not None
    assert recipe.encoder.side_px == config.input_size[-1]
    assert recipe.encoder.normalisation.mean == list(config.mean)
    network = timm.create_model(name, num_classes=0)
    network.load_state_dict(whole.state_dict(), strict=False)
    x = images(32)
    side = recipe.encoder.side_px
    larger = nn.functional.interpolate(x, (side, side), mode="bilinear", antialias=True)
    torch.testing.assert_close(features(loaded(recipe), x), features(network, larger), rtol=1e-5, atol=1e-5)


def test_a_vit_of_dino_is_recognised(tmp_path: Path) -> None:
    network = planted(timm.create_model("vit_tiny_patch16_224", num_classes=0), 224)
    teacher = named(dict(network.state_dict()), "backbone.", **head("head.mlp.0", 192))
    torch.save({"teacher": teacher, "student": teacher, "epoch": 1}, tmp_path / "model.pth")
    recipe = added(tmp_path / "model.pth", tmp_path)
    assert recipe.encoder is not None
    assert recipe.encoder.network == "timm/vit_tiny_patch16_224"
    assert_same(recipe, network, 224)


@pytest.mark.parametrize("benchmark", [False, True], ids=["example", "CIFAR benchmark"])
def test_files_that_lightly_and_lightning_write(benchmark: bool, tmp_path: Path) -> None:
    """Where they are installed, as for `make bench`: the library's own heads and network, the Trainer's own file."""
    pytest.importorskip("lightly")
    lightning = pytest.importorskip("pytorch_lightning")
    from lightly.models import ResNetGenerator
    from lightly.models.modules.heads import SimSiamPredictionHead, SimSiamProjectionHead

    class SimSiam(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            children = list((ResNetGenerator("resnet-18") if benchmark else torchvision.models.resnet18()).children())
            self.backbone = nn.Sequential(*children[:-1], *([nn.AdaptiveAvgPool2d(1)] if benchmark else []))
            self.projection_head = SimSiamProjectionHead(512, 16, 8)
            self.prediction_head = SimSiamPredictionHead(8, 4, 8)

        def training_step(self, batch: Tensor, _: int) -> Tensor:
            out: Tensor = self.prediction_head(self.projection_head(self.backbone(batch).flatten(1))).mean()
            return out

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    model, quiet = SimSiam(), dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", default_root_dir=tmp_path, **quiet)
    trainer.fit(model, torch.utils.data.DataLoader(list(images()), batch_size=4))
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    planted(model.backbone)
    model.load_state_dict(torch.load(tmp_path / "model.ckpt", weights_only=False)["state_dict"])
    recipe = added(tmp_path / "model.ckpt", tmp_path)
    assert recipe.encoder
    assert (recipe.encoder.name, recipe.encoder.stem) == ("resnet18", "3x3_no_relu" if benchmark else None)
    assert read_encoder("other").origin.left_out == ["projection_head", "prediction_head"]
    assert_same(recipe, nn.Sequential(model.backbone, nn.Flatten()))


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    network = resnet()
    halves = {name: value.half() for name, value in network.state_dict().items()}
    save_file(halves, tmp_path / "m.safetensors")
    network.load_state_dict(halves)  # rounded, too
    recipe = added(tmp_path / "m.safetensors", tmp_path)
    assert {value.dtype for value in load_file(read_encoder("other").file).values()} == {torch.float32, torch.int64}
    torch.testing.assert_close(features(loaded(recipe), images()), features(network, images()), rtol=1e-4, atol=1e-4)


# --- a checkpoint of this suite


def own_checkpoint(folder: Path, recipe: Recipe) -> nn.Module:
    method = build_method(recipe)
    planted(method.encoder, 16)
    content = {"recipe_digest": recipe.digest, "status": "ok", "run": recipe.name, "method": dict(method.state_dict())}
    save_checkpoint(folder / "checkpoint.pt", content)
    write_json(folder / "config.json", recipe.model_dump())
    return method


def test_a_checkpoint_of_another_results_folder(tmp_path: Path) -> None:
    method = own_checkpoint(tmp_path, build_recipe(("digits", "ddcl", "baug"), 0, {}))
    with pytest.raises(UserError, match="the normalisation of pixel values is unknown"):
        added(tmp_path / "checkpoint.pt", tmp_path, Told())
    recipe = added(tmp_path / "checkpoint.pt", tmp_path)
    assert_same(recipe, method.encoder, 16)
    assert build_method(recipe).parts() == method.parts()


def test_a_checkpoint_of_this_suite_without_its_recipe(tmp_path: Path) -> None:
    own_checkpoint(tmp_path, build_recipe(("digits", "ddcl", "baug"), 0, {}))
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match=r"needs its recipe config\.json in the same folder"):
        added(tmp_path / "checkpoint.pt", tmp_path)


# --- what is refused, in one line, and nothing is written

REFUSED = {
    "wrong layout": (told(layout="vissl"), "does not have layout vissl: no tensors in classy_state_dict"),
    "unknown layout": (told(layout="visl"), "unknown layout 'visl'; did you mean 'vissl'"),
    "wrong network": (
        told(network="torchvision/resnet34"),
        r"not the weights of network torchvision/resnet34: 80 of its tensors are missing \(layer1\.2\.conv1\.weight, ",
    ),
    "larger network": (told(network="timm/resnet10t"), "are left over"),
    "unknown network": (told(network="timm/resnet18x"), "timm has no such network; did you mean 'resnet18"),
    "no name": (told(network="resnet18"), r"expected torchvision/NAME or timm/NAME"),
    "no normalisation": (Told(), "the normalisation of pixel values is unknown; give --mean R G B --std R G B"),
    "half of it": (Told(mean=(0.5, 0.5, 0.5)), "--mean and --std must be given together"),
    "no spread": (told(std=(0.0, 0.5, 0.5)), "--mean and --std: std.0"),
    "wrong stem": (
        told(stem="3x3"),
        r"have another shape \(conv1\.weight: \[64, 3, 7, 7\], expected \[64, 3, 3, 3\]\)",
    ),
    "unknown stem": (told(stem="5x5"), "unknown stem '5x5'"),
    "no DVR": (told(dir_width=512), "DIR has 512 of 512 features; expected 1 to 511"),
    "unknown data set": (told(trained_on=("digit",)), "unknown data set 'digit'; did you mean 'digits'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_said_in_one_line(what: str, tmp_path: Path, own_config: Path) -> None:
    write("SimSiam", tmp_path / "model.pth")
    own, message = REFUSED[what]
    with pytest.raises(UserError, match=message) as error:
        added(tmp_path / "model.pth", tmp_path, own)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "encoders").exists()
    assert not list(own_config.iterdir())


def test_a_small_first_convolution_of_unknown_origin_is_asked_for(tmp_path: Path) -> None:
    network = resnet("3x3")
    torch.save(network.state_dict(), tmp_path / "model.pth")
    with pytest.raises(
        UserError, match="the first convolution is 3 × 3, and layout torchvision does not determine its padding"
    ):
        added(tmp_path / "model.pth", tmp_path)
    assert_same(added(tmp_path / "model.pth", tmp_path, told(stem="3x3")), network)


def test_a_tensor_too_many_or_too_few_is_an_error(tmp_path: Path) -> None:
    state = dict(resnet().state_dict())
    path = tmp_path / "model.pth"
    torch.save(state | {"layer5.wei\nght": torch.ones(1)}, path)
    with pytest.raises(UserError, match=r"1 are left over \(layer5\.wei\\nght\)"):
        added(path, tmp_path)
    torch.save({name: value for name, value in state.items() if name != "bn1.bias"}, path)
    with pytest.raises(UserError, match=r"1 of its tensors are missing \(bn1\.bias\)"):
        added(path, tmp_path)
    torch.save({name: value for name, value in state.items() if "num_batches" not in name}, path)
    added(path, tmp_path)  # counts of batches move no feature


def test_an_unknown_head_is_an_error_rather_than_left_out(tmp_path: Path) -> None:
    state = named(dict(resnet().state_dict()), "module.encoder.", **head("module.predictor.0"), **head("module.extra"))
    torch.save({"state_dict": state}, tmp_path / "model.pth")
    with pytest.raises(UserError, match=r"'extra\.weight' is neither in the encoder \(encoder\.…\) nor in a head"):
        added(tmp_path / "model.pth", tmp_path, told(layout="simsiam"))


def test_what_fits_no_layout_or_several_is_said(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"a": 1, "b": {"c": 2}}, path)
    with pytest.raises(UserError, match=r"holds a, b, which fits no layout; name it with --layout: torchvision, "):
        added(path, tmp_path)
    state = named(dict(resnet().state_dict()), "backbone.")
    torch.save({"state_dict": state}, path)
    with pytest.raises(UserError, match="fits no layout"):
        added(path, tmp_path)
    assert added(path, tmp_path, told(layout="lightly")).encoder is not None


def test_what_a_yaml_cannot_say_is_said_in_one_line(tmp_path: Path) -> None:
    write("SimSiam", tmp_path / "model.pth")
    with pytest.raises(UserError, match=r"encoder other: label: .* found 'two\\nlines'"):
        added(tmp_path / "model.pth", tmp_path, told(label="two\nlines"))


def test_names_that_are_taken(tmp_path: Path) -> None:
    write("SimSiam", tmp_path / "model.pth")
    added(tmp_path / "model.pth", tmp_path)
    with pytest.raises(UserError, match="there is such an encoder; delete the file, or choose another name"):
        added(tmp_path / "model.pth", tmp_path)
    for name, message in (("ddcl", "has a variant of this name"), ("a/b", "is no name")):
        with pytest.raises(UserError, match=message):
            add(name, tmp_path / "model.pth", GREY, tmp_path / "encoders")


def test_weights_that_are_gone_are_made_again_as_the_yaml_says_and_must_be_the_same(tmp_path: Path) -> None:
    write("solo-learn, CIFAR", tmp_path / "model.pth")
    added(tmp_path / "model.pth", tmp_path, told(side_px=48, dir_width=300, label="Mine"))
    config = read_encoder("other")
    file, yaml_text = Path(config.file), Path(tmp_path / "config/encoders/other.yaml").read_text()
    whole = file.read_bytes()
    for spoil in (file.unlink, lambda: file.write_bytes(b"cut")):
        spoil()
        assert "`ddcl encoder add other FILE` makes it again from 'model.pth'" in missing_weights("other")
        again, _ = add("other", tmp_path / "model.pth", Told(), tmp_path / "elsewhere")
        assert again == config
        assert file.read_bytes() == whole
    assert missing_weights("other") == ""
    assert Path(tmp_path / "config/encoders/other.yaml").read_text() == yaml_text
    file.unlink()
    with pytest.raises(UserError, match="run the command without options"):
        add("other", tmp_path / "model.pth", GREY, tmp_path)
    network = resnet("3x3")
    torch.save({"state_dict": named(dict(planted(network, 16).state_dict()), "backbone.")}, tmp_path / "model.pth")
    with pytest.raises(UserError, match=r"its YAML was made from model\.pth; model\.pth gives another encoder"):
        add("other", tmp_path / "model.pth", Told(), tmp_path)
    assert not file.exists()


def test_weights_that_are_gone_or_others_are_not_loaded(tmp_path: Path) -> None:
    write("SimSiam", tmp_path / "model.pth")
    recipe = added(tmp_path / "model.pth", tmp_path)
    method, file = build_method(recipe), Path(read_encoder("other").file)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"not the weights of encoder other \(its sha256 is another\)"):
        load_given(method, recipe)
    file.unlink()
    with pytest.raises(UserError, match="missing weights of encoder other; `ddcl encoder add other FILE` makes it"):
        load_given(method, recipe)


def test_inspect_says_layout_network_heads_and_what_is_to_be_said(tmp_path: Path) -> None:
    write("solo-learn, CIFAR", tmp_path / "model.ckpt")
    text = inspect(tmp_path / "model.ckpt")
    assert "torch.save, read with restrictions" in text
    assert "neither read nor executed: numpy" in text
    assert "layout: solo_learn (solo-learn), 120 tensors of the encoder" in text
    assert "heads, left out: classifier, projector" in text
    assert "network: torchvision/resnet18 with stem 3x3_padding_2; all its weights are in the file" in text
    assert "the normalisation, --mean R G B --std R G B" in text
    torch.save(
        {"state_dict": {"module.encoder.a": torch.ones(1)}, "a\nb\x1b[31m": 1, "c" * 999: 2}, tmp_path / "odd.pth"
    )
    held = inspect(tmp_path / "odd.pth").splitlines()[1]
    assert held.startswith(r"holds: state_dict: 1 tensors (module.encoder.a, …), a\nb\x1b[31m, ccc")
    assert len(held) < 250
    torch.save({"a": 1}, tmp_path / "none.pth")
    assert "layout: no known layout fits" in inspect(tmp_path / "none.pth")
