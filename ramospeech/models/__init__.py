"""The acoustic model (DFCNN) and its files.

May import `audio`, `language` and `losses`, and what those may import.
"""
