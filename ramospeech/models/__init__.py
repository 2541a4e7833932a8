"""Acoustic models (the DFCNN), and their files.

May import `audio`, `language` and `losses`, and what those may import.
"""
