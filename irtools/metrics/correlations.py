"""Correlations of signals of any length at few lags, and the Gram matrix of delayed signals that they make up."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor


def correlations(first: Tensor, second: Sequence[Tensor], before: int, after: int) -> Tensor:
    """Σ_t first_i(t) second_j(t + lag) at the lags -before to after, zero beyond the ends: (..., I, J, lags), float64.

    The rows of ``second``, tensors one below the other, are the J second signals.
    """
    from scipy.fft import next_fast_len

    samples, more = first.shape[-1], before + after
    n_fft = next_fast_len(8 * (more + 1), real=True) if more > 100 else 1 << 14
    step = n_fft - more
    total = None
    for begin in range(0, samples, step):
        low = max(begin - before, 0)
        behind = first[..., begin : begin + step].double()
        ahead = torch.cat([each[..., low : begin + step + after] for each in second], -2).double()
        if more == 0:
            product = behind @ ahead.mT
            total = product if total is None else total.add_(product)
            continue
        ahead = torch.nn.functional.pad(ahead, (low - begin + before, 0))
        pair = (
            torch.fft.rfft(behind, n_fft)[..., None, :].conj_physical_(),
            torch.fft.rfft(ahead, n_fft)[..., None, :, :],
        )
        total = pair[0] * pair[1] if total is None else total.addcmul_(*pair)
    return total[..., None] if more == 0 else torch.fft.irfft(total, n_fft)[..., : more + 1]


def block_toeplitz(lags: Tensor) -> Tensor:
    """Gram matrix of all signals at all delays, from their correlations at the lags 0 to taps - 1.

    >>> block_toeplitz(torch.tensor([[[14.0, 8.0, 3.0]]]))
    tensor([[14.,  8.,  3.],
            [ 8., 14.,  8.],
            [ 3.,  8., 14.]])
    """
    n_signals, _, taps = lags.shape
    both = torch.cat([lags.flip(-1), lags.transpose(0, 1)[..., 1:]], dim=-1)  # lag a - b at taps - 1 - a + b
    gram = lags.new_empty(n_signals, taps, n_signals, taps)
    for i, j in itertools.product(range(n_signals), repeat=2):  # block by block: no second copy of the large matrix
        gram[i, :, j] = both[i, j].unfold(-1, taps, 1).flip(0)
    return gram.reshape(n_signals * taps, n_signals * taps)
