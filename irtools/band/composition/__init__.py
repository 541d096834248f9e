"""Music written by code: scores of a pop band or a Carnatic ensemble from a seed, as plain data without audio."""

from irtools.band.composition.compose import LINEUPS, compose

__all__ = ["LINEUPS", "compose"]
