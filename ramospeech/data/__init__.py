"""Corpora: lists of utterances, how they are prepared, and the batches made of them.

May import `models` and all below it.
"""
