"""The three sizes in which a chapter runs."""

from __future__ import annotations

from typing import TypeVar

Value = TypeVar("Value")

PROFILES = ("smoke", "book", "paper")


def profile_value(profile: str, *, smoke: Value, book: Value, paper: Value) -> Value:
    """Pick the value of one setting for the profile in which a chapter runs.

    Parameters
    ----------
    profile : {"smoke", "book", "paper"}
        Seconds for a test, minutes for the published page, the published size.
    smoke, book, paper
        The value in each.

    Raises
    ------
    ValueError
        An unknown profile.

    Examples
    --------
    >>> profile_value("smoke", smoke=2, book=20, paper=100)
    2
    >>> profile_value("fast", smoke=2, book=20, paper=100)
    Traceback (most recent call last):
      ...
    ValueError: profile: expected one of smoke, book, paper; got 'fast'
    """
    values = dict(zip(PROFILES, (smoke, book, paper), strict=True))
    if profile not in values:
        raise ValueError(f"profile: expected one of {', '.join(PROFILES)}; got {profile!r}")
    return values[profile]
