"""Paths, and the settings of a training run.

May import nothing of the module.
"""
