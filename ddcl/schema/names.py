"""Names that several stages agree on."""

CLEAN = "none"  # the perturbation that leaves test images as they are
