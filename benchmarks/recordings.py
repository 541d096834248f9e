"""Recordings that a benchmark draws."""

from __future__ import annotations

import torch


def bursts(mics: int, seconds: float, rate: int, seed: int = 0) -> torch.Tensor:
    """Noise that comes and goes ten times per second, bled at -14 dB: microphones, float64."""
    generator = torch.Generator().manual_seed(seed)
    samples, part = round(seconds * rate), rate // 10
    level = torch.rand(mics, samples // part + 1, generator=generator, dtype=torch.float64) ** 3
    sources = torch.randn(mics, samples, generator=generator, dtype=torch.float64)
    sources *= level.repeat_interleave(part, 1)[:, :samples]
    return (0.8 * torch.eye(mics, dtype=torch.float64) + 0.2) @ sources
