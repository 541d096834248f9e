"""What a training run is: every number of it, in plain types, and the presets."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace

from irtools.checks import check_choice, check_int, check_number
from irtools.nets import NETS
from irtools.nets.losses import KINDS
from irtools.stage.gain_laws import law_parameters

CHOICES = {
    "net": NETS,
    "scene": ("linear", "stage"),
    "loss": KINDS,
    "optimizer": ("adam", "adamw"),
    "schedule": ("constant", "cosine"),
}


@dataclass(frozen=True)
class Settings:
    """All that decides the outcome of a training run.

    Attributes
    ----------
    net : str
        A key of :data:`irtools.nets.NETS`.
    config : dict
        Keyword arguments of the network.
    data : str
        "band" for rendered songs, or a folder: MUSDB18-HQ, or any of :func:`irtools.recording.datasets.list_songs`.
    lineups : tuple of str
        Of the band.
    songs, song_seconds : int, float
        Band songs to render for training, and their length in s; a tenth as many, at least 2, for validation.
    scene : {"linear", "stage"}
    law : dict
        Of the gains of linear scenes: ``law`` and its parameters, see :func:`irtools.draw_gains`.
    rooms : int
        Rooms to train in; an eighth as many, at least 2, for validation and for test.
    rt60_s, distance_m : (float, float)
        Ranges of the rooms' reverberation times in s, and of the distances to the close microphones in m.
    n_mics : (int, int)
        Least and largest number of microphones; drawn for each batch.
    seconds : float
        Length of an example.
    shuffle : bool
        Stems in random order, else in that of their song.
    stem : int, optional
        Only this row of each example is kept: for one network per stem.
    remix : float
        Share of the examples whose stems come from different songs.
    gain_db : float
        Each stem is amplified by a gain of ± this.
    batch, steps : int
    loss : {"published", "si-sdr"}
    optimizer : {"adam", "adamw"}
    learning_rate, weight_decay : float
    schedule : {"constant", "cosine"}
        Cosine falls to 1 % over ``steps``, after a rise over the first 2 %.
    clip : float, optional
        Largest norm of a gradient.
    precision : str
        Of training on a GPU, as Lightning calls it; a CPU always has "32-true".
    validation_every, validation_scenes : int
        Steps between validations, each of which is followed by a checkpoint; scenes of a validation.
    seed : int
    """

    net: str
    config: dict = field(default_factory=dict)
    data: str = "band"
    lineups: tuple[str, ...] = ("pop", "carnatic-tambura")
    songs: int = 48
    song_seconds: float = 40.0
    scene: str = "linear"
    law: dict = field(default_factory=lambda: {"law": "uniform"})
    rooms: int = 64
    rt60_s: tuple[float, float] = (0.15, 0.35)
    distance_m: tuple[float, float] = (0.4, 0.6)
    n_mics: tuple[int, int] = (4, 4)
    seconds: float = 4.0
    shuffle: bool = True
    stem: int | None = None
    remix: float = 0.0
    gain_db: float = 6.0
    batch: int = 8
    steps: int = 1000
    loss: str = "si-sdr"
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    schedule: str = "cosine"
    clip: float | None = 1.0
    precision: str = "32-true"
    validation_every: int = 100
    validation_scenes: int = 16
    seed: int = 0

    def __post_init__(self):
        for name, known in CHOICES.items():
            check_choice(name, getattr(self, name), known)
        law_parameters(**self.law)
        for name in ("songs", "rooms", "batch", "steps", "validation_every", "validation_scenes"):
            check_int(name, getattr(self, name), 1)
        for name in ("song_seconds", "seconds", "learning_rate"):
            check_number(name, getattr(self, name), above=0)
        for name in ("rt60_s", "distance_m", "n_mics"):
            low, high = getattr(self, name)
            if not 0 < low <= high < math.inf:
                raise ValueError(f"{name}: expected 0 < low <= high, got ({low}, {high})")
        check_number("remix", self.remix, 0, 1)
        check_int("seed", self.seed, 0)
        if self.stem is not None:
            check_int("stem", self.stem, 0, self.n_mics[0] - 1)

    def to_dict(self) -> dict:
        """Plain types of JSON; :meth:`from_dict` makes the settings of it again."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict) -> Settings:
        """Settings from what :meth:`to_dict` gave."""
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


_PAPER = {
    "loss": "published",
    "optimizer": "adam",
    "weight_decay": 0.0,
    "schedule": "constant",
    "clip": None,
    "gain_db": 0.0,
    "shuffle": False,
    "validation_every": 1000,
}
# 2450 segments of ten seconds per stem, as published.
_SEGMENTS = 2450
_TINY = {
    "songs": 2,
    "song_seconds": 6.0,
    "rooms": 2,
    "seconds": 0.5,
    "batch": 2,
    "steps": 6,
    "validation_every": 3,
    "validation_scenes": 2,
}

