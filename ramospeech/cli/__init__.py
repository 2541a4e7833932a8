"""The command `ramospeech`.

May import everything but `demo`, which `ramospeech demo` starts.
"""
