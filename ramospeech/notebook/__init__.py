"""What the notebooks show: plots, sound, source code.

May import `recognition` and all below it.
"""
