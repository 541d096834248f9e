# install-and-import: the same in every chapter (binder/sync.py)
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("irtools") is None:  # Colab: the rest is already there
    packages = [
        "irtools @ git+https://github.com/irtools/irtools@v0.1.0",
        "ffmpeg-python==0.2.0",
        "pyroomacoustics==0.10.1",
        "soundfile==0.14.0",
        "stempeg==0.2.6",
    ]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, *packages], check=True)

import matplotlib.pyplot as plt
import torch

import irtools as ir
from irtools.notebook import (
    Results,
    Step,
    listen,
    listening_grid,
    plot_convergence,
    plot_gains,
    plot_scores,
    plot_spectrograms,
    plot_stage,
    profile_value,
    show,
    show_table,
    slider,
    use_style,
)

use_style()
