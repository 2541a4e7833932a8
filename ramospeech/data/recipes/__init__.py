"""One file per corpus: where it comes from, and how its manifests are made.

May import what `data` may import, and all of `data` except `corpora`, the registry of these files.
"""
