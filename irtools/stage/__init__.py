"""Simulated stages: clean stems and a mixing, of gains or in a room, make microphones with known references."""
