"""Syllables, hanzi and words: pinyin, the vocabulary, n-grams, the lexicon, word lattices.

May import `config` and `utils`.
"""
