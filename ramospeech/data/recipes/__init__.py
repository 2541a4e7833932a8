"""One file for each corpus: where it comes from, and how its lists are made.

May import what `data` may import, and the rest of `data`.
"""