#: What every network trains with on a CPU; what "smoke" and "paper" change of that.
_CPU = {
    "cae": {"seconds": 1.0, "batch": 2, "shuffle": False},
    "cae-compact": {"seconds": 3.0, "batch": 8, "learning_rate": 2e-3},
    "tunet": {**_PAPER, "seconds": 10.0, "batch": 8, "learning_rate": 1e-3, "clip": 1.0, "schedule": "cosine"},
    "tunet-pairs": {
        "loss": "published",
        "seconds": 8.0,
        "batch": 8,
        "n_mics": (2, 4),
        "remix": 0.3,
        "learning_rate": 3e-3,
        "lineups": ("pop", "carnatic"),
    },
    "dfunet-paper": {"seconds": 2.0, "batch": 1, "shuffle": False},
    "dfunet": {"scene": "stage", "seconds": 3.0, "batch": 4, "n_mics": (2, 4), "remix": 0.3},
}
_SMOKE = {
    "cae": {"config": {"window_size": 256, "hop": 128, "channels": [4, 4], "bottleneck": 16}},
    "cae-compact": {},
    "tunet": {"config": {"samples": 8000, "channels": [4, 8], "dense": [16]}, "seconds": 8000 / 22050},
    "tunet-pairs": {"config": {"hidden": 8, "tiles": 32}},
    "dfunet-paper": {},
    "dfunet": {"config": {"channels": [8, 8], "window_size": 512, "hop": 128}},
}
_PAPERS = {
    # 16 stacks of three frames, of the 36 that a segment has without overlap; 100 epochs.
    "cae": {
        "law": {"law": "decibel", "level_db": -20.0},
        "seconds": 16 * 512 / 22050,
        "stem": 0,
        "batch": 1,
        "steps": 100 * _SEGMENTS * 36 // 16,
        "learning_rate": 1e-3,
    },
    "tunet": {
        "seconds": 10.0,
        "batch": 64,
        "steps": 600 * -(-_SEGMENTS // 64),
        "learning_rate": 1e-2,
    },
    "dfunet-paper": {
        "scene": "stage",
        "seconds": 220448 / 22050,
        "batch": 2,
        "steps": 30 * _SEGMENTS // 2,
        "learning_rate": 1e-3,
    },
}
_BIG = {
    "songs": 400,
    "song_seconds": 60.0,
    "rooms": 256,
    "validation_scenes": 32,
    "validation_every": 500,
    "lineups": ("pop", "carnatic-tambura", "carnatic"),
}
_GPU = {
    "cae-compact": {"batch": 32, "seconds": 4.0, "steps": 30_000},
    "tunet-pairs": {"batch": 32, "seconds": 10.0, "n_mics": (2, 4), "steps": 10_000},
    "dfunet": {"batch": 16, "seconds": 5.0, "steps": 30_000, "precision": "bf16-mixed"},
}
PRESETS = ("smoke", "cpu", "paper")


def preset_settings(net: str, preset: str = "cpu", **changes) -> Settings:
    """Settings of a preset.

    Parameters
    ----------
    net : str
        A key of :data:`irtools.nets.NETS`.
    preset : {"smoke", "cpu", "paper"}
        Seconds; tens of minutes on one core; or, for the published networks, what was published, and for ours a long
        run on a GPU.
    **changes
        Fields of :class:`Settings` to have instead; ``config`` is merged.

    Notes
    -----
    "paper" takes from the publication [1]_, and from the code where that is silent, the size, the loss, the optimiser,
    the learning rate, the batch, and the steps that the epochs make on 2450 segments of ten seconds per stem. It
    differs in that segments, Λ and rooms are drawn anew, where the publication has one Λ per song and one room.

    References
    ----------
    .. [1] R. Rajesh and P. Rajan, "Neural networks for interference reduction in multi-track recordings",
       WASPAA, 2023.
    """
    check_choice("net", net, NETS)
    check_choice("preset", preset, PRESETS)
    unknown = set(changes) - {each.name for each in fields(Settings)}
    if unknown:
        raise TypeError(f"{min(unknown)}: not a setting; expected {', '.join(f.name for f in fields(Settings))}")
    values = _CPU[net]
    if preset == "smoke":
        values = values | _TINY | _SMOKE[net]
    elif preset == "paper":
        values = values | _BIG | (_PAPER | {"lineups": ("pop",)} | _PAPERS[net] if net in _PAPERS else _GPU[net])
    config = {**values.get("config", {}), **changes.pop("config", {})}
    return replace(Settings(net, **values), config=config, **changes)


def relative_rate(settings: Settings, step: int) -> float:
    """Learning rate of a step relative to that of the settings."""
    if settings.schedule == "constant":
        return 1.0
    rise = max(round(0.02 * settings.steps), 1)
    done = min(max(step - rise, 0) / max(settings.steps - rise, 1), 1.0)
    return min((step + 1) / rise, 1.0) * (0.505 + 0.495 * math.cos(math.pi * done))
