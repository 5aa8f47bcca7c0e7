"""Where a part of the features comes from: Grad-CAM of the part's energy, as the paper's figure 3."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pandas as pd
import torch
from captum.attr import LayerGradCam
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ddcl.core.seeds import Draws, derive
from ddcl.data.views import load_op
from ddcl.pictures.material import Encoder, Material, apply, rotate
from ddcl.pictures.sheet import Sheet, rgb
from ddcl.report.figures.layout import FULL, MARKS
from ddcl.schema.ops import ElasticSettings
from ddcl.schema.pictures import ActivationSettings

LABELS, GUTTER, HEAD = 2.1, 0.3, 0.6  # cells: names on the left, between images, above them
HEAT = "inferno"  # of the colour maps whose brightness rises evenly; black is nothing
SHINE = 0.15  # share of the image in what is shown
POOLS = ("global_pool", "avgpool")  # what timm and torchvision call the last pooling
TINY = 1e-12  # below which a map is nothing


def activation_maps(encoder: Encoder, x: Tensor, part: tuple[int, int]) -> Tensor:
    """Return Grad-CAM [N, h, w] ≥ 0 of ½‖h_part‖² of images x [N, 3, S, S] in [0, 1], at the last layer with positions.

    part: the columns [start, stop) of the features. As these are averages of the last layer A over positions, the map
    is Σ_k h_k A_k / (h · w) over the columns k: what each position adds to the squared norm, up to a factor.
    """
    method = encoder.method
    assert method is not None
    pool = pool_of(encoder)
    assert pool is not None

    def energy(images: Tensor) -> Tensor:
        return 0.5 * method.features(images)[:, part[0] : part[1]].square().sum(dim=1)

    device = next(method.parameters()).device
    with torch.enable_grad():
        inputs = encoder.normalise(x.to(device)).requires_grad_()
        maps: Tensor = LayerGradCam(energy, pool).attribute(
            inputs, attribute_to_layer_input=True, relu_attributions=True
        )
    return maps.detach().float().cpu()[:, 0]


def pool_of(encoder: Encoder) -> torch.nn.Module | None:
    """Return the layer that averages over positions; None where there is no method, or none such, as in a ViT."""
    own = encoder.method.encoder if encoder.method else None
    network = getattr(own, "network", own)  # an encoder from elsewhere resizes its images first
    found = (getattr(network, name, None) for name in POOLS)
    return next((layer for layer in found if isinstance(layer, torch.nn.Module)), None)


def distorted(material: Material, settings: ActivationSettings) -> tuple[dict[str, Tensor], Tensor]:
    """Return test images of different classes [n, 3, S, S] in [0, 1], by the name of their distortion, and labels."""
    images, labels = material.spread(settings.n_images)
    alpha_px, sigma_px = settings.elastic_alpha_px, settings.elastic_sigma_px
    elastic = ElasticSettings(alpha_px=alpha_px, sigma_px=sigma_px, prob=1.0, scale_with_side=True, matched=[])
    draws = Draws(derive(material.entry.dataset, "pictures", "elastic"), torch.arange(len(images)))
    params = load_op("elastic").sample(draws, "0:elastic", tuple(images.shape[-2:]), elastic)
    angle = torch.full((len(images),), settings.angle_deg)
    shown = {"original": images / 255, f"{settings.angle_deg:g}°": rotate(images, angle)}
    return shown | {"elastic": apply(images, "elastic", elastic, params)}, labels


def rows_of(encoders: list[Encoder]) -> Iterator[tuple[Encoder, str]]:
    """Yield the rows of the picture: each part of each encoder; one that has none gets a row that says so."""
    for encoder in encoders:
        for part in encoder.parts or [""]:
            yield encoder, part


def name_of(encoder: Encoder, part: str) -> str:
    """Return how a row is named, with the mark of a collapsed run."""
    mark = MARKS.get(encoder.status, "") if encoder.method else ""
    own = "" if len(encoder.parts) < 2 else f"\n{part if part == FULL else part.upper()}"
    return f"{encoder.label}{mark}{own}"


def draw(material: Material, settings: ActivationSettings) -> tuple[Figure, pd.DataFrame]:
    """Draw one row per method and part, three columns per image; return norms and effective areas, too."""
    shown, labels = distorted(material, settings)
    rows, n = list(rows_of(material.encoders())), len(labels)
    sheet = Sheet(LABELS + n * len(shown) + (n - 1) * GUTTER, HEAD + 1 + len(rows))
    places = {
        (image, name): LABELS + image * (len(shown) + GUTTER) + column
        for image, (column, name) in product(range(n), enumerate(shown))
    }
    for (image, name), x in places.items():
        sheet.text((x + 0.5, HEAD / 2), name)
        sheet.image((x, HEAD), rgb(shown[name][image]))
    sheet.text((LABELS - 0.15, HEAD + 0.5), "test image", ha="right")
    found = []
    for y, (encoder, part) in enumerate(rows, start=1):
        sheet.text((LABELS - 0.15, HEAD + y + 0.5), name_of(encoder, part), ha="right")
        if pool_of(encoder) is None:
            why = "its network pools no positions" if encoder.method else encoder.status
            sheet.text((LABELS + 0.1, HEAD + y + 0.5), f"{why}: nothing to show", ha="left")
            continue
        for name, images in shown.items():
            maps = activation_maps(encoder, images, encoder.parts[part])
            for image in range(n):
                place = (places[image, name], HEAD + y)
                sheet.image(place, overlay(images[image], maps[image]))
            found.append(_measures(encoder, part, name, maps).assign(label=labels.tolist()))
    return sheet.figure, pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def overlay(image: Tensor, heat: Tensor) -> NDArray[np.float64]:
    """Return [H, W, 3]: the map's colours, from 0 to its own maximum, with the image [3, H, W] shining through."""
    height, width = image.shape[-2:]
    full = F.interpolate(heat[None, None], size=(height, width), mode="bilinear")[0, 0]
    colours = colormaps[HEAT]((full / full.max().clamp(min=TINY)).numpy())[..., :3]
    mixed: NDArray[np.float64] = (1 - SHINE) * colours + SHINE * image.mean(dim=0).numpy()[..., None]
    return mixed


def _measures(encoder: Encoder, part: str, distortion: str, maps: Tensor) -> pd.DataFrame:
    """Return a row per image: the map's sum, and its effective area, (Σm)² / (N Σm²); 1: the same everywhere."""
    flat = maps.flatten(1).double()
    area = flat.sum(dim=1).square() / (flat.shape[1] * flat.square().sum(dim=1)).clamp(min=1e-30)
    keys = {"variant": encoder.recipe.variant, "augmentation": encoder.recipe.augmentation, "seed": encoder.recipe.seed}
    numbers = {"image": range(len(flat)), "map_sum": flat.sum(dim=1).numpy(), "effective_area": area.numpy()}
    return pd.DataFrame(keys | {"part": part, "distortion": distortion} | numbers)
