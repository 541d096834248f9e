"""Close-mic demixing against its equations as plain loops, in double precision."""

import pytest
import torch
from loops_closemic import linear_by_loops, room_by_loops

from irtools.methods.closemic.linear import demix_linear
from irtools.methods.closemic.room import RoomLearner, RoomSettings


def spectra(freqs, mics, frames, seed=0):
    """Sources that come and go, each bled into the other microphones with a complex gain a frequency."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(freqs, mics, frames, dtype=torch.complex128, generator=generator)
    sources = draw * torch.rand(mics, frames, dtype=torch.float64, generator=generator) ** 2
    bleed = 0.2 * torch.randn(freqs, mics, mics, dtype=torch.complex128, generator=generator)
    bleed.diagonal(dim1=1, dim2=2).fill_(1)
    return bleed @ sources


@pytest.mark.parametrize("mics", [1, 2, 4])
@pytest.mark.parametrize("frames", [3, 60])
@pytest.mark.parametrize("every", [1, 2])
def test_the_room_mode_is_the_loop(mics, frames, every):
    """Few iterations: the prior is the first one, and no frequency hears of another."""
    settings = RoomSettings(taps=4, floors=(1e-1, 1e-2, 1e-3), every=every)
    x = spectra(5, mics, frames)
    x[2] = 0
    x[3, 0, :2] = 0
    learner = RoomLearner(x.clone(), torch.ones(frames), list(range(mics)), settings, hop_s=0.05)
    found = learner.learn()
    gains, z = (torch.from_numpy(part) for part in room_by_loops(x.numpy(), settings, hop_s=0.05))
    assert (found - gains).abs().max() < 1e-6
    assert (learner.z * learner.scale - z).abs().max() < 1e-6


@pytest.mark.parametrize("mics", [2, 3])
def test_the_linear_mode_is_the_loop(mics):
    bins = spectra(1, mics, 400)[0]
    level = bins.abs().square().mean(1).sqrt()
    steps = (1e-1, 1e-3)
    found = demix_linear(bins, max_iter=5, tol=0.0, steps=steps)
    expected = linear_by_loops((bins / level[:, None]).numpy(), steps, 5)
    expected = level[:, None] * torch.from_numpy(expected) / level
    assert (found.gains - expected).abs().max() < 1e-6
