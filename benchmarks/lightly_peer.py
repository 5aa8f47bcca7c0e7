"""What a user of lightly would write: its transforms, collate function, networks, heads and losses, as in its examples.

lightly is no dependency of the suite: it is installed for `make bench` only, from benchmarks/requirements.txt.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

try:
    import lightly  # noqa: F401
except ImportError:
    wanted = "pip install --no-deps -r benchmarks/requirements.txt"
    print(f"ddcl: error: this benchmark needs lightly, which is not installed: {wanted}", file=sys.stderr)
    sys.exit(2)

import torch
from lightly.data import LightlyDataset
from lightly.data.multi_view_collate import MultiViewCollate
from lightly.loss import NegativeCosineSimilarity
from lightly.models import ResNetGenerator
from lightly.models.modules import SimSiamPredictionHead, SimSiamProjectionHead
from lightly.transforms import SimSiamTransform
from lightly.utils.benchmarking import knn_predict
from PIL import Image
from torch import Tensor, nn

from ddcl.core.encoders import build_encoder
from ddcl.schema.recipes import Recipe

__all__ = ["AUGMENTATIONS", "SimSiam", "knn_predict", "loader"]
AUGMENTATIONS = {"baug": {}, "caug": {"rr_prob": 1.0, "rr_degrees": 90.0}}  # lightly has no elastic deformation


class PilImages(torch.utils.data.Dataset[tuple[list[Tensor], int]]):
    """Images uint8 [N, 3, S, S] as torchvision's data sets keep them: one array, PIL images, a transform."""

    def __init__(self, images: Tensor, transform: Callable[[Image.Image], list[Tensor]]) -> None:
        self.images, self.transform = images.permute(0, 2, 3, 1).contiguous().numpy(), transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[list[Tensor], int]:
        return self.transform(Image.fromarray(self.images[i])), 0


def loader(images: Tensor, augmentation: str, batch: int) -> torch.utils.data.DataLoader[object]:
    """Return lightly's loader of two views [B, 3, S, S] of each image, with 2 workers."""
    transform = SimSiamTransform(input_size=images.shape[-1], **AUGMENTATIONS[augmentation])
    dataset = LightlyDataset.from_torch_dataset(PilImages(images, transform))
    return torch.utils.data.DataLoader(
        dataset,
        batch_size=batch,
        shuffle=True,
        num_workers=2,
        drop_last=True,
        collate_fn=MultiViewCollate(),
        persistent_workers=True,
    )


class SimSiam(nn.Module):
    """SimSiam of lightly's parts, with the sizes of a recipe.

    A ResNet-18 is lightly's own, as in its CIFAR-10 benchmark; any other backbone is that of the recipe.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        config, settings = recipe.training.backbone, recipe.settings
        width, dim = config.widths[-1], settings["projector_dim"]
        if config.widths == [64, 128, 256, 512]:
            network = ResNetGenerator("resnet-18")
            self.backbone = nn.Sequential(*list(network.children())[:-1], nn.AdaptiveAvgPool2d(1))
        else:
            self.backbone = nn.Sequential(build_encoder(config)[0])
        self.projection_head = SimSiamProjectionHead(width, dim, dim)
        self.prediction_head = SimSiamPredictionHead(dim, settings["predictor_hidden_dim"], dim)
        self.criterion = NegativeCosineSimilarity()

    def forward(self, x0: Tensor, x1: Tensor) -> Tensor:
        """Return the loss of a batch."""
        z0, z1 = (self.projection_head(self.backbone(x).flatten(start_dim=1)) for x in (x0, x1))
        p0, p1 = self.prediction_head(z0), self.prediction_head(z1)
        loss: Tensor = 0.5 * (self.criterion(p0, z1.detach()) + self.criterion(p1, z0.detach()))
        return loss
