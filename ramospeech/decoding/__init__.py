"""From log-probabilities to syllables: greedy, beam searches, forced alignment.

May import `language`, and what that may import.
"""
