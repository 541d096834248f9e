"""Recordings as files: find, read, check, resample and write them; `datasets` knows public ones."""
