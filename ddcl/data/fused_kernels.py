"""The image operations for one image at a time, compiled: an image goes through all of them while it is in the cache.

They compute what `ddcl.data.ops_colour` and `ddcl.data.ops_geometry` compute, from the same parameters, in float32;
which operation runs with what stands in `ddcl.data.fused`. Images are float32 [3, S, S] in [0, 1], changed in place
where that is possible; pixels that move go from one buffer to another.
"""

from __future__ import annotations

import math

import numba
import numpy as np

CROP, JITTER, GREY, BLUR, FLIP, ROTATION, ELASTIC = range(7)  # codes of the operations
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)  # as in `ddcl.data.ops_colour`
F = np.float32
# no infinities or nans come in; sums may be reordered, so that they are vectorised
_jit = numba.njit(
    cache=True, nogil=True, error_model="numpy", fastmath={"nnan", "ninf", "nsz", "arcp", "contract", "reassoc"}
)


@_jit
def make_views(images, start, stop, codes, values, keys, constants, mean, std, out):
    """Write views start … stop - 1.

    images: uint8 [B, 3, H, W]. codes [K]: the operations in their order. values: float32 [B, K, 8], keys: uint64
    [B, K], constants: float32 [K, 3]; what they hold is documented in `ddcl.data.fused`.
    mean, std: float32 [3]. out: float32 [B, 3, S, S].
    """
    side = out.shape[2]
    current, other = np.empty((3, side, side), F), np.empty((3, side, side), F)
    field, scratch = np.empty((2, side, side), F), np.empty((side, side), F)
    line = np.empty((3, images.shape[3]), F)
    for i in range(start, stop):
        if len(codes) == 0 or codes[0] != CROP:
            _load(images[i], current)
        for k in range(len(codes)):
            code, v, own = codes[k], values[i, k], constants[k]
            if code == CROP:
                _crop(images[i], int(v[0]), int(v[1]), int(v[2]), int(v[3]), current, line)
            elif v[0] == 0:  # not applied
                continue
            elif code == JITTER:
                _jitter(current, v)
            elif code == GREY:
                _mix_luma(current, F(0), F(1), F(0))
            elif code == BLUR:
                radius = min(int(own[0]), math.ceil(6 * v[1]))  # beyond 6 sigma a weight is below 2e-8
                weights = _gaussian(v[1], radius)
                for c in range(3):
                    _blur(current[c], weights, radius, scratch)
            elif code == FLIP:
                _flip(current)
            elif code == ROTATION:
                _rotate(current, v[1], own[0] != 0, other)
                current, other = other, current
            else:
                radius = int(own[0])
                weights = _gaussian(own[1], radius)
                _noise(keys[i, k], field)
                for axis in range(2):
                    _blur(field[axis], weights, radius, scratch)
                _deform(current, field, own[2], other)
                current, other = other, current
        for c in range(3):
            scale, shift = F(1) / std[c], -mean[c] / std[c]
            for y in range(side):
                for x in range(side):
                    out[i, c, y, x] = current[c, y, x] * scale + shift


@_jit
def _load(image, out):
    for c in range(3):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                out[c, y, x] = F(image[c, y, x]) * F(1 / 255)


@_jit
def _axis_taps(length, side):
    """Return, per output pixel, the first pixel of the crop that it reads, and the weights of it and its neighbours.

    A triangle of half width max(1, length / side) about the output pixel's centre, cut at the crop's edges.
    """
    scale = length / side
    half = max(1.0, scale)
    first, weights = np.empty(side, np.int64), np.zeros((side, int(2 * half) + 1), F)
    count = 1
    for i in range(side):
        centre = (i + 0.5) * scale - 0.5
        low = max(0, math.floor(centre - half) + 1)
        high = min(length - 1, math.ceil(centre + half) - 1)
        total = 0.0
        for j in range(low, high + 1):
            total += 1.0 - abs(j - centre) / half
        for j in range(low, high + 1):
            weights[i, j - low] = (1.0 - abs(j - centre) / half) / total
        first[i] = low
        count = max(count, high + 1 - low)
    return first, weights, count


