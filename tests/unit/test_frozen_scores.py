"""Frozen scores of every preset of every method on one short clip: a default that moves unnoticed moves one of them.

`python tests/unit/test_frozen_scores.py` records them anew after a change on purpose.
"""

import json
import sys
import warnings
from pathlib import Path

import pytest
import torch

import irtools as ir
from irtools.methods.alternating.updates import VARIANTS
from irtools.methods.powers import fastmira, kamir, mira
from irtools.metrics import si_sdr

FROZEN = Path(__file__).with_name("frozen_scores.json")
RATE, SECONDS = 8000, 2
# Other processors differ in the last digits only, but a mask may amplify them; a setting that moves moves far more.
TOLERANCE_DB = 0.02
# Above this a score is the rounding of an exact inverse.
EXACT_DB = 60.0

SETTINGS = [
    *[("am", {"variant": name, "max_iter": 50}) for name in VARIANTS],
    *[("am", {"variant": name, "mixture": "clean", "max_iter": 50}) for name in VARIANTS],
    *[("kamir", {"preset": name}) for name in kamir.PRESETS],
    *[("mira", {"preset": name}) for name in mira.PRESETS],
    *[("fastmira", {"preset": name}) for name in fastmira.PRESETS],
    *[("ica", {"fun": name}) for name in ("logcosh", "exp", "cube")],
    *[("closemic", {"mode": name}) for name in ("linear", "room")],
    ("closemic", {"mode": "room", "attenuation_db": 0.0}),
    *[(name, {}) for name in ir.METHODS],
]


def label(method, options):
    return " ".join([method, *(f"{name}={value}" for name, value in options.items())])


CASES = {label(method, options): (method, options) for method, options in SETTINGS}


def clip() -> torch.Tensor:
    """Three instruments of decaying notes, (3, samples), float64."""
    generator = torch.Generator().manual_seed(11)
    time = torch.arange(SECONDS * RATE, dtype=torch.float64) / RATE
    out = torch.zeros(3, len(time), dtype=torch.float64)
    for source in range(3):
        for onset in torch.rand(4 * SECONDS, generator=generator).double() * SECONDS:
            pitch, decay = 80 * (source + 1) + 400 * torch.rand(2, generator=generator).double()
            age = (time - onset).clamp_min(0)
            envelope = (age > 0) * torch.exp(-age * (3 + decay / 100))
            for harmonic in range(1, 8):
                out[source] += 0.1 / harmonic * envelope * torch.sin(2 * torch.pi * pitch * harmonic * age)
    return out


def scenes() -> dict:
    """Microphones and references, with gains only and through short decaying filters."""
    sources = clip()
    gains = torch.tensor([[1.0, 0.3, 0.1], [0.4, 1.0, 0.2], [0.05, 0.5, 1.0]], dtype=torch.float64)
    room, generator, length = sources.clone(), torch.Generator().manual_seed(12), 200
    fade = torch.exp(-torch.arange(length, dtype=torch.float64) / 40)
    size = sources.shape[1] + length
    for k in range(3):
        for j in {0, 1, 2} - {k}:
            h = fade * torch.randn(length, generator=generator, dtype=torch.float64)
            heard = torch.fft.irfft(torch.fft.rfft(sources[j], size) * torch.fft.rfft(0.3 * h / h.norm(), size), size)
            room[k] += heard[: sources.shape[1]]
    return {"gains": (gains @ sources, sources), "room": (room, sources)}


def measured(case: str) -> dict:
    """SI-SDR per stem in dB in both scenes."""
    method, options = CASES[case]
    found = {}
    for scene, (mics, references) in scenes().items():
        told = {"mixdown": references.sum(0)} if options.get("mixture") == "clean" else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ir.ConvergenceWarning)
            sources = ir.reduce(mics, RATE, method, **options, **told).sources
        found[scene] = [round(min(float(value), EXACT_DB), 4) for value in si_sdr(sources, references)]
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_preset_scores_what_it_did(case):
    frozen = json.loads(FROZEN.read_text())
    for scene, values in measured(case).items():
        assert values == pytest.approx(frozen[case][scene], abs=TOLERANCE_DB), scene


def test_every_frozen_score_has_its_case():
    assert set(json.loads(FROZEN.read_text())) == set(CASES)


if __name__ == "__main__":
    FROZEN.write_text(json.dumps({case: measured(case) for case in CASES}, indent=1) + "\n")
    sys.stdout.write(f"{len(CASES)} cases -> {FROZEN.name}\n")
