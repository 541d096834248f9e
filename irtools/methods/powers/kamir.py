"""KAMIR: kernel additive modelling for interference reduction, a Wiener mask from powers and leakage gains."""

from __future__ import annotations

from collections.abc import Callable

from irtools.methods.powers.reduction import learn_in_turn
from irtools.methods.powers.settings import PowerSettings
from irtools.methods.separator import Recording, Separator, choose_settings

_PRACTICAL = PowerSettings(window_size=8192, hop=2048, leakage=0.1, n_iter=5, gain_iter=3, gain_floor=1e-3)
_PAPER = PowerSettings(
    window_size=8192,
    hop=819,
    leakage=0.8,
    n_iter=5,
    gain_iter=3,
    normalise_rows=True,
    gain_floor=0.05,
    equalise="floor",
)
PRESETS = {"practical": _PRACTICAL, "paper": _PAPER}


def kamir(
    recording: Recording,
    *,
    assignment=None,
    n_sources: int | None = None,
    close_mics=None,
    preset: str = "practical",
    callback: Callable | None = None,
    **settings,
) -> Separator:
    """Reduce bleed with KAMIR: Wiener masks from the power of each source and its gain to each microphone.

    Parameters
    ----------
    recording : Recording
    assignment : sequence of int, optional
        Close microphone of each source; by default microphone n for source n.
    n_sources : int, optional
        Number of sources where ``assignment`` is not given; by default one per microphone.
    close_mics : sequence of sequences of int, or matrix (mics, sources) of 0 and 1, optional
        Several close microphones per source; a source is estimated at the first of its own.
    preset : "practical" or "paper"
        Settings chosen by measurement on simulated stages, or those of the published system.
    callback : callable, optional
        ``callback(iteration, cost, gains=..., psd=...)`` hears of each iteration.
    **settings
        Fields of :class:`irtools.methods.powers.settings.PowerSettings` that replace those of the preset.

    Returns
    -------
    Separator
        Starts each piece at the gains of the one before. ``gains[k, n]`` is the root, of order α, of the modelled
        power of source n at microphone k, summed over the piece, relative to its own microphone. ``details`` has
        ``power_gains`` (Λ per frequency, relative to the own microphone, Tensor of shape (freqs, mics, sources)),
        ``close_mics`` and ``settings``. ``cost`` is the divergence, in units of the mean power, with
        ``track_cost=True``.

    Raises
    ------
    TypeError, ValueError
        Invalid input, or an unknown preset or setting.
    FloatingPointError
        A non-finite gain.

    Notes
    -----
    Microphone k holds a sum of independent Gaussian images of variance ``λ_kn(f) p_n(f, t)``. Each iteration takes p_n
    from the Wiener estimates at the close microphones of source n (:func:`irtools.kernels.psd_update.wiener_update`),
    replaces it by its median over a kernel if ``footprint`` names one, and takes ``gain_iter`` multiplicative steps of
    ``λ_kn ← λ_kn Σ_t v_k v̂_k^(β-2) p_n / Σ_t v̂_k^(β-1) p_n`` (:func:`irtools.kernels.psd_update.psd_update`). The
    number of iterations is a choice between separation and distortion, not a search for convergence.

    The masks ``w_kn = λ_kn p_n / Σ_n' λ_kn' p_n'`` add up to one over the sources: they share a microphone out, and can
    undo neither its own gain nor delay.

    Differs from the paper and its first implementation in: all p_n move at once, so that the order of the sources does
    not matter; the noise floor has a lower bound, so that digital silence is not divided by; masks go to the recording
    itself, where equalisation has nothing to undo; a term of -100 dB keeps silent bins from weighing on Λ. The
    published system ships with a kernel of one bin, which is no filter. The practical preset neither equalises nor
    normalises rows, and starts at a leakage of 0.1 (-10 dB) instead of 0.8: on simulated stages of music the published
    values lose much of the improvement.

    References
    ----------
    .. [1] T. Prätzlich, R. M. Bittner, A. Liutkus and M. Müller, "Kernel additive modeling for interference reduction
       in multi-channel music recordings", ICASSP, 2015.

    Examples
    --------
    >>> import torch
    >>> import irtools as ir
    >>> sources = torch.randn(2, 20000, generator=torch.Generator().manual_seed(0)) * torch.tensor([[0.1], [1.0]])
    >>> sources[0, :10000], sources[1, 10000:] = 0, 0
    >>> mics = torch.tensor([[1.0, 0.3], [0.3, 1.0]]) @ sources
    >>> found = ir.reduce(mics, 8000, "kamir", window_size=512, hop=128)
    >>> before, after = ((x - sources).square().sum() for x in (mics, found.sources))
    >>> bool(after < 0.2 * before)
    True
    """
    chosen = choose_settings(PRESETS, preset, settings)
    return learn_in_turn(recording, chosen, close_mics, assignment, n_sources, callback)
