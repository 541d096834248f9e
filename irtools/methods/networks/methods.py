"""The trained networks as methods: cae, tunet, dfunet and dfunet-gat."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from torch import Tensor

from irtools.methods.networks.reduction import NetworkReduction
from irtools.methods.separator import Reduction, Separator, check_mics


def autoencoder(
    mics: Tensor,
    sample_rate: int | None = None,
    *,
    assignment=None,
    n_sources: int | None = None,
    weights="cae",
    **windows,
) -> Reduction:
    """Reduce bleed by a convolutional autoencoder (CAE) that takes it for noise, one magnitude spectrum at a time.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
    sample_rate : int, optional
        In Hz; that of the network by default.
    assignment : sequence of int, optional
        Close microphone of each source; by default microphone n for source n. The network hears no other microphone.
    n_sources : int, optional
        Number of sources where ``assignment`` is not given; by default one a microphone.
    weights : str or path
        Of :func:`irtools.nets.pretrained.shipped`, or a file that :func:`irtools.nets.pretrained.save` wrote.
    **windows
        ``window_seconds``: what the network sees at a time, 30 s by default; ``overlap_seconds``: what consecutive
        windows share, where they are cross-faded, 1 s by default and at most half a window.

    Returns
    -------
    Reduction
        ``details`` has the weights, their checksum, the windows and the resampling.

    Raises
    ------
    TypeError, ValueError
        Invalid input, weights that cannot be loaded or are of another network, or more sources than they take.

    Notes
    -----
    ŝ_n = ISTFT(f(|X_n|) exp(i ∠X_n)), f the network [1]_. A recording of another rate is brought to that of the network
    and its estimates back; above the band of the network an estimate is the recording, attenuated frame by frame as the
    network attenuates the octave below. A single microphone comes back as it is.

    Differs from the paper in that one network serves all stems, if the weights are of ``cae-compact``, and that any
    rate and length is possible.

    References
    ----------
    .. [1] R. Rajesh and P. Rajan, "Neural networks for interference reduction in multi-track recordings",
       WASPAA, 2023.

    Examples
    --------
    >>> import tempfile, torch
    >>> from irtools.nets import build, pretrained
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net = build("cae", window_size=64, hop=16)
    ...     path = pretrained.save(net, f"{folder}/untrained.safetensors", {"net": "cae"})
    ...     autoencoder(torch.zeros(2, 1000), 44100, weights=path).sources.shape
    torch.Size([2, 1000])
    """
    return _reduce("cae", mics, sample_rate, assignment, n_sources, weights, windows)


def truncated_unet(
    mics: Tensor,
    sample_rate: int | None = None,
    *,
    assignment=None,
    n_sources: int | None = None,
    weights="tunet",
    **windows,
) -> Reduction:
    """Reduce bleed by t-UNet: a network reads the interference matrix off the waveforms, its inverse demixes.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
    sample_rate : int, optional
        In Hz; that of the network by default.
    assignment : sequence of int, optional
        Close microphone of each source; by default microphone n for source n. The network hears no other microphone.
    n_sources : int, optional
        Number of sources where ``assignment`` is not given; by default one a microphone.
    weights : str or path
        Of :func:`irtools.nets.pretrained.shipped`, or a file that :func:`irtools.nets.pretrained.save` wrote.
    **windows
        ``window_seconds``: what the network sees at a time, 30 s by default; ``overlap_seconds``: what consecutive
        windows share, where they are cross-faded, 1 s by default and at most half a window. Each window has its own Λ.

    Returns
    -------
    Reduction
        ``gains`` is the mean Λ over the windows; rows of microphones that are nobody's close microphone are found by
        least squares on the estimates. ``details`` has the weights, their checksum, the windows and the resampling.

    Raises
    ------
    TypeError, ValueError
        Invalid input, weights that cannot be loaded or are of another network, or another number of microphones than
        they take.

    Notes
    -----
    ŝ_n = λ_nn (Λ⁺ X)_n with Λ = f(X), f the network [1]_. A recording of another rate is brought to that of the network
    and its estimates back; what lies above the band of the network is demixed by the same Λ. A single microphone comes
    back as it is.

    Differs from the paper in that, if the weights are of ``tunet-pairs``, any number of microphones in any order at any
    level is possible; see :class:`irtools.nets.pairwise_tunet.PairwiseTUNet`.

    References
    ----------
    .. [1] R. Rajesh and P. Rajan, "Neural networks for interference reduction in multi-track recordings",
       WASPAA, 2023.

    Examples
    --------
    >>> import tempfile, torch
    >>> from irtools.nets import build, pretrained
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pretrained.save(build("tunet-pairs"), f"{folder}/untrained.safetensors", {"net": "tunet-pairs"})
    ...     truncated_unet(torch.zeros(2, 1000), 44100, weights=path).gains
    tensor([[1., 0.],
            [0., 1.]])
    """
    return _reduce("tunet", mics, sample_rate, assignment, n_sources, weights, windows)


def dilated_unet(
    mics: Tensor,
    sample_rate: int | None = None,
    *,
    assignment=None,
    n_sources: int | None = None,
    weights="dfunet",
    **windows,
) -> Reduction:
    """Reduce bleed by dfUNet: a dilated U-Net from all microphones to all sources.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
    sample_rate : int, optional
        In Hz; that of the network by default.
    assignment : sequence of int, optional
        Close microphone of each source; by default microphone n for source n. The network hears no other microphone.
    n_sources : int, optional
        Number of sources where ``assignment`` is not given; by default one a microphone.
    weights : str or path
        Of :func:`irtools.nets.pretrained.shipped`, or a file that :func:`irtools.nets.pretrained.save` wrote.
    **windows
        ``window_seconds``: what the network sees at a time, 30 s by default; ``overlap_seconds``: what consecutive
        windows share, where they are cross-faded, 1 s by default and at most half a window.

    Returns
    -------
    Reduction
        ``details`` has the weights, their checksum, the windows and the resampling.

    Raises
    ------
    TypeError, ValueError
        Invalid input, weights that cannot be loaded or are of another network, or another number of microphones than
        they take.

    Notes
    -----
    Ŝ = f(X), f the network [1]_. A recording of another rate is brought to that of the network and its estimates back;
    above the band of the network an estimate is the recording, attenuated frame by frame as the network attenuates the
    octave below. A single microphone comes back as it is.

    Differs from the published system as :class:`irtools.nets.dfunet.DFUNet` says, if the weights are of ``dfunet`` and
    not of ``dfunet-paper``, which takes four microphones in the order of its training.

    References
    ----------
    .. [1] https://github.com/its-rajesh/GIRNet (dfUNet and its graph attention).

    Examples
    --------
    >>> import tempfile, torch
    >>> from irtools.nets import build, pretrained
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net = build("dfunet", channels=(8, 8), window_size=512, hop=128)
    ...     path = pretrained.save(net, f"{folder}/untrained.safetensors", {"net": "dfunet"})
    ...     dilated_unet(torch.zeros(2, 1000), 44100, weights=path).sources.shape
    torch.Size([2, 1000])
    """
    return _reduce("dfunet", mics, sample_rate, assignment, n_sources, weights, windows)


def graph_unet(
    mics: Tensor,
    sample_rate: int | None = None,
    *,
    assignment=None,
    n_sources: int | None = None,
    weights="dfunet-gat",
    **windows,
) -> Reduction:
    """Reduce bleed by dfUNet with graph attention: microphones are nodes, who bleeds into whom weighs the edges.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
    sample_rate, assignment, n_sources, weights, **windows
        As :func:`dilated_unet` has them.

    Returns
    -------
    Reduction
        As of :func:`dilated_unet`.

    Raises
    ------
    TypeError, ValueError
        As of :func:`dilated_unet`.

    Notes
    -----
    Ŝ = f(X) as in :func:`dilated_unet`, f with attention [1]_ between microphones at its coarsest level [2]_; see
    :class:`irtools.nets.graph.MicAttention`, also for what differs from the published graph.

    References
    ----------
    .. [1] P. Veličković et al., "Graph attention networks", ICLR, 2018.
    .. [2] https://github.com/its-rajesh/GIRNet (dfUNet and its graph attention).

    Examples
    --------
    >>> import tempfile, torch
    >>> from irtools.nets import build, pretrained
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net = build("dfunet", graph="frames", channels=(8, 8), window_size=512, hop=128)
    ...     path = pretrained.save(net, f"{folder}/untrained.safetensors", {"net": "dfunet"})
    ...     graph_unet(torch.zeros(3, 1000), 44100, weights=path).sources.shape
    torch.Size([3, 1000])
    """
    return _reduce("dfunet-gat", mics, sample_rate, assignment, n_sources, weights, windows)


def learn(
    method: str,
    pieces: Iterable[tuple[Tensor, Tensor | None]],
    sample_rate: int | None = None,
    *,
    assignment=None,
    n_sources: int | None = None,
    weights,
    **windows,
) -> Separator:
    """Load a network once for a recording in pieces; the other parameters are those of :func:`autoencoder`.

    Parameters
    ----------
    method : {"cae", "tunet", "dfunet", "dfunet-gat"}
    pieces : iterable of (Tensor of shape (mics, samples), anything)
        The first tells how many microphones there are, the others are not read.

    Returns
    -------
    Separator
        Pieces overlap, and are cut into windows, as the method's windows do.
    """
    first, _ = next(iter(pieces))
    check_mics(first, sample_rate)
    return _prepared(method, first, sample_rate, assignment, n_sources, weights, windows).separator()


learn_autoencoder = partial(learn, "cae", weights="cae")
learn_truncated_unet = partial(learn, "tunet", weights="tunet")
learn_dilated_unet = partial(learn, "dfunet", weights="dfunet")
learn_graph_unet = partial(learn, "dfunet-gat", weights="dfunet-gat")

_NETS = {
    "cae": ("cae", "cae-compact"),
    "tunet": ("tunet", "tunet-pairs"),
    "dfunet": ("dfunet", "dfunet-paper"),
    "dfunet-gat": ("dfunet", "dfunet-paper"),
}
_GRAPH = {"dfunet": False, "dfunet-gat": True}


def _reduce(method, mics, sample_rate, assignment, n_sources, weights, windows) -> Reduction:
    check_mics(mics, sample_rate)
    return _prepared(method, mics, sample_rate, assignment, n_sources, weights, windows).reduce(mics)


def _prepared(method, mics, sample_rate, assignment, n_sources, weights, windows) -> NetworkReduction:
    return NetworkReduction(
        method,
        len(mics),
        sample_rate,
        assignment=assignment,
        n_sources=n_sources,
        weights=weights,
        nets=_NETS[method],
        graph=_GRAPH.get(method),
        **windows,
    )
