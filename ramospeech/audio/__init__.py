"""From a file to a waveform to features: reading, segmentation, spectrograms, pitch, augmentation.

May import `config` and `utils`.
"""
