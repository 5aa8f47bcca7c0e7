"""What names a run."""

from __future__ import annotations

from ddcl.base.yaml_files import Model, Seed
from ddcl.schema.names import Name


class RunKey(Model):
    """A run of a suite. Runs that differ in their seed only are of one arm."""

    dataset: Name
    variant: Name
    augmentation: Name
    seed: Seed

    @property
    def name(self) -> str:
        """``dataset/variant/augmentation/seedN``."""
        return f"{self.dataset}/{self.variant}/{self.augmentation}/seed{self.seed}"
