"""As many frequencies at a time as a cache holds: what one operation writes there, the next one finds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

VALUES_AT_ONCE = 1 << 17
VALUES_AT_ONCE_ON_A_GPU = 1 << 26


def frequency_blocks(like: Tensor) -> list[slice]:
    """Ranges of the first axis of ``like`` (freqs, mics, frames), at least one.

    Examples
    --------
    >>> import torch
    >>> [(block.start, block.stop) for block in frequency_blocks(torch.empty(130, 4, 512))]
    [(0, 64), (64, 128), (128, 130)]
    """
    values = VALUES_AT_ONCE if like.device.type == "cpu" else VALUES_AT_ONCE_ON_A_GPU
    size = max(1, values // max(1, like.shape[1:].numel()))
    return [slice(start, min(start + size, len(like))) for start in range(0, max(1, len(like)), size)]


def on_threads(function: Callable, blocks: list) -> list:
    """``[function(block) for block in blocks]`` of blocks that do not depend on each other.

    As many at a time as torch has threads, one thread each: what fits into a cache is too small to share.
    """
    threads = torch.get_num_threads()
    if min(threads, len(blocks)) < 2:
        return [function(block) for block in blocks]
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        found = list(pool.map(function, blocks))
    # A thread sets the number of those that are started after it too.
    torch.set_num_threads(threads)
    return found
