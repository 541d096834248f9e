"""What a training run is: every number of it, in plain types, and the presets."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace

from irtools.nets import NETS
from irtools.nets.losses import check_kind
from irtools.stage.gain_laws import law_parameters

SCENES = ("linear", "stage")
OPTIMIZERS = ("adam", "adamw")
SCHEDULES = ("constant", "cosine")


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
        "band" for rendered songs, or a folder of songs: MUSDB18-HQ, or any of :func:`irtools.multitrack.list_songs`.
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
        Only this row of each example is kept: for one network a stem.
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

    Raises
    ------
    ValueError
        A setting that is not as described.

    Examples
    --------
    >>> Settings("tunet-pairs", batch=0)
    Traceback (most recent call last):
      ...
    ValueError: batch: expected a positive number, got 0
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
        for name, known in (("net", NETS), ("scene", SCENES), ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}")
        check_kind(self.loss)
        law_parameters(**self.law)
        positive = ("songs", "song_seconds", "rooms", "seconds", "batch", "steps", "learning_rate")
        for name in (*positive, "validation_every", "validation_scenes"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected a positive number, got {getattr(self, name)}")
        for name in ("rt60_s", "distance_m", "n_mics"):
            low, high = getattr(self, name)
            if not 0 < low <= high < math.inf:
                raise ValueError(f"{name}: expected 0 < low <= high, got ({low}, {high})")
        if not 0 <= self.remix <= 1:
            raise ValueError(f"remix: expected a share of 0 to 1, got {self.remix}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"seed: expected a whole number of at least 0, got {self.seed!r}")
        if self.stem is not None and not 0 <= self.stem < self.n_mics[0]:
            raise ValueError(f"stem: expected 0 to {self.n_mics[0] - 1}, got {self.stem}")

    def to_dict(self) -> dict:
        """Plain types of JSON; :meth:`from_dict` makes the settings of it again."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict) -> Settings:
        """Settings from what :meth:`to_dict` gave."""
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


_OURS = {"loss": "si-sdr", "optimizer": "adamw", "schedule": "cosine"}
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
# 2450 segments of ten seconds a stem, as published.
_SEGMENTS = 2450
_TINY = {"songs": 2, "song_seconds": 6.0, "rooms": 2, "seconds": 0.5, "batch": 2, "steps": 6, "validation_every": 3}

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
        "lineups": ("pop",),
        "law": {"law": "decibel", "level_db": -20.0},
        "seconds": 16 * 512 / 22050,
        "stem": 0,
        "batch": 1,
        "steps": 100 * _SEGMENTS * 36 // 16,
        "learning_rate": 1e-3,
    },
    "tunet": {
        "lineups": ("pop",),
        "seconds": 10.0,
        "batch": 64,
        "steps": 600 * -(-_SEGMENTS // 64),
        "learning_rate": 1e-2,
    },
    "dfunet-paper": {
        "lineups": ("pop",),
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

    Returns
    -------
    Settings

    Raises
    ------
    ValueError
        An unknown network or preset, or a value that a field does not take.
    TypeError
        A field that there is not.

    Notes
    -----
    "paper" takes from the publication [1]_, and from the code where that is silent, the size, the loss, the optimiser,
    the learning rate, the batch, and the steps that the epochs make on 2450 segments of ten seconds a stem. It differs
    in that segments, Λ and rooms are drawn anew, where the publication has one Λ a song and one room.

    References
    ----------
    .. [1] R. Rajesh and P. Rajan, "Neural networks for interference reduction in multi-track recordings",
       WASPAA, 2023.

    Examples
    --------
    >>> preset_settings("tunet", "paper").batch, preset_settings("tunet", "smoke", seed=3).seed
    (64, 3)
    """
    if net not in NETS:
        raise ValueError(f"net: expected one of {', '.join(sorted(NETS))}, got {net!r}")
    if preset not in PRESETS:
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {preset!r}")
    unknown = set(changes) - {each.name for each in fields(Settings)}
    if unknown:
        raise TypeError(f"{min(unknown)}: not a setting; expected {', '.join(f.name for f in fields(Settings))}")
    values = {**_OURS, **_CPU[net]}
    if preset == "smoke":
        values |= {**_TINY, "validation_scenes": 2, **_SMOKE[net]}
    elif preset == "paper":
        values = {**values, **_BIG, **(_PAPER | _PAPERS[net] if net in _PAPERS else _GPU[net])}
    config = {**values.get("config", {}), **changes.pop("config", {})}
    return replace(Settings(net, **values), config=config, **changes)
