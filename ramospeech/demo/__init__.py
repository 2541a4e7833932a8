"""The web page with a microphone: `ramospeech demo`.

May import `notebook`, `recognition` and all below them.
"""
