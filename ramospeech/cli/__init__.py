"""The command `ramospeech`.

May import all other packages.
"""
