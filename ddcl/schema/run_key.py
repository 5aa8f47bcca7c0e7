"""What names a run."""

from __future__ import annotations

from pydantic import Field

from ddcl.base.yaml_files import Model


class RunKey(Model):
    """A run of a suite. Runs that differ in their seed only are of one arm."""

    dataset: str
    variant: str
    augmentation: str
    seed: int = Field(ge=0)

    @property
    def name(self) -> str:
        """``dataset/variant/augmentation/seedN``."""
        return f"{self.dataset}/{self.variant}/{self.augmentation}/seed{self.seed}"
