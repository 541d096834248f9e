"""The metrics against closed forms and invariances: distortion, bleed, gains, and the scores of all together."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from irtools.metrics import (
    bss_eval,
    delay_aligned_sdr,
    gain_aligned_sdr,
    gains_error,
    residual_bleed_db,
    score,
    sdr,
    si_sdr,
)
from irtools.metrics.bss_eval import projection_filters
from irtools.metrics.correlations import block_toeplitz, correlations

seeds = st.integers(0, 2**31 - 1)
QUICK = settings(deadline=None, max_examples=25)  # the first call of an operation pays for its set-up
ON_WHOLE = [sdr, si_sdr, gain_aligned_sdr, lambda h, s: delay_aligned_sdr(h, s, 8)[0]]


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(a, b, atol=1e-9):
    return torch.allclose(torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64), 0, atol)


def orthonormal(n, samples=4096):
    """Sources without any correlation at zero delay, all of energy 1."""
    return torch.linalg.qr(noise(samples, n)).Q.T.contiguous()


# --- ratios of the whole signal ---


@given(seed=seeds, gain=st.floats(0.05, 3.0))
@QUICK
def test_sdr_of_a_gain_is_its_closed_form(seed, gain):
    s = noise(2, 300, seed=seed)
    expected = math.inf if gain == 1 else -20 * math.log10(abs(1 - gain))
    assert close(sdr(gain * s, s).clamp(max=200), min(expected, 200.0), 1e-6)


def test_sdr_is_the_signal_to_noise_ratio():
    s, e = orthonormal(2)
    assert close(sdr((s + 0.1 * e)[None], s[None]), 20.0)
    assert close(sdr(0.8 * s[None], s[None]), 13.979400086720376)


@given(seed=seeds, gain=st.floats(-1e6, 1e6).filter(lambda g: abs(g) > 1e-6))
@QUICK
def test_aligned_ratios_do_not_see_the_gain(seed, gain):
    s = noise(2, 200, seed=seed)
    h = s + 0.3 * noise(2, 200, seed=seed + 1)
    for metric in ON_WHOLE[1:]:
        assert close(metric(gain * h, s), metric(h, s), 1e-6)
        assert close(metric(h, gain * s), metric(h, s), 1e-6)


@given(seed=seeds, mixed=st.floats(1e-6, 20.0))
@QUICK
def test_si_sdr_and_gain_aligned_sdr_are_one_correlation(seed, mixed):
    """The distortion is above 1e-12 of the energy; its own rounding, 1e-16 of the amplitude, is 1e-10 of it."""
    s = noise(2, 200, seed=seed)
    h = s + mixed * noise(2, 200, seed=seed + 1)
    aligned, invariant = 10 ** (gain_aligned_sdr(h, s) / 10), 10 ** (si_sdr(h, s) / 10)
    assert torch.allclose(aligned, 1 + invariant, rtol=1e-6)
    assert (gain_aligned_sdr(h, s) >= sdr(h, s) - 1e-6).all()


@pytest.mark.parametrize("level", [1e-200, 1e200])
def test_levels_whose_squares_are_no_floats_are_scored(level):
    s = noise(2, 200)
    h = s + 0.3 * noise(2, 200, seed=1)
    for metric in ON_WHOLE[1:]:
        assert close(metric(level * h, level * s), metric(h, s), 1e-6)


def test_si_sdr_with_the_means_removed():
    s = noise(2, 500)
    h = s + 0.2 * noise(2, 500, seed=1)
    assert close(si_sdr(h + 3, s - 5, zero_mean=True), si_sdr(h, s, zero_mean=True))
    assert (si_sdr(h + 3, s) < si_sdr(h, s) - 10).all()


@given(seed=seeds, delay=st.integers(-20, 20), gain=st.sampled_from([-2.0, 0.5, 1.0]))
@QUICK
def test_delay_is_found_and_removed(seed, delay, gain):
    padded = torch.nn.functional.pad(noise(1, 400, seed=seed), (30, 30))
    value, found = delay_aligned_sdr(gain * padded.roll(delay, -1), padded, 25)
    assert found.item() == delay
    assert value.item() > 200


@given(seed=seeds)
@QUICK
def test_delay_aligned_sdr_is_the_best_of_all_shifts(seed):
    s, h = noise(1, 40, seed=seed), noise(1, 40, seed=seed + 1)

    def shifted(d):
        return torch.nn.functional.pad(h, (max(-d, 0), max(d, 0)))[:, max(d, 0) :][:, :40]

    tried = {d: gain_aligned_sdr(shifted(d), s).item() for d in range(-9, 10)}
    value, delay = delay_aligned_sdr(h, s, 9)
    assert value.item() == pytest.approx(max(tried.values()), abs=1e-9)
    assert tried[delay.item()] == pytest.approx(max(tried.values()), abs=1e-9)


def test_silence_has_defined_ratios():
    s, h = noise(3, 100), noise(3, 100, seed=1)
    s[0], h[1] = 0, 0
    assert sdr(h, s)[0].isnan() and sdr(h, s)[1] == 0
    assert gain_aligned_sdr(h, s)[0].isnan() and gain_aligned_sdr(h, s)[1] == 0
    assert si_sdr(h, s)[:2].isnan().all()
    value, delay = delay_aligned_sdr(h, s, 5)
    assert value[0].isnan() and value[1] == 0 and delay[:2].tolist() == [0, 0]
    assert all(close(metric(h, s)[2:], metric(h[2:], s[2:])) for metric in ON_WHOLE)  # its neighbours change nothing


def test_perfect_estimates_are_infinitely_good():
    s = noise(2, 100, dtype=torch.float32)
    assert (sdr(s, s) == torch.inf).all()
    assert all((metric(s, s) > 250).all() for metric in ON_WHOLE)


@pytest.mark.parametrize("metric", [*ON_WHOLE, residual_bleed_db, lambda h, s: bss_eval(h, s, filter_length=4).sir])
def test_wrong_signals_are_refused(metric):
    good = noise(2, 20)
    bad = good.clone()
    bad[1, 7] = torch.nan
    cases = [
        (good[:, :-1], good, ValueError, r"estimates: expected the shape of references, \(2, 20\), got \(2, 19\)"),
        (bad, good, ValueError, "estimates: expected finite samples, got nan at source 1, sample 7"),
        (good, good / 0, ValueError, "references: expected finite samples"),
        (good[0], good[0], ValueError, r"expected shape \(..., sources, samples\), got \(20,\)"),
        (good[:, :0], good[:, :0], ValueError, r"got \(2, 0\)"),
        (good[:0], good[:0], ValueError, r"got \(0, 20\)"),
        (good.int(), good, TypeError, "float32 or float64, got int32"),
        (good.numpy(), good, TypeError, "expected a torch.Tensor"),
    ]
    for h, s, error, message in cases:
        with pytest.raises(error, match=message):
            metric(h, s)


@pytest.mark.parametrize("max_delay", [-1, 20, 1.5, True])
def test_wrong_delay_is_refused(max_delay):
    with pytest.raises((ValueError, TypeError), match="max_delay"):
        delay_aligned_sdr(noise(2, 20), noise(2, 20), max_delay)


# --- BSS Eval ---


@given(seed=seeds, order=st.permutations(range(3)))
@QUICK
def test_permuted_sources_permute_the_ratios(seed, order):
    s = noise(3, 600, seed=seed)
    h = s + 0.2 * s.roll(1, 0) + 0.1 * noise(3, 600, seed=seed + 1)
    plain = torch.stack(bss_eval(h, s, window=200, filter_length=8))
    permuted = torch.stack(bss_eval(h[list(order)], s[list(order)], window=200, filter_length=8))
    assert close(permuted, plain[:, list(order)], 1e-6)
    assert close(
        residual_bleed_db(h[list(order)], s[list(order)]), residual_bleed_db(h, s)[list(order)][:, list(order)]
    )


@given(seed=seeds)
@QUICK
def test_errors_of_one_window_add_up(seed):
    """The three errors are orthogonal over the whole signal: their energies add to that of the distortion."""
    s = noise(2, 500, seed=seed)
    h = s + 0.3 * s.flip(0) + 0.3 * noise(2, 500, seed=seed + 1)
    h[:, -15:], s[:, -15:] = 0, 0  # the filters' tails stay inside
    energy = s.square().sum(-1)
    ratios = [10 ** (r[:, 0] / 10) for r in bss_eval(h, s, filter_length=8)]
    distortion, spatial = energy / ratios[0], energy / ratios[1]
    explained = (h.square().sum(-1)) / (1 + 1 / ratios[3])  # |P h|², since |h|² = |P h|² + |e_artif|²
    interference, artifacts = explained / (1 + ratios[2]), explained / ratios[3]
    assert torch.allclose(spatial + interference + artifacts, distortion, rtol=1e-6)


def test_filtered_source_is_spatial_error_alone():
    s = noise(2, 2000)
    s[:, -4:] = 0
    h = 0.5 * s + 0.25 * s.roll(3, -1)
    ratios = bss_eval(h, s, filter_length=4)
    assert (ratios.sir > 200).all() and (ratios.sar > 200).all()
    assert (ratios.isr < 10).all()
    assert (bss_eval(h, s, filter_length=3).sar < 20).all()  # one tap short


def test_silence_counts_for_its_source_and_window_only():
    s = noise(3, 400)
    h = s + 0.1 * noise(3, 400, seed=1) + 0.2 * s.roll(1, 0)
    s[0, :100], h[1, 100:200] = 0, 0
    ratios = bss_eval(h, s, window=100, filter_length=4)
    missing = torch.stack(ratios).isnan()
    assert missing[:, 0, 0].all() and missing[1:, 1, 1].all()
    assert ratios.sdr[1, 1] == 0
    assert missing.sum() == 4 + 3


def test_all_silent_gives_no_ratio():
    ratios = bss_eval(noise(2, 50), torch.zeros(2, 50), window=10, filter_length=4)
    assert all(ratio.isnan().all() and ratio.shape == (2, 5) for ratio in ratios)


def test_batches_equal_single_calls():
    h, s = noise(2, 3, 2, 300), noise(2, 3, 2, 300, seed=1)
    batch = bss_eval(h, s, window=100, filter_length=4)
    assert batch.sar.shape == (2, 3, 2, 3)
    assert close(batch.sar[1, 2], bss_eval(h[1, 2], s[1, 2], window=100, filter_length=4).sar)


def test_float32_is_scored_in_float64():
    h, s = noise(2, 300, dtype=torch.float32), noise(2, 300, seed=1, dtype=torch.float32)
    ours, exact = bss_eval(h, s, filter_length=4), bss_eval(h.double(), s.double(), filter_length=4)
    assert ours.sir.dtype == torch.float64
    assert all(torch.equal(a, b) for a, b in zip(ours, exact, strict=True))


@pytest.mark.parametrize("name", ["window", "hop", "filter_length"])
def test_wrong_windows_are_refused(name):
    s = noise(2, 50)
    if name == "filter_length":
        with pytest.raises(ValueError, match="filter_length: expected at least 1, got 0"):
            residual_bleed_db(s, s, filter_length=0)
    with pytest.raises(ValueError, match=f"{name}: expected at least 1, got 0"):
        bss_eval(s, s, **{"filter_length": 4, name: 0})
    with pytest.raises(TypeError, match=f"{name}: expected an int"):
        bss_eval(s, s, **{"filter_length": 4, name: 2.5})


def test_energies_beyond_float64_stop_the_solver():
    s = 1e200 * noise(2, 50)
    with pytest.raises(FloatingPointError, match="not finite"):
        bss_eval(s + 1, s, filter_length=4)


@pytest.mark.parametrize(("samples", "lags"), [(1, 1), (5, 9), (700, 512), (70000, 3), (40000, 512), (40000, 1)])
@pytest.mark.parametrize("before", [0, 7])
def test_correlations_and_gram_equal_their_sums(samples, lags, before):
    s, h = noise(2, samples), noise(3, samples, seed=1)
    found = correlations(s, [s, h], before, lags - 1)
    assert found.shape == (2, 5, before + lags)
    delayed = torch.stack([torch.nn.functional.pad(s, (k, lags - 1 - k)) for k in range(lags)], 1)  # (2, lags, ...)
    padded = torch.nn.functional.pad(h, (0, lags - 1))
    assert close(found[:, 2:, before:], torch.einsum("ikt,jt->ijk", delayed, padded), 1e-8)
    for lag in range(1, 1 + min(before, samples - 1)):
        assert close(found[:, 2:, before - lag], s[:, lag:] @ h[:, :-lag].T, 1e-8)
    if lags < 512 or samples < 1000:
        basis = delayed.reshape(2 * lags, -1)
        assert close(block_toeplitz(found[:, :2, before:]), basis @ basis.T, 1e-8)


def test_projection_filters_are_least_squares():
    s, h = noise(3, 300), noise(3, 300, seed=1)
    s[1] = 0
    joint, own = projection_filters(h, s, 5)
    delayed = torch.stack([torch.nn.functional.pad(s, (k, 4 - k)) for k in range(5)], 1)
    padded = torch.nn.functional.pad(h, (0, 4))
    best = torch.linalg.lstsq(delayed[[0, 2]].reshape(10, -1).T, padded.T).solution
    assert close(joint[:, [0, 2]], best.T.reshape(3, 2, 5), 1e-9)
    assert not joint[:, 1].any() and not own[1].any()
    for n in (0, 2):
        assert close(own[n], torch.linalg.lstsq(delayed[n].T, padded[n, :, None]).solution[:, 0], 1e-9)


# --- bleed and gains ---


@given(seed=seeds)
@QUICK
def test_residual_bleed_of_a_linear_mixture_is_its_matrix(seed):
    gains = torch.rand(3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.01
    s = torch.tensor([[1.0], [3.0], [0.1]], dtype=torch.float64) * noise(3, 400, seed=seed)
    level = gains * s.norm(dim=1)
    assert close(residual_bleed_db(gains @ s, s), 20 * torch.log10(level / level.diagonal()[:, None]), 1e-6)


def test_residual_bleed_needs_a_filter_where_bleed_is_delayed():
    s = noise(2, 4000)
    s[:, -8:] = 0
    late = 0.1 * s.flip(0).roll(5, -1)
    plain, filtered = residual_bleed_db(s + late, s), residual_bleed_db(s + late, s, filter_length=8)
    level = 20 * torch.log10(0.1 * s.norm(dim=1).flip(0) / s.norm(dim=1))
    assert (plain[[0, 1], [1, 0]] < level - 10).all()
    assert close(filtered[[0, 1], [1, 0]], level, 1e-6)


def test_residual_bleed_with_silence():
    s = orthonormal(3)
    h = s + 0.1 * s.roll(1, 0)
    h[2], quiet = 0, s.clone()
    quiet[1] = 0
    bleed = residual_bleed_db(h, quiet)
    assert bleed[1, [0, 2]].isnan().all() and bleed[2, [0, 1]].isnan().all()  # no source 1; nothing in estimate 2
    assert bleed[0, 1].isnan() and close(bleed[0, 2], -20.0, 1e-6)
    assert bleed.diagonal().eq(0).all()
    assert not residual_bleed_db(s, s, filter_length=64).isnan().any()  # rounding has no sign in an energy


@given(seed=seeds)
@QUICK
def test_gains_error_does_not_see_the_scale_of_a_source(seed):
    generator = torch.Generator().manual_seed(seed)
    true, other = (torch.rand(4, 3, generator=generator, dtype=torch.float64) + 0.1 for _ in range(2))
    scale = torch.rand(3, generator=generator, dtype=torch.float64) + 0.1
    assert gains_error(true * scale, true, assignment=(2, 0, 3)) == pytest.approx(0, abs=1e-12)
    assert gains_error(other * scale, true) == pytest.approx(gains_error(other, true))
    assert gains_error(other, true, normalise=False) == pytest.approx((other - true).norm().item())


def test_gains_error_of_odd_matrices():
    true = torch.eye(2) + 0.1
    assert gains_error(torch.zeros(2, 2), true) == math.inf
    cases = [
        ((torch.eye(3), true), "estimated: expected the shape of true"),
        ((true / 0, true), "estimated: expected a finite"),
        ((true, torch.zeros(2, 2)), "true: expected own-microphone gains other than 0"),
        ((true[0], true), r"estimated: .* got shape \(2,\)"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            gains_error(*arguments)
    with pytest.raises(ValueError, match="assignment"):
        gains_error(true, true, assignment=(0, 2))


# --- all together ---


@pytest.fixture(scope="module")
def example():
    s = noise(3, 5300, dtype=torch.float32)
    s[2, 1000:2000] = 0
    x = s + 0.3 * s.roll(1, 0)
    h = s + 0.03 * s.roll(1, 0) + 0.01 * noise(3, 5300, seed=1, dtype=torch.float32)
    return h, s, x


def test_score_holds_every_metric(example):
    h, s, x = example
    gains = torch.eye(3) + 0.1
    scores = score(h, s, 1000, names=("a", "b", "c"), inputs=x, filter_length=8, gains=gains, true_gains=2 * gains)
    assert torch.equal(scores.si_sdr, si_sdr(h, s))
    assert torch.equal(scores.sir.nan_to_num(99), bss_eval(h, s, window=1000, filter_length=8).sir.nan_to_num(99))
    assert scores.sdr.shape == (3, 5)  # the last 0.3 s are no window
    assert scores.n_windows() == [5, 5, 4]
    assert close(scores.si_sdr_improvement, si_sdr(h, s) - si_sdr(x, s))
    before = bss_eval(x, s, window=1000, filter_length=8).sdr
    assert close(scores.sdr_improvement.nan_to_num(99), (scores.sdr - before).nan_to_num(99))
    assert scores.gains_error == pytest.approx(0, abs=1e-6)
    assert close(scores.mean("sdr")[2], scores.sdr[2, [0, 2, 3, 4]].mean())
    assert close(scores.median("sdr")[2], scores.sdr[2, [0, 2, 3, 4]].sort().values[1:3].mean())
    assert scores.overall("sdr")[0] == pytest.approx(scores.mean("sdr").mean().item())
    others = 10 * torch.log10((10 ** (scores.residual_bleed_db / 10)).sum(1) - 1)
    assert close(scores.bleed, others, 1e-6)


def test_a_delay_is_looked_for_within_the_limit_alone(example):
    h, s, _ = example
    late = h.roll(3, 1)
    assert score(late, s, 1000, filter_length=8, max_delay_s=0.003).delay_samples.tolist() == [3, 3, 3]
    assert score(late, s, 1000, filter_length=8, max_delay_s=0.002).delay_samples.abs().max() <= 2


def test_scores_become_json_and_a_table(example):
    h, s, x = example
    scores = score(h, s, 1000, names=("kick", "snare", "voice"), inputs=x, filter_length=8)
    plain = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert plain["stems"]["voice"]["sdr"]["n_windows"] == 4
    assert plain["stems"]["voice"]["sdr"]["windows"][1] is None
    assert plain["stems"]["kick"]["residual_bleed_db"].keys() == {"snare", "voice"}
    assert plain["overall"]["si_sdr"]["mean"] == pytest.approx(scores.si_sdr.mean().item())
    assert "BSS Eval v4 images, 1 s windows" in plain["definitions"]["SDR"]
    table = scores.table()
    assert "SDR = BSS Eval v4 images, 1 s windows" in table
    row = next(line for line in table.splitlines() if line.startswith("SI-SDR  "))
    assert [float(cell) for cell in row.split()[1:4]] == pytest.approx(scores.si_sdr.tolist(), abs=0.005)
    assert len({len(row) for row in scores.rows()}) == 1


def test_perfect_scores_are_json_too():
    s = noise(2, 100)
    plain = score(s, s, 100, filter_length=4).to_dict()
    json.dumps(plain, allow_nan=False)
    assert plain["stems"]["1"]["sdr"]["mean"] == "inf"


def test_short_signals_are_one_window():
    scores = score(noise(2, 50, seed=1), noise(2, 50), 1000, filter_length=4)
    assert scores.sdr.shape == (2, 1)
    assert close(scores.sdr[:, 0], sdr(noise(2, 50, seed=1), noise(2, 50)))


def test_one_source_scores():
    s = noise(1, 100)
    scores = score(s + 0.1 * noise(1, 100, seed=1), s, 50, filter_length=4)
    assert (scores.sir == torch.inf).all()
    assert scores.bleed.isnan().all()
    assert "-" in scores.table()


def test_wrong_scores_are_refused():
    s = noise(2, 100)
    cases = [
        ({"sample_rate": 0}, ValueError, "sample_rate: expected a positive number of Hz, got 0"),
        ({"sample_rate": 44.1}, TypeError, "sample_rate: expected an int"),
        ({"window_s": 0.0}, ValueError, "window_s: expected at least one sample"),
        ({"hop_s": math.nan}, ValueError, "hop_s"),
        ({"max_delay_s": -1.0}, ValueError, "max_delay_s"),
        ({"names": ("a",)}, ValueError, "names: expected 2 different names"),
        ({"names": ("a", "a")}, ValueError, "names: expected 2 different names"),
        ({"gains": torch.eye(2)}, ValueError, "gains and true_gains: expected both or neither"),
        ({"inputs": s[:1]}, ValueError, "inputs: expected the shape of references"),
        (
            {"references": torch.zeros(2, 100)},
            ValueError,
            "references: expected at least one source that is not silent",
        ),
        ({"references": s[:1]}, ValueError, "estimates: expected the shape of references"),
        ({"estimates": s / 0}, ValueError, "estimates: expected finite samples"),
        ({"estimates": s[None], "references": s[None]}, ValueError, r"expected shape \(sources, samples\)"),
    ]
    for wrong, error, message in cases:
        with pytest.raises(error, match=message):
            score(**({"estimates": s, "references": s, "sample_rate": 100} | wrong))


class Largest(TorchDispatchMode):
    """The size of the largest memory that any tensor lies in."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        outputs = [x for x in (found if isinstance(found, tuple | list) else [found]) if isinstance(x, torch.Tensor)]
        self.bytes = max([getattr(self, "bytes", 0), *(x.untyped_storage().nbytes() for x in outputs)])
        return found


def test_scores_of_a_long_recording_need_no_larger_copy_of_it():
    h, s = noise(2, 600_000, seed=1, dtype=torch.float32), noise(2, 600_000, dtype=torch.float32)
    with Largest() as memory:
        score(h, s, 50_000, filter_length=8, max_delay_s=1e-3, inputs=h)
    assert memory.bytes <= s.nbytes


def test_arguments_are_not_modified(example):
    kept = [signal.clone() for signal in example]
    h, s, x = example
    gains = torch.eye(3) + 0.1
    score(h, s, 1000, inputs=x, filter_length=8, gains=gains, true_gains=gains)
    residual_bleed_db(h, s, filter_length=3)
    assert all(torch.equal(a, b) for a, b in zip(kept, example, strict=True))
    assert torch.equal(gains, torch.eye(3) + 0.1)
    strided = torch.stack([s, s], -1)[..., 0]  # not contiguous
    assert torch.equal(si_sdr(h, strided), si_sdr(h, s))
