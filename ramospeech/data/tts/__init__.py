"""Speech synthesisers that corpora are made with.

May import what `data` may import.
"""
