"""How good a network is on scenes that it was not trained on."""

from __future__ import annotations

from torch import Tensor, nn

from irtools.metrics.distortion import si_sdr
from irtools.training.examples import Batch

# A silent estimate has no SI-SDR; it counts as one of this, and nothing counts as less or, negated, as more.
_WORST_DB = -60.0


def improvement_db(net: nn.Module, batch: Batch) -> Tensor:
    """Mean SI-SDR in dB of the estimates of ``net`` over that of the microphones, a float64 scalar.

    It is over all sources above -60 dB relative to the loudest of their scene; 0 where all are silent.
    """
    sources = net.reduce(batch.mics).sources
    levels = batch.references.norm(dim=-1)
    heard = (levels > 1e-3 * levels.amax(-1, keepdim=True)).flatten()
    after, before = (_bounded(si_sdr(each.float(), batch.references)) for each in (sources, batch.mics))
    return (after - before).flatten()[heard].sum() / heard.sum().clamp(min=1)


def _bounded(values: Tensor) -> Tensor:
    return values.nan_to_num(nan=_WORST_DB).clamp(_WORST_DB, -_WORST_DB)
