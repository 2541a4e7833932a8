"""What any program needs: files that appear whole, signals, memory, messages, a compiler's cache.

May import `config`.
"""
