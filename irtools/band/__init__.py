"""A band that plays any number of songs: composition, synthesis, and a cache of the rendered stems."""
