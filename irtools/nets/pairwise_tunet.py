"""An interference matrix from pairs of microphones: any number of them, in any order, at any level, of any length."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from irtools.checks import check_number
from irtools.nets.estimate import Estimate
from irtools.nets.inverse import conditioned_inverse, projected_gains
from irtools.nets.level import without_level
from irtools.nets.network import Network
from irtools.nets.tiles import telling_tiles, tile_covariances

# Power of a tile, relative to the mean power of its microphone, that counts as nothing.
_NOTHING = 1e-10
# Largest amplitude ratio that a tile can vote for, microphones scaled to one level.
_LARGEST_RATIO = 1.5
# Least own-microphone gain that a column of Λ is divided by.
_LEAST_OWN_GAIN = 0.5
# Power of a source in a segment, relative to its mean power, from which it counts as playing there.
_ACTIVE = 0.01
# Tiles are chosen from groups of this length in s, so that no moment has them all.
_GROUP_SECONDS = 1.0
_N_FEATURES = 9


class PairwiseTUNet(Network):
    """Λ as the vote of those tiles of the time-frequency plane in which a source plays alone.

    Parameters
    ----------
    stages : int
        Estimates of Λ, each made with what the one before has left.
    hidden : int
        Width of the two small networks.
    tiles : int
        How many tiles each source is judged by, spread over the recording.
    window_size : int
        In samples.
    tile_freqs, tile_frames : int
        Bins and frames in a tile.
    segment_seconds : float, optional
        One Λ for each segment of about this length, cross-faded; None is one for the whole input. A source that is
        silent in a segment has the gains of the whole input there.
    floor : float
        Least singular value of Λ that is inverted as it is, see :func:`irtools.nets.inverse.conditioned_inverse`.
    sample_rate : int
        In Hz.

    Notes
    -----
    Microphones are scaled to one level. In tile b, with C the covariances of the microphones
    (:func:`irtools.nets.tiles.tile_covariances`), microphone k has r_b = C_kj / C_jj of what microphone j has: λ_kj,
    if source j plays alone there. For every ordered pair (k, j) one network, the same for all pairs, gives each tile
    an attention a_b, from numbers that do not depend on level, polarity or order: how loud the tile is at j, how loud
    k and the others are beside j, the coherences of j with k and the others, and ``|r_b|``. Then

    λ_kj = Σ_b a_b r_b,  Σ_b a_b = 1.

    Where a source plays alone in all its tiles, λ_kj is exact, whatever the attention. The next stage does the same
    with Z = Λ⁻¹X in place of X, and multiplies Λ by what it finds. Because C_Z = Λ⁻¹ C Λ⁻ᵀ, no signal is read again.

    Ours: from t-UNet [1]_ it takes the question, waveforms in and Λ out, and the loss. It has no trained length, order
    or number of microphones, and Λ may be negative. As many sources as microphones.

    References
    ----------
    .. [1] As of :class:`irtools.nets.tunet.TUNet`.

    Examples
    --------
    >>> net = PairwiseTUNet().eval()
    >>> alone = torch.randn(2, 40000) * (torch.arange(40000) // 10000 % 2 == torch.arange(2)[:, None])
    >>> mics = torch.tensor([[1.0, -0.25], [0.5, 1.0]]) @ alone
    >>> print(net.reduce(mics[None]).gains[0].detach().numpy().round(2))
    [[ 1.   -0.25]
     [ 0.5   1.  ]]
    """

    def __init__(
        self,
        *,
        stages: int = 3,
        hidden: int = 32,
        tiles: int = 512,
        window_size: int = 1024,
        tile_freqs: int = 8,
        tile_frames: int = 2,
        segment_seconds: float | None = None,
        floor: float = 0.1,
        sample_rate: int = 22050,
    ):
        super().__init__(locals())
        for name, value in self.config.items():
            if value is not None:
                check_number(name, value, above=0)
        # Bleed as it came, and what the stages before have left of it.
        self.first, self.later = _judge(hidden), _judge(hidden)

    def forward(self, mics: Tensor) -> Tensor:
        """Λ after each stage: (batch, mics, samples), best scaled to one level each → (batch, stages, mics, mics).

        Own-microphone gains are 1; the dtype is that of the weights.
        """
        covariances = self._covariances(mics.to(self.first[0].weight.dtype))
        n_mics, floor = mics.shape[1], self.config["floor"]
        identity = torch.eye(n_mics, dtype=covariances.dtype, device=mics.device)
        gains, stages = identity.expand(len(mics), -1, -1), []
        for stage in range(self.config["stages"]):
            inverse = conditioned_inverse(gains, floor).to(covariances)[:, None, None]
            bleed = self._bleed(inverse @ covariances @ inverse.mT, self.later if stage else self.first)
            gains = gains @ (identity + bleed)
            gains = gains / gains.diagonal(dim1=1, dim2=2).clamp(min=_LEAST_OWN_GAIN)[:, None]
            gains = torch.where(identity > 0, 1, gains)
            stages.append(gains)
        return torch.stack(stages, 1)

    def reduce(self, mics: Tensor) -> Estimate:
        """One source per microphone, and as gains the mean over the segments."""
        scaled, level = _each_without_level(mics)
        samples = mics.shape[-1]
        bounds = self._segments(samples)
        gains = self._gains(scaled, bounds)
        demixing = [conditioned_inverse(each, self.config["floor"]).to(mics.dtype) for each in gains]
        # From the middle of one segment to the middle of the next, one demixing fades into the other.
        middles = [(start + stop) // 2 for start, stop in pairwise(bounds)]
        parts = []
        for i, (start, stop) in enumerate(pairwise([0, *middles, samples])):
            before, after = demixing[max(i - 1, 0)], demixing[min(i, len(demixing) - 1)]
            span = scaled[..., start:stop]
            fade = torch.linspace(0, 1, stop - start + 1, dtype=mics.dtype, device=mics.device)[:-1]
            parts.append(before @ span + fade * ((after - before) @ span))
        sources = torch.cat(parts, -1) * level
        return Estimate(sources, _rescaled(torch.stack(gains).mean(0).to(mics.dtype), level))

    def _published_loss(self, mics: Tensor, references: Tensor, gains: Tensor | None) -> Tensor:
        """Mean square error of Λ, own-microphone gains scaled to 1, over all stages and sources above -60 dB.

        Where there is no true Λ, it is :func:`irtools.nets.inverse.projected_gains`.
        """
        if references.shape != mics.shape:
            expected, came = tuple(mics.shape), tuple(references.shape)
            raise ValueError(f"references: expected the shape of mics, {expected}, got {came}")
        scaled, level = _each_without_level(mics)
        found = _rescaled(self(scaled), level[:, None])
        target = (projected_gains(mics, references) if gains is None else gains).to(found)
        own = target.diagonal(dim1=1, dim2=2)[:, None]
        target = target / torch.where(own == 0, 1, own)
        loudness = references.norm(dim=-1)
        counts = loudness > 1e-3 * loudness.amax(1, keepdim=True)
        error = (found - target[:, None]).square().mean((1, 2))
        return (error * counts).sum() / counts.sum().clamp(min=1)

    def _gains(self, scaled: Tensor, bounds: list[int]) -> list[Tensor]:
        """Λ of each segment; of a source that is silent there, the gains that the whole recording has."""
        whole = self(scaled)[:, -1]
        if len(bounds) == 2:
            return [whole]
        sources = conditioned_inverse(whole, self.config["floor"]).to(scaled) @ scaled
        least = _ACTIVE * sources.square().mean(-1)
        found = []
        for start, stop in pairwise(bounds):
            active = sources[..., start:stop].square().mean(-1) > least
            found.append(torch.where(active[:, None], self(scaled[..., start:stop])[:, -1], whole))
        return found

    def _covariances(self, scaled: Tensor) -> Tensor:
        """The tiles that each microphone is judged by: (batch, mics, tiles, mics, mics), about 1 on average."""
        config = self.config
        sizes = {name: config[name] for name in ("window_size", "tile_freqs", "tile_frames", "sample_rate")}
        n_groups = max(round(scaled.shape[-1] / config["sample_rate"] / _GROUP_SECONDS), 1)
        count = -(-config["tiles"] // n_groups)
        groups = tile_covariances(scaled, **sizes, group_seconds=_GROUP_SECONDS)
        chosen = torch.cat([telling_tiles(covariances, count) for covariances in groups], 2)
        return chosen / (0.375 * config["window_size"] * config["tile_freqs"] * config["tile_frames"])

    def _bleed(self, covariances: Tensor, judge: nn.Module) -> Tensor:
        """What each microphone has of the others, by the tiles of each: (batch, mics k, mics j), 0 for k = j."""
        n_mics = covariances.shape[-1]
        # From here on, (batch, tiles, k, j): microphone k in the tiles of microphone j.
        cross = covariances.diagonal(dim1=1, dim2=3)
        power = covariances.diagonal(dim1=3, dim2=4).permute(0, 2, 3, 1).clamp(min=_NOTHING)
        own = power.diagonal(dim1=2, dim2=3)[:, :, None]
        ratio = (cross / own).clamp(-_LARGEST_RATIO, _LARGEST_RATIO)
        features = _features(cross, power, own, ratio)
        attention = judge(features).squeeze(-1).masked_fill(own <= _NOTHING, -1e4).softmax(1)
        itself = torch.eye(n_mics, dtype=torch.bool, device=ratio.device)
        return (attention * ratio).sum(1).masked_fill(itself, 0)

    def _segments(self, samples: int) -> list[int]:
        """Where segments begin and end."""
        seconds = self.config["segment_seconds"]
        count = 1 if seconds is None else max(round(samples / self.sample_rate / seconds), 1)
        return [samples * n // count for n in range(count + 1)]


def _judge(hidden: int) -> nn.Sequential:
    """A network from features to attention; a common offset of all attentions would have no effect."""
    return nn.Sequential(
        nn.Linear(_N_FEATURES, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 1, bias=False),
    )


def _features(cross: Tensor, power: Tensor, own: Tensor, ratio: Tensor) -> Tensor:
    """What a judge sees of each pair and tile: (batch, tiles, k, j, features), all blind to sign."""
    n_mics = power.shape[2]
    itself = torch.eye(n_mics, dtype=torch.bool, device=power.device)
    others = max(n_mics - 1, 1)
    beside = power / own
    coherence = cross.abs() / (power * own).sqrt()
    incoherence = ((1 - coherence.square()).clamp(min=0) + 1e-6).log()
    log_beside = (beside + 1e-7).log()
    of_all = [
        (own + 1e-7).log(),
        log_beside.masked_fill(itself, -20).amax(2, keepdim=True),
        (beside.masked_fill(itself, 0).sum(2, keepdim=True) / others + 1e-7).log(),
        incoherence.masked_fill(itself, 0).sum(2, keepdim=True) / others,
        incoherence.masked_fill(itself, -20).amax(2, keepdim=True),
    ]
    of_pair = [log_beside, incoherence, 4 * coherence, 4 * ratio.abs()]
    return 0.25 * torch.stack([*(each.expand_as(power) for each in of_all), *of_pair], -1)


def _each_without_level(mics: Tensor) -> tuple[Tensor, Tensor]:
    """Every microphone at a level of 1, and its level (batch, mics, 1), which is 1 for silence."""
    scaled, level = without_level(mics.flatten(0, 1)[:, None])
    level = level.view(*mics.shape[:2], 1)
    return scaled.view_as(mics), torch.where(level > 0, level, 1)


def _rescaled(gains: Tensor, level: Tensor) -> Tensor:
    """Λ of microphones that were scaled to one level, in the units that they came in."""
    return gains * (level / level.mT).to(gains)
