"""Randomness: named sub-streams, and draws of an image that depend on nothing but names and counters."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ddcl.core.seeds import Draws, derive, generator, uniform

MASK = (1 << 64) - 1


def splitmix64(seed: int, n: int) -> list[int]:
    """The generator of Steele, Lea and Flood with Python's integers."""
    values = []
    for _ in range(n):
        seed = (seed + 0x9E3779B97F4A7C15) & MASK
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        values.append(z ^ (z >> 31))
    return values


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


# --- derive


def test_derive_is_fixed() -> None:
    """Pinned, since every result hangs on it: first 8 bytes of the sha256 of the names joined by \\x1f, halved.

    hashlib.sha256(b"0\\x1fweights\\x1fencoder").digest()[:8], big endian, >> 1
    """
    assert derive(0, "weights", "encoder") == 8064891826078644524
    assert derive("digits", 1, "order") == 8093457581751186812


def test_derive_tells_names_apart_and_fits_63_bits() -> None:
    seeds = [
        derive(*names)
        for names in (
            (0,),
            (1,),
            (0, "a"),
            ("a", 0),
            (0, "b"),
            (0, "a", "b"),
            (0, "ab"),
            ("0a",),
            (0, "a", ""),
            (10, "a"),
        )
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 1 << 63 for seed in seeds)


def test_generator_is_that_of_the_derived_seed_and_leaves_the_global_one_alone() -> None:
    state = torch.get_rng_state()
    drawn = torch.rand(5, generator=generator(0, "weights"))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(drawn, torch.rand(5, generator=torch.Generator().manual_seed(derive(0, "weights"))))
    assert not torch.equal(drawn, torch.rand(5, generator=generator(1, "weights")))


# --- uniform


def test_splitmix64_here_gives_the_published_numbers() -> None:
    """Seed 1234567, the numbers that implementations in many languages are compared by."""
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert splitmix64(1234567, 5) == expected


@pytest.mark.parametrize("seed", [1234567, 0, 1, MASK, 1 << 63, 0xDEADBEEFCAFEF00D])
def test_uniform_is_splitmix64(seed: int) -> None:
    """The 24 highest bits, exactly; seeds with the sign bit set too."""
    found = uniform(torch.tensor([signed(seed)]), 64)[0]
    assert found.dtype == torch.float32
    assert found.tolist() == [(z >> 40) / 2**24 for z in splitmix64(seed, 64)]


def test_uniform_draws_are_a_prefix_of_more_draws() -> None:
    key = torch.tensor([3, -7])
    assert torch.equal(uniform(key, 4), uniform(key, 9)[:, :4])


# --- draws


def draws(images: Tensor, stream: int = derive("digits", 0, "views"), epoch: int = 0, view: int = 0) -> Draws:
    return Draws(stream, images, epoch, view)


def test_draws_are_fixed() -> None:
    """Pinned, with the snippet that made them:

    Draws(derive("digits", 0, "views"), torch.tensor([0, 1, 1796]), epoch=3, view=1).uniform("0.resized_crop", 3)
    """
    found = draws(torch.tensor([0, 1, 1796]), epoch=3, view=1).uniform("0.resized_crop", 3)
    expected = [
        [0.25383883714675903, 0.11663103103637695, 0.05592799186706543],
        [0.1055341362953186, 0.9107028841972351, 0.4138522148132324],
        [0.31066662073135376, 0.03670060634613037, 0.26730257272720337],
    ]
    assert found.tolist() == expected


def test_draws_are_the_hash_that_is_described() -> None:
    """Key of image i: the finaliser of i · γ + derive(stream, epoch, view, op); then one counter per draw."""
    stream, image = derive("digits", 0, "views"), 1796
    base = derive(stream, 3, 1, "0.resized_crop")
    gamma = 0x9E3779B97F4A7C15
    key = splitmix64((image * gamma + base - gamma) & MASK, 1)[0]
    expected = [(z >> 40) / 2**24 for z in splitmix64(key, 3)]
    assert draws(torch.tensor([image]), epoch=3, view=1).uniform("0.resized_crop", 3).tolist() == [expected]


