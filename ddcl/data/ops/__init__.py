"""The image operations, one a file; `ddcl.schema.ops` has their settings and names them.

Each module has two functions. `sample(draws, name, size_px, settings)` returns the parameters of B images of size_px
(height, width), each [B, …] and a function of the draws only. `apply(x, params, settings)` changes images x, float32
[B, 3, H, W] in [0, 1]. It owns `x`: it may write into it, and the caller uses what it returns. Where the entry says
that an operation resizes, `apply` takes uint8 x too, and a fourth argument: the side in pixels of the square images
that it returns. Results are those of torchvision's function with the same parameters where it has one
(tests/unit/test_ops.py), but with parameters of its own for every image. What several operations share is in
`parameters` and `pixels`.
"""
