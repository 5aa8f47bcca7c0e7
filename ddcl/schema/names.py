"""Names that several stages agree on."""

NO_AUGMENTATION = "none"  # the augmentation of runs that do not train
CLEAN = "none"  # the perturbation that leaves test images as they are
