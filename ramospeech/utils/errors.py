"""The base class of the module's own errors."""

__all__ = ["RamoSpeechError"]


class RamoSpeechError(ValueError):
    """Input that cannot be used; the message is one line and says what to do.

    Every error class of the module derives from it. It is a ValueError, so callers may catch that.
    """
