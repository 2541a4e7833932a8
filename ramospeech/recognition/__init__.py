"""From recordings to results: the recogniser, the joint search with words, speech to text.

May import `data`, `decoding` and all below them.
"""
