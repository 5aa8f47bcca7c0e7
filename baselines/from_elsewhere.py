"""External encoders: trained elsewhere and only evaluated here."""

from __future__ import annotations

from torch import nn

from ddcl.core.method import Method
from ddcl.schema.methods import GivenSplitSettings


class FromElsewhere(Method):
    """A frozen encoder whose weights come from a file (config/encoders)."""

    trains = False


class SplitFromElsewhere(FromElsewhere):
    """A frozen encoder whose first columns are DIR and whose other columns are DVR, such as the official DDCL's."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: GivenSplitSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.dir_width = settings.dir_width

    def parts(self) -> dict[str, tuple[int, int]]:
        """Return all columns, DIR and DVR."""
        return super().parts() | {"dir": (0, self.dir_width), "dvr": (self.dir_width, self.feature_dim)}
