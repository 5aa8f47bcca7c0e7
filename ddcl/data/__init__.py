"""Data sets, augmentation and perturbation."""
