"""Music written by code: scores of a pop band or a Carnatic ensemble from a seed, as plain data without audio."""

from irtools.band.composition.compose import LINEUPS, compose, describe
from irtools.band.composition.notation import Bend, Note, Part, Score, Stem

__all__ = ["LINEUPS", "Bend", "Note", "Part", "Score", "Stem", "compose", "describe"]
