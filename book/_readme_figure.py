"""Draw the picture of the README: python book/_readme_figure.py writes book/_static/bleed.png."""

import io
from pathlib import Path

import matplotlib
import torch
from PIL import Image

import irtools as ir
from irtools import notebook as nb
from irtools.metrics import si_sdr

TARGET = Path(__file__).parent / "_static" / "bleed.png"


def main() -> None:
    """Vocals of Falcon 69 bled by a random Λ, reduced with the clean sum known, and alone."""
    matplotlib.use("Agg")
    nb.use_style()
    stems = ir.falcon69()
    scene = ir.simulate_linear(
        stems.waveforms.double(), law="uniform", names=stems.names, generator=torch.Generator().manual_seed(0)
    )
    told = ir.reduce(
        scene.mics, stems.sample_rate, "am", variant="notebook", mixture="clean", mixdown=scene.sources.sum(0)
    )
    before, after = (si_sdr(waveforms, scene.references)[0].item() for waveforms in (scene.mics, told.sources))
    figure = nb.plot_spectrograms(
        {
            f"Vocal microphone with bleed: SI-SDR {before:.1f} dB": scene.mics[0],
            f"After alternating minimisation, told the clean sum: {after:.1f} dB": told.sources[0],
            "Vocals alone": scene.references[0],
        },
        stems.sample_rate,
        range_db=70,
        max_hz=8000,
    )
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110)
    # A palette takes a third of the bytes.
    Image.open(picture).convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE).save(TARGET, optimize=True)
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
