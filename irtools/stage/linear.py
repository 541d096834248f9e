"""The instantaneous stage X = ΛS: sources, an interference matrix and a bleed level make a :class:`Scene`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from irtools.checks import check_assignment, check_choice, check_mics, check_number
from irtools.stage.gain_laws import draw_gains, draw_uniform, law_parameters
from irtools.stage.scene import Scene, bleed_in_db, check_gains, input_quality

#: Range of the mean input SDR, in dB, that ``interference="low"`` and ``"high"`` stand for. The paper that tests at
#: these two levels (WASPAA 2023) gives no numbers; four equally loud sources have 15 dB under the law "constant" and
#: about 6 dB under "uniform", the middle of each range.
INTERFERENCE = {"low": (10.0, 20.0), "high": (0.0, 10.0)}


def simulate_linear(
    sources: Tensor,
    gains=None,
    *,
    sample_rate: int | None = None,
    names=None,
    law: str = "uniform",
    n_mics: int | None = None,
    assignment=None,
    noise_db: float | None = None,
    interference=None,
    generator: torch.Generator | None = None,
    **law_parameters_given,
) -> Scene:
    """Mix sources into microphones by the instantaneous model X = ΛS.

    Parameters
    ----------
    sources : Tensor, shape (sources, samples), float32 or float64
        Dry sources. Never rescaled.
    gains : Tensor or nested sequence, shape (mics, sources), optional
        Λ in amplitude; drawn by ``law`` when None.
    sample_rate : int, optional
        In Hz; carried along.
    names : sequence of str, optional
        One per source.
    law : str
        Of :func:`irtools.draw_gains`; unused when ``gains`` is given.
    n_mics : int, optional
        K >= N; N by default, or the number of rows of ``gains``.
    assignment : sequence of int, optional
        Close microphone of each source.
    noise_db : float, optional
        White sensor noise, in dB relative to each microphone's mean power.
    interference : {"low", "high"} or (low_db, high_db), optional
        Scale the bleed into the close microphones by one factor, before noise is added, so that the mean input SDR
        is a value drawn uniformly from this range; "low" is 10 to 20 dB, "high" 0 to 10 dB.
    generator : torch.Generator, optional
        On the CPU. Draws Λ, then the target of ``interference``, then the noise.
    **law_parameters_given
        Parameters of the law.

    Returns
    -------
    Scene
        dtype and device of ``sources``; ``references`` are λ_{a(n),n} s_n. ``details``: ``kind``, ``law`` ("given"
        when ``gains`` was), ``parameters``, ``interference`` (range, target, factor) or None, ``noise_db``,
        ``input_sdr_db`` and ``input_si_sdr_db`` per source (noise included), ``bleed_db`` (each source's power at
        each microphone over that at its own), ``condition`` of Λ, ``own_mic_dominant``.

    Raises
    ------
    TypeError, ValueError
        Invalid sources, shapes that do not fit, N > K, non-finite values, unknown law or parameter, or an
        ``interference`` that cannot be reached.

    Notes
    -----
    x_k(t) = Σ_n λ_kn s_n(t) + v_k(t): no delay, no reverberation.

    Examples
    --------
    >>> scene = simulate_linear(torch.eye(2), [[1.0, 0.25], [0.5, 1.0]])
    >>> scene.mics.tolist()
    [[1.0, 0.25], [0.5, 1.0]]
    >>> [round(level, 2) for level in scene.details["input_sdr_db"]]
    [12.04, 6.02]
    """
    n_sources = len(check_mics(sources, sample_rate, name="sources"))
    if gains is None:
        parameters = law_parameters(law, **law_parameters_given)
        n_mics = n_sources if n_mics is None else n_mics
        gains = draw_gains(n_mics, n_sources, law=law, assignment=assignment, generator=generator, **parameters)
    elif law_parameters_given:
        raise TypeError(f"gains: given, so that {', '.join(law_parameters_given)} would have no effect")
    else:
        law, parameters = "given", {}
        gains = check_gains(gains, n_mics, n_sources).to(torch.float64)
    gains = gains.to(sources.device)
    own_mics = check_assignment(assignment, gains.shape[0], n_sources)
    scaling = None
    if interference is not None:
        gains, scaling = _scale_bleed(gains, sources, interference, own_mics, generator)
    gains = gains.to(sources.dtype)
    references = gains[own_mics].diagonal()[:, None] * sources
    mics = add_sensor_noise(gains @ sources, noise_db, generator)
    details = {
        "kind": "linear",
        "law": law,
        "parameters": parameters,
        "interference": scaling,
        "noise_db": noise_db,
        **input_quality(mics, references, own_mics),
        **_describe_gains(gains, own_mics),
    }
    return Scene(mics, references, sources, sample_rate, gains, tuple(own_mics), names, details)


def add_sensor_noise(mics: Tensor, noise_db: float | None, generator: torch.Generator | None = None) -> Tensor:
    """Microphones with white Gaussian noise, ``noise_db`` over the mean power of each; None adds nothing."""
    if noise_db is None:
        return mics
    check_number("noise_db", noise_db, unit="dB")
    noisy = torch.empty_like(mics)
    for k, mic in enumerate(mics):
        noise = torch.randn(mic.shape, generator=generator, dtype=torch.float64).to(mic.device)
        noisy[k] = mic + noise * (mic.double().square().mean().sqrt() * 10 ** (noise_db / 20))
    return noisy


def _scale_bleed(gains, sources, interference, own_mics, generator) -> tuple[Tensor, dict]:
    """Λ with the bleed into the close microphones times one factor: the mean input SDR is drawn from a range."""
    if isinstance(interference, str):
        interference = INTERFERENCE[check_choice("interference", interference, INTERFERENCE)]
    low, high = (float(level) for level in interference)
    if not -math.inf < low <= high < math.inf:
        raise ValueError(f"interference: expected finite low_db <= high_db, got ({low}, {high})")
    target_db = draw_uniform((), low, high, generator).item()
    gains = gains.to(torch.float64, copy=True)
    # R = SSᵀ gives source n's input SDR, 10 log10(λ_nn² R_nn / (β_nᵀ R β_n)), with β_n its row of Λ without λ_nn.
    gram = sum(block.double() @ block.double().T for block in sources.split(1 << 16, dim=1))
    close = gains[own_mics]
    own = close.diagonal().clone()
    bleed = close - torch.diag(own)
    sdr = 10 * torch.log10(own**2 * gram.diagonal() / ((bleed @ gram) * bleed).sum(1).clamp_min(0))
    # A silent source, and one that nothing bleeds into, is left out of the mean.
    if not torch.isfinite(sdr).any():
        raise ValueError(
            "interference: expected a source with power and with bleed at its microphone, got none "
            "(one source only, silent sources, or gains without bleed)"
        )
    # A factor c on every β_n lowers each SDR by 20 log10 c.
    factor = 10 ** ((sdr[torch.isfinite(sdr)].mean().item() - target_db) / 20)
    gains[own_mics] = torch.diag(own) + factor * bleed
    return gains, {"low_db": low, "high_db": high, "target_db": target_db, "factor": factor}


def _describe_gains(gains: Tensor, own_mics: list[int]) -> dict:
    levels = gains.double().abs().cpu()
    close = levels[own_mics]
    own = close.diagonal()
    condition = torch.linalg.cond(gains.double()).item()
    return {
        "bleed_db": bleed_in_db((levels / own).square()),
        "condition": condition if math.isfinite(condition) else None,
        "own_mic_dominant": bool((own[:, None] > close - torch.diag(own)).all()),
    }
