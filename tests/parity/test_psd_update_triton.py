"""The fused updates of the power model against the reference in double precision; without a GPU, in the interpreter."""

import pytest
import torch
from interpreter import DEVICE, inside_nan, on_triton

from irtools.kernels.psd_update import _reference, gain_sums, psd_step, psd_update, wiener_update

# One bin, primes, a whole tile and one frame more or less, several tiles and programs, products by `dot`, the most.
SHAPES = [
    (1, 1, 1, 1),
    (3, 5, 2, 127),
    (2, 4, 4, 128),
    (1, 2, 3, 129),
    (1, 3, 7, 1100),
    (2, 8, 8, 70),
    (1, 9, 8, 33),
    (1, 17, 3, 65),
    (1, 32, 32, 31),
]
NOISE, FLOOR, ATOL = 1e-10, 1e-16, 1e-6


def shown(shape):
    return "{}f-{}k-{}n-{}t".format(*shape)


def draw(shape, scale=1.0, common=False, seed=0):
    freqs, mics, sources, frames = shape
    generator = torch.Generator().manual_seed(seed)

    def positive(*sides):
        return inside_nan((0.01 + torch.rand(sides, generator=generator) ** 4).to(DEVICE))

    power, psd = positive(freqs, mics, frames).mul_(scale), positive(freqs, sources, frames).mul_(scale)
    return power, psd, positive(1 if common else freqs, mics, sources)


def assert_close_to_double(found, single, double):
    """Relative to every number: at most twice the error of plain single precision, and a few roundings."""
    for ours, its, truth in zip(found, single, double, strict=True):
        assert ours.dtype == torch.float32 and ours.shape == truth.shape
        error, allowed = ((x.double() - truth).abs().div(truth.abs()).max() for x in (ours, its))
        assert error <= 2 * allowed + ATOL


@on_triton
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("shape", SHAPES, ids=shown)
def test_the_step_and_its_sums(shape, beta, nan_in_new_memory):
    # Odd frames: one gain for all frequencies.
    arguments = draw(shape, common=shape[-1] % 2 == 1)
    found = psd_update(*arguments, beta=beta, noise=NOISE, floor=FLOOR, backend="triton")
    single = _reference.psd_update(*arguments, beta, NOISE, 0.0, FLOOR)
    double = _reference.psd_update(*(part.double() for part in arguments), beta, NOISE, 0.0, FLOOR)
    assert_close_to_double(found, single, double)
    alone = psd_step(*arguments, beta=beta, noise=NOISE, floor=FLOOR, backend="triton")
    assert_close_to_double([alone], single[:1], double[:1])
    sums = gain_sums(arguments[0], found[0], arguments[2], beta=beta, noise=NOISE, backend="triton")
    assert all(map(torch.equal, sums, found[1:]))


@on_triton
@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("shape", [(2, 5, 3, 40), (1, 11, 12, 40)], ids=shown)
def test_extreme_scales(shape, beta, scale, nan_in_new_memory):
    arguments = draw(shape, scale)
    found = psd_update(*arguments, beta=beta, backend="triton")
    single = _reference.psd_update(*arguments, beta, 0.0, 0.0, 0.0)
    assert_close_to_double(
        found, single, _reference.psd_update(*(part.double() for part in arguments), beta, 0.0, 0.0, 0.0)
    )


@on_triton
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("shape", [(2, 5, 3, 40), (1, 11, 12, 40)], ids=shown)
def test_the_penalty(shape, beta, nan_in_new_memory):
    arguments = draw(shape)
    found = psd_update(*arguments, beta=beta, sparsity=2.0, noise=NOISE, backend="triton")
    single = _reference.psd_update(*arguments, beta, NOISE, 2.0, 0.0)
    assert_close_to_double(
        found, single, _reference.psd_update(*(part.double() for part in arguments), beta, NOISE, 2.0, 0.0)
    )


@on_triton
@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("common", [False, True], ids=["per frequency", "common"])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 5, 2, 127), (1, 17, 3, 65), (1, 32, 32, 31)], ids=shown)
def test_the_wiener_step(shape, common, alpha, nan_in_new_memory):
    arguments = draw(shape, common=common)
    close = (torch.rand(shape[1:3], generator=torch.Generator().manual_seed(1)) < 0.5).float()
    close[0] = 1
    arguments = (*arguments, inside_nan(close.to(DEVICE)))
    found = wiener_update(*arguments, alpha=alpha, noise=NOISE, floor=FLOOR, backend="triton")
    single = _reference.wiener_update(*arguments, alpha, NOISE, FLOOR)
    double = _reference.wiener_update(*(part.double() for part in arguments), alpha, NOISE, FLOOR)
    assert_close_to_double([found], [single], [double])


@on_triton
@pytest.mark.parametrize("shape", [(1, 4, 4, 1100), (1, 20, 9, 300)], ids=shown)
def test_two_runs_agree_in_every_bit(shape):
    arguments = draw(shape)
    runs = [psd_update(*arguments, noise=NOISE, backend="triton") for _ in range(2)]
    assert all(map(torch.equal, *runs))


@on_triton
def test_silence_goes_to_the_floor_and_what_is_not_a_number_stays_visible():
    power, psd, gains = draw((1, 3, 2, 6))
    found, _, down = psd_update(0 * power, psd, gains, noise=NOISE, floor=FLOOR, backend="triton")
    assert torch.equal(found, torch.full_like(found, FLOOR)) and down.max() < 1e-4
    power[0, 1, 2] = torch.nan
    found, up, _ = psd_update(power, psd, gains, noise=NOISE, floor=FLOOR, backend="triton")
    assert found.isnan().nonzero().tolist() == [[0, 0, 2], [0, 1, 2]] and up.isnan().all()


@on_triton
@pytest.mark.parametrize(
    ("shape", "options", "reason"),
    [
        ((1, 33, 2, 4), {}, "33 microphones and 2 sources"),
        ((1, 2, 33, 4), {}, "2 microphones and 33 sources"),
        ((1, 2, 2, 4), {"beta": 0.5}, "exponent 0.5"),
        ((1, 2, 2, 0), {}, "no bins"),
    ],
)
def test_what_the_kernel_does_not_take_is_refused_or_left_to_the_reference(shape, options, reason):
    arguments = draw(shape)
    with pytest.raises(RuntimeError, match=reason):
        psd_update(*arguments, **options, backend="triton")
    assert psd_update(*arguments, **options)[0].shape == arguments[1].shape
