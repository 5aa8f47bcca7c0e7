"""Distortion-Disentangled Contrastive Learning: the method, the engine and the benchmark around it."""
