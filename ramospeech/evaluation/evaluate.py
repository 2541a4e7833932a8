"""Evaluate a model on a split of a corpus."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from ramospeech.data.corpus import Split
from ramospeech.data.usable import measure_seconds
from ramospeech.decoding.hypothesis import Decode
from ramospeech.evaluation.error_rates import ErrorCounts, Evaluation
from ramospeech.language.edit_distance import edits
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.recognition.recogniser import Recogniser
from ramospeech.recognition.results import Result
from ramospeech.utils.logs import LOGGER

__all__ = ["evaluate", "judge", "oracle_error_rate", "recognise_split"]


def recognise_split(
    model: AcousticModel, vocabulary: Vocabulary, split: Split, batch_size: int = 16,
    decode: Decode | None = None, nbest: int = 1,
) -> Iterator[tuple[int, Result]]:
    """Yield index and result of every utterance, short ones first, with the `nbest` best transcripts.

    Without `decode`, the best path is decoded as the model's loss requires. If a recording cannot be
    read, its result has an `error`. One that does not fit into memory is logged, and counts as
    recognised up to there.
    """
    paths = [split.audio_path(index) for index in range(len(split))]
    order = np.argsort(measure_seconds(split), kind="stable").tolist()
    was_training, device = model.training, next(model.parameters()).device
    recogniser = Recogniser(model, vocabulary, device, decode)
    results = recogniser.transcribe((paths[index] for index in order), batch_size, nbest)
    bar = tqdm(results, desc=f"recognising {split.corpus} {split.name}", total=len(split), leave=False)
    try:
        for index, result in zip(order, bar):
            if result.out_of_memory:
                LOGGER.warning("recognised as nothing: %s", result.error)
                result = replace(result, error=None)
            yield index, result
    finally:
        model.train(was_training)


def evaluate(
    model: AcousticModel, vocabulary: Vocabulary, split: Split, batch_size: int = 16
) -> Evaluation:
    """Return the error rates of a model on a split."""
    return judge(recognise_split(model, vocabulary, split, batch_size), vocabulary, split)


def judge(results: Iterable[tuple[int, Result]], vocabulary: Vocabulary, split: Split) -> Evaluation:
    """Return the error rates of what `recognise_split` yields; unreadable recordings are left out.

    Raises ValueError if no recording can be read.
    """
    whole, inside = Evaluation(split.label_source), Evaluation(split.label_source)
    for index, result in results:
        if result.error:
            whole.left_out[index] = result.error
            continue
        reference = split.utterances[index].syllables
        whole.add(reference, result.syllables)
        if all(syllable in vocabulary for syllable in reference):
            inside.add(reference, result.syllables)
    if whole.left_out and not whole.utterances:
        raise ValueError(f"{split.corpus} {split.name}: no recording can be read; the first: "
                         f"{min(whole.left_out.items())[1]}")
    whole.inside = inside if inside.utterances < whole.utterances else None
    return whole


def oracle_error_rate(results: Mapping[int, Result], split: Split) -> float:
    """Return the syllable error rate of the best of each utterance's n best transcripts."""
    counts = ErrorCounts()
    for index, result in results.items():
        if result.error:
            continue
        reference = split.utterances[index].syllables
        alternatives = [transcript.syllables for transcript in result.transcripts]
        counts.add(reference, min(alternatives, key=lambda item: edits(reference, item)))
    return counts.rate
