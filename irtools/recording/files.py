"""The public names of the recording room, for the package's own list."""

from irtools.recording.multitrack import Multitrack, read_multitrack, write_multitrack

__all__ = ["Multitrack", "read_multitrack", "write_multitrack"]
