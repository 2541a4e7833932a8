"""How long tests wait for what must end."""

HANGS = 1800  # seconds; far more than a busy machine needs, so that only what never ends is cut off
