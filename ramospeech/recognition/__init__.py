"""Recordings to transcripts: recogniser, streaming, joint decoding with words, speech to text.

May import `data`, `decoding` and all below them.
"""