@_jit
def _crop(image, top, left, height, width, out, line):
    """Resize the crop of a uint8 image: first the rows that an output row reads, then along the row."""
    side = out.shape[1]
    y_first, y_weights, y_count = _axis_taps(height, side)
    x_first, x_weights, x_count = _axis_taps(width, side)
    for y in range(side):
        row = top + y_first[y]
        for c in range(3):
            weight = y_weights[y, 0] * F(1 / 255)
            for x in range(width):
                line[c, x] = weight * F(image[c, row, left + x])
        for t in range(1, y_count):
            weight = y_weights[y, t] * F(1 / 255)
            if weight != 0:
                for c in range(3):
                    for x in range(width):
                        line[c, x] += weight * F(image[c, row + t, left + x])
        for x in range(side):
            at, red, green, blue = x_first[x], F(0), F(0), F(0)
            for t in range(x_count):
                weight = x_weights[x, t]
                if weight != 0:
                    red += weight * line[0, at + t]
                    green += weight * line[1, at + t]
                    blue += weight * line[2, at + t]
            out[0, y, x], out[1, y, x], out[2, y, x] = red, green, blue


@_jit
def _flip(x):
    side = x.shape[2]
    for c in range(3):
        for y in range(side):
            for j in range(side // 2):
                x[c, y, j], x[c, y, side - 1 - j] = x[c, y, side - 1 - j], x[c, y, j]


@_jit
def _mix_luma(x, own, grey, constant):
    """x becomes own · x + grey · luma + constant, cut to [0, 1]."""
    r, g, b = x[0].reshape(-1), x[1].reshape(-1), x[2].reshape(-1)
    for i in range(len(r)):
        base = grey * (F(0.2989) * r[i] + F(0.587) * g[i] + F(0.114) * b[i]) + constant
        r[i] = min(max(own * r[i] + base, F(0)), F(1))
        g[i] = min(max(own * g[i] + base, F(0)), F(1))
        b[i] = min(max(own * b[i] + base, F(0)), F(1))


@_jit
def _mean_luma(x):
    r, g, b = x[0].reshape(-1), x[1].reshape(-1), x[2].reshape(-1)
    total = F(0)
    for i in range(len(r)):
        total += F(0.2989) * r[i] + F(0.587) * g[i] + F(0.114) * b[i]
    return total / F(len(r))


@_jit
def _jitter(x, v):
    """v: applied, the factors of brightness, contrast and saturation, the turn of the hue, the order as 4 digits."""
    order = int(v[5])
    for place in (1000, 100, 10, 1):
        kind = order // place % 10
        if kind == BRIGHTNESS:
            _mix_luma(x, v[1], F(0), F(0))
        elif kind == CONTRAST:
            _mix_luma(x, v[2], F(0), (F(1) - v[2]) * _mean_luma(x))
        elif kind == SATURATION:
            _mix_luma(x, v[3], F(1) - v[3], F(0))
        elif v[4] != 0:
            _shift_hue(x, v[4])


@_jit
def _shift_hue(x, turns):
    """As `ddcl.data.ops_colour.shift_hue`, whose docstring has the formula."""
    r, g, b = x[0].reshape(-1), x[1].reshape(-1), x[2].reshape(-1)
    for i in range(len(r)):
        high, low = max(max(r[i], g[i]), b[i]), min(min(r[i], g[i]), b[i])
        chroma = high - low
        u = F(2) - (g[i] + b[i] - r[i] - low) / max(chroma, F(1e-12))
        u = (u if g[i] >= b[i] else -u) - F(6) * turns
        u -= F(6) * np.rint(u * F(1 / 6))  # back into [-3, 3]
        r[i] = low + chroma * min(max(abs(u) - F(1), F(0)), F(1))
        g[i] = high - chroma * min(max(abs(u - F(1)) - F(1), F(0)), F(1))
        b[i] = high - chroma * min(max(abs(u + F(1)) - F(1), F(0)), F(1))


@_jit
def _gaussian(sigma, radius):
    """Return the weights [2 · radius + 1] of a Gaussian, with sum 1."""
    weights, total = np.empty(2 * radius + 1, F), 0.0
    for t in range(2 * radius + 1):
        weight = math.exp(-0.5 * ((t - radius) / sigma) ** 2)
        weights[t] = weight
        total += weight
    for t in range(2 * radius + 1):
        weights[t] /= F(total)
    return weights


@_jit
def _reflected(i, n):
    """Return which of n pixels stands at position i; the edge pixel is not repeated."""
    if n == 1:
        return 0
    i = i % (2 * (n - 1))
    return min(i, 2 * (n - 1) - i)


@_jit
def _blur(x, weights, radius, scratch):
    """Blur [S, S] in place along both axes with weights [2 · radius + 1]."""
    side = x.shape[0]
    padded = np.empty(side + 2 * radius, F)
    for y in range(side):
        for j in range(side):
            padded[radius + j] = x[y, j]
        for j in range(radius):
            padded[radius - 1 - j] = x[y, _reflected(-1 - j, side)]
            padded[radius + side + j] = x[y, _reflected(side + j, side)]
        row = scratch[y]
        for j in range(side):
            row[j] = weights[radius] * padded[radius + j]
        for t in range(radius):
            weight, mirror = weights[t], 2 * radius - t  # the kernel is symmetric
            for j in range(side):
                row[j] += weight * (padded[t + j] + padded[mirror + j])
    for y in range(side):
        row, source = x[y], scratch[y]
        for j in range(side):
            row[j] = weights[radius] * source[j]
        for t in range(1, radius + 1):
            weight = weights[radius - t]
            above, below = scratch[_reflected(y - t, side)], scratch[_reflected(y + t, side)]
            for j in range(side):
                row[j] += weight * (above[j] + below[j])


@_jit
def _read(x, px, py, out, y, j):
    """out[:, y, j] becomes x at (px, py) in pixels, bilinear; outside is 0."""
    side = x.shape[1]
    fx, fy = np.floor(px), np.floor(py)
    x0, y0, wx, wy = int(fx), int(fy), px - fx, py - fy
    w11 = wx * wy
    w01, w10 = wx - w11, wy - w11
    w00 = F(1) - wx - w10
    if 0 <= x0 < side - 1 and 0 <= y0 < side - 1:
        for c in range(3):
            out[c, y, j] = (
                w00 * x[c, y0, x0] + w01 * x[c, y0, x0 + 1] + w10 * x[c, y0 + 1, x0] + w11 * x[c, y0 + 1, x0 + 1]
            )
        return
    left, right = 0 <= x0 < side, 0 <= x0 + 1 < side
    top, bottom = 0 <= y0 < side, 0 <= y0 + 1 < side
    for c in range(3):
        value = F(0)
        if top and left:
            value += w00 * x[c, y0, x0]
        if top and right:
            value += w01 * x[c, y0, x0 + 1]
        if bottom and left:
            value += w10 * x[c, y0 + 1, x0]
        if bottom and right:
            value += w11 * x[c, y0 + 1, x0 + 1]
        out[c, y, j] = value


@_jit
def _rotate(x, angle_deg, nearest, out):
    side = x.shape[1]
    angle = float(angle_deg) * math.pi / 180
    cos, sin, centre = math.cos(angle), math.sin(angle), (side - 1) / 2
    for y in range(side):
        from_x, from_y = centre - sin * (y - centre), centre + cos * (y - centre)
        for j in range(side):
            px, py = F(from_x + cos * (j - centre)), F(from_y + sin * (j - centre))
            if not nearest:
                _read(x, px, py, out, y, j)
                continue
            x0, y0 = int(np.rint(px)), int(np.rint(py))
            inside = 0 <= x0 < side and 0 <= y0 < side
            for c in range(3):
                out[c, y, j] = x[c, y0, x0] if inside else F(0)


@_jit
def _noise(key, field):
    """Fill [2, S, S] with the uniforms of [-1, 1) of `ddcl.core.seeds.uniform`: hashes of (key, counter)."""
    flat = field.reshape(-1)
    for i in range(len(flat)):
        z = key + np.uint64(i + 1) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
        flat[i] = F(np.int32(z >> np.uint64(40))) * F(2.0**-23) - F(1)


@_jit
def _deform(x, field, strength_px, out):
    """Read each pixel from where the field [2, S, S], times strength_px, says."""
    side = x.shape[1]
    for y in range(side):
        for j in range(side):
            _read(x, F(j) + strength_px * field[0, y, j], F(y) + strength_px * field[1, y, j], out, y, j)
