"""Speech synthesisers for the synthetic corpora.

May import what `data` may import.
"""