def test_draws_of_an_image_do_not_depend_on_its_batch() -> None:
    everything = draws(torch.arange(500)).uniform("op", 3)
    order = torch.randperm(500, generator=torch.Generator().manual_seed(0))
    assert torch.equal(draws(order).uniform("op", 3), everything[order])
    for size in (1, 7, 128):
        parts = [draws(chunk).uniform("op", 3) for chunk in order.split(size)]
        assert torch.equal(torch.cat(parts), everything[order])
    assert torch.equal(draws(order.to(torch.int32)).uniform("op", 3), everything[order])


def test_draws_do_not_touch_the_global_generator() -> None:
    state = torch.get_rng_state()
    draws(torch.arange(5)).uniform("op", 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_every_name_and_counter_gives_other_draws() -> None:
    images = torch.arange(200)
    kinds = [
        draws(images).uniform("op", 1),
        draws(images, stream=derive("digits", 1, "views")).uniform("op", 1),
        draws(images, epoch=1).uniform("op", 1),
        draws(images, view=1).uniform("op", 1),
        draws(images, epoch=1, view=1).uniform("op", 1),
        draws(images, epoch=11).uniform("op", 1),
        draws(images).uniform("op2", 1),
        draws(images + 200).uniform("op", 1),
        draws(images).uniform("op", 2)[:, 1:],
    ]
    table = torch.cat(kinds, dim=1)
    for i in range(table.shape[1]):
        for j in range(i):
            assert int((table[:, i] == table[:, j]).sum()) <= 1, (i, j)
    correlation = torch.corrcoef(table.double().T) - torch.eye(table.shape[1])
    assert correlation.abs().max() < 4.5 / 200**0.5


def ks_distance(values: Tensor) -> float:
    """Kolmogorov-Smirnov distance from the uniform distribution."""
    n = len(values)
    grid = torch.arange(1, n + 1, dtype=torch.float64) / n
    ordered = values.double().sort().values
    return float(torch.maximum(grid - ordered, ordered - grid + 1 / n).max())


@pytest.mark.parametrize("direction", ["images", "draws", "epochs"])
def test_draws_are_uniform(direction: str) -> None:
    n = 20_000
    if direction == "images":
        u = draws(torch.arange(n)).uniform("op", 1)[:, 0]
    elif direction == "draws":
        u = draws(torch.tensor([42])).uniform("op", n)[0]
    else:
        u = torch.cat([draws(torch.arange(20), epoch=epoch).uniform("op", 1)[:, 0] for epoch in range(1000)])
    assert float(u.min()) >= 0
    assert float(u.max()) < 1
    assert ks_distance(u) < 1.95 / n**0.5  # exceeded by one in a thousand uniform samples
    neighbours = torch.corrcoef(torch.stack([u[:-1], u[1:]]).double())[0, 1]
    assert abs(float(neighbours)) < 4 / n**0.5


def test_pairs_of_draws_fill_the_square() -> None:
    """Two draws of 40,000 images in a 10 × 10 grid: chi² with 99 degrees of freedom, mean 99, sd 14."""
    u = draws(torch.arange(40_000)).uniform("op", 2)
    cell = (u[:, 0] * 10).long() * 10 + (u[:, 1] * 10).long()
    counts = torch.bincount(cell, minlength=100).double()
    chi2 = float(((counts - 400) ** 2 / 400).sum())
    assert 99 - 4 * 14 < chi2 < 99 + 4 * 14


def test_draws_never_reach_one() -> None:
    """24 bits: the largest is 1 - 2^-24, which float32 holds exactly."""
    assert float(torch.tensor((1 << 24) - 1).to(torch.float32) * 2.0**-24) < 1
    u = uniform(torch.arange(1000), 1000)
    assert torch.equal(u * 2**24, (u * 2**24).round())
    assert 0.99999 < float(u.max()) < 1
