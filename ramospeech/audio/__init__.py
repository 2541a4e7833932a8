"""Audio: reading files, segmentation, spectrograms, pitch, augmentation.

May import `config` and `utils`.
"""
