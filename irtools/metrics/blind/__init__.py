"""Measures that need no reference: rests, bleed between microphones, delays."""
