"""KAMIR, MIRA and FastMIRA: Wiener masks from the powers of the sources and their gains to the microphones."""
