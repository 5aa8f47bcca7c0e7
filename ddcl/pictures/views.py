"""What each augmentation does: training images and two views of each."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from ddcl.build import build_pipeline
from ddcl.data.batches import views
from ddcl.data.images import BatchRequest
from ddcl.data.loader import epoch_requests
from ddcl.data.stored import read_images
from ddcl.pictures.material import PLAIN, Material
from ddcl.pictures.sheet import Sheet, rgb
from ddcl.schema.pictures import ViewsSettings
from ddcl.schema.recipes import Recipe
from ddcl.schema.registry import METHODS

GUTTER, HEAD = 0.35, 0.5  # cells: between augmentations, and above the images
MIN_COLUMNS = 8.0  # cells of a sheet: with few augmentations, images do not grow further


def draw(material: Material, settings: ViewsSettings) -> tuple[Figure, pd.DataFrame]:
    """Draw one row per image: the original, and two views under each augmentation; return what is shown, too."""
    columns = 1 + len(material.recipes) * (2 + GUTTER)
    sheet = Sheet(max(columns, MIN_COLUMNS), settings.n_images + HEAD)
    sheet.text((0.5, HEAD / 2), "original")
    rows = []
    for number, recipe in enumerate(material.recipes):
        index, labels, original, pairs = first_views(material, recipe, settings.n_images)
        x = 1 + GUTTER + number * (2 + GUTTER)
        sheet.text((x + 1, HEAD / 2), material.plan.labels["augmentation"][recipe.augmentation], weight="bold")
        for row, image in enumerate(original):
            sheet.image((0, HEAD + row), rgb(image))
            for column, pair in enumerate(pairs):
                sheet.image((x + column, HEAD + row), rgb(pair[row].clamp(0, 1)))
        shown = {"image": index.tolist(), "label": labels.tolist(), "seed": recipe.seed}
        rows.append(pd.DataFrame(shown | {"augmentation": recipe.augmentation, "epoch": 1}))
    return sheet.figure, pd.concat(rows, ignore_index=True)


def first_views(material: Material, recipe: Recipe, n: int) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Return the first n images that the run trains on in its first epoch: their places in the split, and labels.

    And the originals, and the two views that the training makes of them, [n, 3, S, S] in [0, 1].
    """
    path, side_px = material.manifest_path, material.side_px
    images = read_images(path, material.manifest, METHODS[recipe.method].split, side_px, exact=recipe.authors)
    (request, *_) = epoch_requests(len(images), min(n, len(images)), (recipe.dataset, recipe.seed), (0, 0), n_views=2)
    pipeline = build_pipeline(recipe.ops, side_px, PLAIN)
    pairs = next(views(images, [request], pipeline, "cpu"))
    ((original,),) = images.load([BatchRequest(request.index)], None)
    return request.index, images.labels[request.index], original.float() / 255, pairs
