"""How long tests wait for a process."""

HANGS = 1800  # seconds; far more than a busy machine needs, so that only a hang is cut off
