"""Training losses: CTC and ACE.

May import `language`, `config` and `utils`.
"""
