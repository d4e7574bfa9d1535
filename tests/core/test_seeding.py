"""Randomness has an address: what depends on it, and what must not."""

import torch

from latentia.core.contract import StepContext
from latentia.core.seeding import (
    derive_seed,
    make_generator,
    noise,
    sample_normal_rows,
    seed_global_generators,
)


def moment(step=3, first_row=0, global_batch=8, seed=0):
    return StepContext(step, 10, seed, 100, first_row, global_batch)


def test_an_address_changes_with_each_of_its_parts():
    addresses = {derive_seed(s, p, k) for s in (0, 1, 11) for p in ("a", "b") for k in (0, 1, 10)}
    assert len(addresses) == 18


def test_noise_of_a_row_does_not_depend_on_who_holds_the_row():
    whole = noise(moment(), "posterior", (5,), torch.empty(8, 1))
    parts = [noise(moment(first_row=k), "posterior", (5,), torch.empty(4, 1)) for k in (0, 4)]
    assert torch.equal(whole, torch.cat(parts))
    assert not torch.equal(whole, noise(moment(step=4), "posterior", (5,), torch.empty(8, 1)))
    assert not torch.equal(whole, noise(moment(), "prior", (5,), torch.empty(8, 1)))


def test_row_k_is_the_same_for_every_n():
    many = sample_normal_rows(200, (5,), seed=0, purpose="prior")
    for n in (0, 1, 63, 64, 65, 130):
        assert torch.equal(sample_normal_rows(n, (5,), seed=0, purpose="prior"), many[:n])
    assert len(many.unique(dim=0)) == 200
    assert abs(many.mean()) < 4 / 1000**0.5


def test_global_seed_repeats_dropout():
    drops = []
    for _ in range(2):
        seed_global_generators(0, "dropout/vae", 7)
        drops.append(torch.nn.functional.dropout(torch.ones(100)))
    assert torch.equal(*drops)
    assert torch.equal(
        torch.rand(3, generator=make_generator(1, "x")),
        torch.rand(3, generator=make_generator(1, "x")),
    )
