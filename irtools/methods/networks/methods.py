"""The trained networks as methods: cae, tunet, dfunet and dfunet-gat."""

from __future__ import annotations

from irtools.methods.networks.reduction import learn_network
from irtools.methods.separator import Recording, Separator


def autoencoder(
    recording: Recording, *, assignment=None, n_sources: int | None = None, weights="cae", **windows
) -> Separator:
    """Reduce bleed by a convolutional autoencoder (CAE) that takes it for noise, one magnitude spectrum at a time.

    Parameters
    ----------
    recording : Recording
        Only its layout is used.
    assignment : sequence of int, optional
        Close microphone of each source; by default microphone n for source n. The network hears no other microphone.
    n_sources : int, optional
        Number of sources where ``assignment`` is not given; by default one per microphone.
    weights : str or path
        Of :func:`irtools.nets.pretrained.shipped`, or a file that :func:`irtools.nets.pretrained.save` wrote.
    **windows
        ``window_seconds``: what the network sees at a time, 30 s by default; ``overlap_seconds``: what consecutive
        windows share, where they are cross-faded, 1 s by default and at most half a window.

    Returns
    -------
    Separator
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
    >>> import torch
    >>> import irtools as ir
    >>> ir.reduce(torch.zeros(2, 1000), 44100, "cae").sources.shape
    torch.Size([2, 1000])
    """
    options = {"assignment": assignment, "n_sources": n_sources, "weights": weights, **windows}
    return learn_network(recording, ("cae", "cae-compact"), None, **options)


def truncated_unet(
    recording: Recording, *, assignment=None, n_sources: int | None = None, weights="tunet", **windows
) -> Separator:
    """Reduce bleed by t-UNet: a network reads the interference matrix off the waveforms, its inverse demixes.

    Parameters
    ----------
    recording, assignment, n_sources, weights, **windows
        As :func:`autoencoder` has them. Each window has its own Λ.

    Returns
    -------
    Separator
        ``gains`` is the mean Λ over the windows; rows of microphones that are nobody's close microphone are found by
        least squares on the estimates. ``details`` has the weights, their checksum, the windows and the resampling.

    Raises
    ------
    TypeError, ValueError
        As of :func:`autoencoder`.

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
    >>> import torch
    >>> import irtools as ir
    >>> ir.reduce(torch.zeros(2, 1000), 44100, "tunet").gains
    tensor([[1., 0.],
            [0., 1.]])
    """
    options = {"assignment": assignment, "n_sources": n_sources, "weights": weights, **windows}
    return learn_network(recording, ("tunet", "tunet-pairs"), None, **options)


def dilated_unet(
    recording: Recording, *, assignment=None, n_sources: int | None = None, weights="dfunet", **windows
) -> Separator:
    """Reduce bleed by dfUNet: a dilated U-Net from all microphones to all sources.

    Parameters
    ----------
    recording, assignment, n_sources, weights, **windows
        As :func:`autoencoder` has them.

    Returns
    -------
    Separator
        ``details`` has the weights, their checksum, the windows and the resampling.

    Raises
    ------
    TypeError, ValueError
        As of :func:`autoencoder`, or another number of microphones than the weights take.

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
    >>> import torch
    >>> import irtools as ir
    >>> ir.reduce(torch.zeros(2, 1000), 44100, "dfunet").sources.shape
    torch.Size([2, 1000])
    """
    options = {"assignment": assignment, "n_sources": n_sources, "weights": weights, **windows}
    return learn_network(recording, ("dfunet", "dfunet-paper"), False, **options)


def graph_unet(
    recording: Recording, *, assignment=None, n_sources: int | None = None, weights="dfunet-gat", **windows
) -> Separator:
    """Reduce bleed by dfUNet with graph attention: microphones are nodes, who bleeds into whom weighs the edges.

    Parameters
    ----------
    recording, assignment, n_sources, weights, **windows
        As :func:`autoencoder` has them.

    Returns
    -------
    Separator
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
    >>> import torch
    >>> import irtools as ir
    >>> ir.reduce(torch.zeros(3, 1000), 44100, "dfunet-gat").sources.shape
    torch.Size([3, 1000])
    """
    options = {"assignment": assignment, "n_sources": n_sources, "weights": weights, **windows}
    return learn_network(recording, ("dfunet", "dfunet-paper"), True, **options)
