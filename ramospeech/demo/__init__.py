"""The page to speak to.

May import `notebook`, `recognition` and all below them.
"""
