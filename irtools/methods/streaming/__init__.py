"""Recordings of any length: cut into pieces, separated one by one, joined and written."""
