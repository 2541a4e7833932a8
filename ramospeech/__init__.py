"""RamoSpeech: Mandarin speech recognition to learn from and to use.

A recording passes these files in this order:

    corpora -> manifest -> audio -> features -> disguise -> augment -> batches  (data)
    settings -> model -> losses -> sharing -> training -> runs -> checkpoints   (learning)
    segments -> front_end -> recognition -> decoders -> results -> metrics      (listening)
    word_model -> word_lattice, compiled_lattice -> pinyin_to_hanzi, joint_search (writing hanzi)
    speech_to_text -> speech_lines                                              (all of it)

`aggregation` is the arithmetic of the loss ACE, `flat_start` how training with it begins.
Under `audio` lies `decoding`, which opens recordings: `containers`, `mp3` and `ogg` find what libsndfile
would misread, `not_audio` says what else a file is. `preparation` and `openslr` bring a corpus here.
`memory` and `stopping` let a training last; `world`,
`sync_norm` and `elastic` let several processes do it, with the Horovod that `build_horovod` builds, by
the script that `export` writes. Beside the greedy decoder in `decoders` there are `beam`, searches to
follow by hand, and `prefix_beam`, the one to use, with `compiled_beam`, `alignment` and `compiler`
under it; `language_model`, `smoothing` and `arpa` know which syllable follows which. `report`,
`breakdown` and `error_page` say how wrong it was, and where. `demo` is a page to speak to,
`demo_content` what it shows. `pinyin` knows syllables, tones and the 1,215 output classes; `pitch`,
`plots`, `lattice_drawing` and `lesson` serve the notebooks; `cli` is the command `ramospeech`.
"""

__version__ = "0.1.0"
