"""The image operations for one image at a time, compiled: an image goes through all of them while it is in the cache.

They compute what the operations of `ddcl.data.ops` compute on tensors, from the same parameters, in float32;
which operation runs with what stands in `ddcl.data.fused`. Images are float32 [3, S, S] in [0, 1], changed in place
where that is possible; pixels that move go from one buffer to another.
"""

from __future__ import annotations

import math

import numpy as np

from ddcl.core.compiled import compiled

CROP, JITTER, GREY, BLUR, FLIP, ROTATION, ELASTIC = range(7)  # codes of the operations
FRAME = 3  # black pixels about an image that is read between its pixels: one before it, two after it
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)  # as in `ddcl.data.ops.color_jitter`
F, U = np.float32, np.uintp  # an unsigned index is not tested for being negative
# no infinities or nans come in; sums may be reordered, so that they are vectorised
_jit = compiled({"nnan", "ninf", "nsz", "arcp", "contract", "reassoc"})


@_jit
def make_views(images, start, stop, codes, values, keys, constants, mean, std, out):
    """Write views start … stop - 1.

    images: uint8 [B, 3, H, W]. codes [K]: the operations in their order. values: float32 [B, K, 8], keys: uint64
    [B, K], constants: float32 [K, 3]; what they hold is documented in `ddcl.data.fused`.
    mean, std: float32 [3]. out: float32 [B, 3, S, S].
    """
    side = out.shape[2]
    x, spare, field = np.empty((3, side, side), F), np.empty((side, side), F), np.empty((2, side, side), F)
    framed = np.zeros((3, (side + FRAME) ** 2), F)  # its frame stays 0
    rows, where = np.empty((4, side), F), np.empty(side, np.int32)
    line = np.zeros((3, images.shape[3] + 2), F)
    for i in range(start, stop):
        if len(codes) == 0 or codes[0] != CROP:
            _load(images[i], x)
        for k in range(len(codes)):
            code, v, own = codes[k], values[i, k], constants[k]
            if code == CROP:
                _crop(images[i], int(v[0]), int(v[1]), int(v[2]), int(v[3]), x, line)
            elif v[0] == 0:  # not applied
                continue
            elif code == JITTER:
                _jitter(x, v)
            elif code == GREY:
                _mix_luma(x, F(0), F(1), F(0))
            elif code == BLUR:
                radius = min(int(own[0]), math.ceil(6 * v[1]))  # beyond 6 sigma a weight is below 2e-8
                weights = _gaussian(v[1], radius)
                for c in range(3):
                    _blur(x[c], weights, radius, spare)
            elif code == FLIP:
                _flip(x, rows[0])
            elif code == ROTATION:
                _rotate(x, v[1], own[0] != 0, framed, rows, where)
            else:
                _smooth_noise(keys[i, k], own, field, spare)
                _deform(x, field, own[2], framed, rows, where)
        _normalise(x, mean, std, out[i])


@_jit
def _load(image, out):
    for c in range(3):
        for y in range(out.shape[1]):
            source, row = image[c, y], out[c, y]
            for j in range(len(row)):
                row[j] = F(source[j]) * F(1 / 255)


@_jit
def _normalise(x, mean, std, out):
    for c in range(3):
        scale, shift = F(1) / std[c], -mean[c] / std[c]
        for y in range(x.shape[1]):
            source, row = x[c, y], out[c, y]
            for j in range(len(row)):
                row[j] = source[j] * scale + shift


@_jit
def _axis_taps(length, side):
    """Return, per output pixel, the first pixel that it reads [S], and the weights of it and the next [T, S].

    A triangle of half width max(1, length / side) about the output pixel's centre, cut at the crop's edges.
    """
    scale = length / side
    half = max(1.0, scale)
    first, weights = np.empty(side, np.int32), np.zeros((int(2 * half) + 1, side), F)
    count = 1
    for i in range(side):
        centre = (i + 0.5) * scale - 0.5
        low = max(0, math.floor(centre - half) + 1)
        high = min(length - 1, math.ceil(centre + half) - 1)
        total = 0.0
        for j in range(low, high + 1):
            total += 1.0 - abs(j - centre) / half
        for j in range(low, high + 1):
            weights[j - low, i] = (1.0 - abs(j - centre) / half) / total
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
            mixed, result = line[c], out[c, y]
            weight, source = y_weights[0, y] * F(1 / 255), image[c, row, left : left + width]
            for j in range(width):
                mixed[j] = weight * F(source[j])
            for t in range(1, y_count):
                weight = y_weights[t, y] * F(1 / 255)
                if weight != 0:
                    source = image[c, row + t, left : left + width]
                    for j in range(width):
                        mixed[j] += weight * F(source[j])
            weights = x_weights[0]
            for j in range(side):
                result[j] = weights[j] * mixed[U(x_first[j])]
            for t in range(1, x_count):  # a weight of 0 may meet a pixel behind the crop, which is finite
                weights, shifted = x_weights[t], mixed[t:]
                for j in range(side):
                    result[j] += weights[j] * shifted[U(x_first[j])]


