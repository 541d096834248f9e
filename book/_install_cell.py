# install-and-import: the same in every chapter (binder/sync.py)
import importlib.util

if importlib.util.find_spec("irtools") is None:  # Colab, which has the rest
    %pip install -q --no-deps git+https://github.com/irtools/irtools@v0.1.0 pyroomacoustics==0.10.1 stempeg==0.2.6 ffmpeg-python==0.2.0 pretty_midi==0.2.11.post0 mido==1.3.3 tinysoundfont==0.3.7

import matplotlib.pyplot as plt
import torch

import irtools as ir
from irtools import notebook as nb

nb.use_style()
