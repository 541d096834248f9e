"""The instantaneous stage X = ΛS: sources, an interference matrix and a bleed level make a :class:`Scene`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from irtools.checks import check_assignment, check_mics
from irtools.stage.gain_laws import draw_gains, draw_uniform, law_parameters
from irtools.stage.scene import Scene, check_gains, finite_db, input_quality

__all__ = ["INTERFERENCE", "Scene", "add_sensor_noise", "draw_gains", "scale_bleed", "simulate_linear"]

#: Mean input SDR, in dB, that ``interference="low"`` and ``"high"`` stand for: see :func:`scale_bleed`.
INTERFERENCE = {"low": (10.0, 20.0), "high": (0.0, 10.0)}


def scale_bleed(gains: Tensor, sources: Tensor, target_db: float, *, assignment=None) -> tuple[Tensor, float]:
    """Scale the bleed into the close microphones by one factor, so that the mean input SDR is ``target_db``.

    Parameters
    ----------
    gains : Tensor, shape (mics, sources)
    sources : Tensor, shape (sources, samples)
    target_db : float
        Mean over the sources of the input SDR, in dB.
    assignment : sequence of int, optional
        Close microphone of each source.

    Returns
    -------
    gains : Tensor, shape (mics, sources), float64
        Own gains, and the rows of microphones that are nobody's close microphone, are those that came in.
    factor : float

    Raises
    ------
    ValueError
        No source has both power and bleed at its microphone (one source, silent sources, Λ without bleed).

    Notes
    -----
    With R = SSᵀ, source n's input SDR is 10 log10(λ_nn² R_nn / (β_nᵀ R β_n)), β_n its microphone's row of Λ
    without the own gain. A factor c on every β_n lowers each SDR by 20 log10 c, so c has a closed form.
    Sources with an infinite or undefined SDR (silent, or nothing bleeds into their microphone) are left out
    of the mean.

    Differs from the WASPAA 2023 paper in that the ranges are stated: the paper tests at "low" and "high"
    interference and gives no numbers. Here they are 10-20 dB and 0-10 dB (:data:`INTERFERENCE`), which puts
    four equally loud sources under the laws "constant" (15 dB) and "uniform" (about 6 dB) in the middle of
    each. One factor keeps the pattern of Λ. It does not keep λ_nn > λ_nj: a quiet source beside a loud one,
    or a draw with very unequal gains, can pass it; :func:`simulate_linear` reports ``own_mic_dominant``.

    Examples
    --------
    >>> scaled, factor = scale_bleed(torch.tensor([[1.0, 0.5], [0.5, 1.0]]), torch.eye(2), 20.0)
    >>> print(f"{factor:.3f} {scaled[0, 1]:.3f}")
    0.200 0.100
    """
    own_mics = check_assignment(assignment, gains.shape[0], sources.shape[0])
    gains = gains.to(torch.float64, copy=True)
    gram = sum(block.double() @ block.double().T for block in sources.split(1 << 16, dim=1))
    close = gains[own_mics]
    own = close.diagonal().clone()
    bleed = close - torch.diag(own)
    sdr = 10 * torch.log10(own**2 * gram.diagonal() / ((bleed @ gram) * bleed).sum(1).clamp_min(0))
    if not torch.isfinite(sdr).any():
        raise ValueError(
            "interference: expected a source with power and with bleed at its microphone, got none "
            "(one source only, silent sources, or gains without bleed)"
        )
    factor = 10 ** ((sdr[torch.isfinite(sdr)].mean().item() - target_db) / 20)
    gains[own_mics] = torch.diag(own) + factor * bleed
    return gains, factor


def add_sensor_noise(mics: Tensor, noise_db: float | None, generator: torch.Generator | None = None) -> Tensor:
    """Add white Gaussian noise to each microphone, at a level relative to that microphone's own mean power.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples)
    noise_db : float or None
        Expected noise power over the microphone's mean power, in dB; None adds nothing. A silent microphone
        stays silent.
    generator : torch.Generator, optional
        On the CPU.

    Returns
    -------
    Tensor, shape (mics, samples)

    Examples
    --------
    >>> noisy = add_sensor_noise(torch.ones(1, 100_000), -20.0, torch.Generator().manual_seed(0))
    >>> print(f"{(noisy - 1).square().mean():.3f}")
    0.010
    """
    if noise_db is None:
        return mics
    if not math.isfinite(noise_db):
        raise ValueError(f"noise_db: expected a finite level in dB or None, got {noise_db}")
    noisy = torch.empty_like(mics)
    for k, mic in enumerate(mics):
        noise = torch.randn(mic.shape, generator=generator, dtype=torch.float64).to(mic.device)
        noisy[k] = mic + noise * (mic.double().square().mean().sqrt() * 10 ** (noise_db / 20))
    return noisy


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
        One a source.
    law : str
        Of :func:`draw_gains`; unused when ``gains`` is given.
    n_mics : int, optional
        K >= N; N by default, or the number of rows of ``gains``.
    assignment : sequence of int, optional
        Close microphone of each source.
    noise_db : float, optional
        White sensor noise, in dB relative to each microphone's mean power (:func:`add_sensor_noise`).
    interference : {"low", "high"} or (low_db, high_db), optional
        Scale the bleed so that the mean input SDR is a value drawn uniformly from this range
        (:func:`scale_bleed`, :data:`INTERFERENCE`), before ``noise_db`` adds noise.
    generator : torch.Generator, optional
        On the CPU. Draws Λ, then the target of ``interference``, then the noise.
    **law_parameters_given
        Parameters of the law.

    Returns
    -------
    Scene
        dtype and device of ``sources``; ``references`` are λ_{a(n),n} s_n. ``details``: ``kind``, ``law``
        ("given" when ``gains`` was), ``parameters``, ``interference`` (range, target, factor) or None,
        ``noise_db``, ``input_sdr_db`` and ``input_si_sdr_db`` per source (noise included), ``bleed_db``
        (each source's power at each microphone over that at its own), ``condition`` of Λ,
        ``own_mic_dominant``.

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
    check_mics(sources, sample_rate, name="sources")
    n_sources = sources.shape[0]
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
        low, high = _interference_range(interference)
        target_db = draw_uniform((), low, high, generator).item()
        gains, factor = scale_bleed(gains, sources, target_db, assignment=own_mics)
        scaling = {"low_db": low, "high_db": high, "target_db": target_db, "factor": factor}
    gains = gains.to(sources.dtype)
    own = gains[own_mics].diagonal()
    references = own[:, None] * sources
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


def _interference_range(interference) -> tuple[float, float]:
    if isinstance(interference, str):
        if interference not in INTERFERENCE:
            raise ValueError(f"interference: expected {' or '.join(INTERFERENCE)} or a range, got {interference!r}")
        interference = INTERFERENCE[interference]
    low, high = (float(level) for level in interference)
    if not -math.inf < low <= high < math.inf:
        raise ValueError(f"interference: expected finite low_db <= high_db, got ({low}, {high})")
    return low, high


def _describe_gains(gains: Tensor, own_mics: list[int]) -> dict:
    levels = gains.double().abs().cpu()
    close = levels[own_mics]
    own = close.diagonal()
    condition = torch.linalg.cond(gains.double()).item()
    bleed_power = (levels / own).square()
    return {
        "bleed_db": [[finite_db(ratio) for ratio in row] for row in bleed_power.tolist()],
        "condition": condition if math.isfinite(condition) else None,
        "own_mic_dominant": bool((own[:, None] > close - torch.diag(own)).all()),
    }
