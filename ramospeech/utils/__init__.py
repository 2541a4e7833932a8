"""Helpers of any program: atomic writes, errors, logging, signal handling, memory, compiler cache.

May import `config`.
"""