@_jit
def _flip(x, spare):
    side = x.shape[2]
    for c in range(3):
        for y in range(side):
            row = x[c, y]
            for j in range(side):
                spare[j] = row[j]
            for j in range(side):
                row[j] = spare[U(side - 1 - j)]


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
    """As `ddcl.data.ops.color_jitter.shift_hue`, whose docstring has the formula."""
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
    i = abs(i)
    while i >= n:
        i = abs(2 * (n - 1) - i)
    return i


@_jit
def _blur(x, weights, radius, spare):
    """Blur [S, S] in place along both axes with weights [2 · radius + 1], which are symmetric."""
    side = x.shape[0]
    padded = np.empty(side + 2 * radius, F)
    for y in range(side):
        line, row = x[y], spare[y]
        middle = padded[radius:]
        for j in range(side):
            middle[j] = line[j]
        for j in range(1, radius + 1):
            padded[radius - j] = line[_reflected(-j, side)]
            padded[radius + side - 1 + j] = line[_reflected(side - 1 + j, side)]
        for j in range(side):
            row[j] = weights[radius] * line[j]
        for t in range(radius):
            weight, before, after = weights[t], padded[t : t + side], padded[2 * radius - t : 2 * radius - t + side]
            for j in range(side):
                row[j] += weight * (before[j] + after[j])
    for y in range(side):
        row, line = x[y], spare[y]
        for j in range(side):
            row[j] = weights[radius] * line[j]
        for t in range(1, radius + 1):
            weight, above, below = weights[radius - t], spare[_reflected(y - t, side)], spare[_reflected(y + t, side)]
            for j in range(side):
                row[j] += weight * (above[j] + below[j])


@_jit
def _frame(x, framed):
    side = x.shape[1]
    width = side + FRAME
    for c in range(3):
        for y in range(side):
            line, row = x[c, y], framed[c, (y + 1) * width + 1 :]
            for j in range(side):
                row[j] = line[j]


@_jit
def _read_row(framed, rows, where, nearest, x, y):
    """Row y of x becomes the framed image at rows[0], rows[1] = x and y in pixels; bilinear or nearest, outside is 0.

    framed: [3, (S + FRAME)²]. rows [4, S] and where [S] are overwritten.
    """
    side = x.shape[1]
    width = side + FRAME
    px, py, wx, wy = rows[0], rows[1], rows[2], rows[3]
    for j in range(side):
        at_x, at_y = min(max(px[j], F(-1)), F(side)), min(max(py[j], F(-1)), F(side))
        low_x, low_y = (np.rint(at_x), np.rint(at_y)) if nearest else (np.floor(at_x), np.floor(at_y))
        wx[j], wy[j] = at_x - low_x, at_y - low_y
        where[j] = (np.int32(low_y) + np.int32(1)) * np.int32(width) + np.int32(low_x) + np.int32(1)
    for c in range(3):
        row, upper, lower = x[c, y], framed[c], framed[c, width:]
        if nearest:
            for j in range(side):
                row[j] = upper[U(where[j])]
            continue
        for j in range(side):
            i = U(where[j])
            a = upper[i] + wx[j] * (upper[i + U(1)] - upper[i])
            b = lower[i] + wx[j] * (lower[i + U(1)] - lower[i])
            row[j] = a + wy[j] * (b - a)


@_jit
def _rotate(x, angle_deg, nearest, framed, rows, where):
    side = x.shape[1]
    angle = float(angle_deg) * math.pi / 180
    cos, sin, centre = math.cos(angle), math.sin(angle), (side - 1) / 2
    _frame(x, framed)
    px, py = rows[0], rows[1]
    for y in range(side):
        left_x, left_y = F(centre - sin * (y - centre)), F(centre + cos * (y - centre))
        for j in range(side):
            from_centre = F(j) - F(centre)
            px[j], py[j] = left_x + F(cos) * from_centre, left_y + F(sin) * from_centre
        _read_row(framed, rows, where, nearest, x, y)


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
def _smooth_noise(key, own, field, spare):
    """Fill [2, S, S] with noise, blurred along both axes. own: radius and sigma of the blur, in pixels."""
    _noise(key, field)
    weights = _gaussian(own[1], int(own[0]))
    for axis in range(2):
        _blur(field[axis], weights, int(own[0]), spare)


@_jit
def _deform(x, field, strength_px, framed, rows, where):
    """Read each pixel from where the field [2, S, S], times strength_px, says."""
    side = x.shape[1]
    _frame(x, framed)
    px, py = rows[0], rows[1]
    for y in range(side):
        along, down = field[0, y], field[1, y]
        for j in range(side):
            px[j], py[j] = F(j) + strength_px * along[j], F(y) + strength_px * down[j]
        _read_row(framed, rows, where, False, x, y)
