"""The image operations, one per file; `ddcl.schema.ops` has their settings and names them.

Each module has two functions. `sample(draws, name, size_px, settings)` returns the parameters of B images of size_px
(height, width), each [B, …] and a function of the draws only. `apply(x, params, settings)` changes images x, float32
[B, 3, H, W] in [0, 1]. It owns `x`: it may write into it, and the caller must use the returned tensor. If the entry
says that an operation resizes, `apply` also accepts uint8 x, and takes a fourth argument: the side in pixels of the
square images that it returns. Results equal those of torchvision's function with the same parameters, if it has one
(tests/unit/test_ops.py), but each image has its own parameters. Shared code is in `parameters` and `pixels`.
"""
