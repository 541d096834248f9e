"""Interference (bleed) reduction in live multitrack recordings.

Axes, everywhere: waveforms are ``(..., mics, samples)``, spectra ``(..., mics, freqs, frames)`` with a complex
dtype. ``gains`` is the interference matrix Λ of the model X = ΛS, ``(mics, sources)``, in amplitude. Source n's
close microphone is microphone n unless an ``assignment`` says otherwise, and an estimate or a reference of source
n is that source *as heard at its own microphone*.
"""

from importlib import import_module

__version__ = "0.1.0"


_EXPORTS = {
    "METHODS": "irtools.methods.registry",
    "ConvergenceWarning": "irtools.methods.separator",
    "Multitrack": "irtools.recording.multitrack",
    "Recording": "irtools.methods.separator",
    "Reduction": "irtools.methods.separator",
    "Scene": "irtools.stage.scene",
    "Scores": "irtools.metrics",
    "Separator": "irtools.methods.separator",
    "draw_gains": "irtools.stage.gain_laws",
    "falcon69": "irtools.recording.datasets",
    "lay_out_stage": "irtools.stage.geometry",
    "read_multitrack": "irtools.recording.multitrack",
    "reduce": "irtools.methods.registry",
    "register": "irtools.methods.registry",
    "render_song": "irtools.band.songs",
    "room_impulse_responses": "irtools.stage.room_responses",
    "score": "irtools.metrics",
    "simulate_linear": "irtools.stage.linear",
    "simulate_room": "irtools.stage.room",
    "write_multitrack": "irtools.recording.multitrack",
}

__all__ = ["__version__", *sorted(_EXPORTS)]


def __getattr__(name):
    # Imported on first use: `irtools --version` must not pay for torch.
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'irtools' has no attribute {name!r}")


def __dir__():
    return __all__
