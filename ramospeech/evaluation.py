"""A model against the references of a split."""

import sys
from collections.abc import Iterable, Iterator

import torch
from tqdm import tqdm

from ramospeech.batches import Batch, SpeechDataset, make_loader, measure_seconds
from ramospeech.corpora import Split
from ramospeech.decoders import Decode, Hypothesis, best_paths
from ramospeech.memory import in_pieces
from ramospeech.metrics import ErrorCounts, Evaluation, edits
from ramospeech.model import AcousticModel
from ramospeech.pinyin import Inventory
from ramospeech.recognition import Reading, read_hypotheses


@torch.inference_mode()
def recognise_batch(
    model: AcousticModel, batch: Batch, decode: Decode | None = None
) -> list[list[Hypothesis]]:
    """What was decoded of each utterance of a batch, best first; the model must be in eval mode.

    Without `decode`, the best path, read as the model's loss taught it to write.
    """
    device = next(model.parameters()).device
    logits = model(batch.features.to(device), batch.feature_lengths.to(device))
    lengths = model.output_lengths(batch.feature_lengths)
    return (decode or best_paths(model.loss))(logits.log_softmax(dim=-1), lengths)


def recognise_split(
    model: AcousticModel, inventory: Inventory, split: Split, batch_size: int = 16,
    decode: Decode | None = None,
) -> Iterator[tuple[int, Reading]]:
    """Index and reading of every utterance, short ones first.

    A recording that cannot be read has an `error` in its reading. What does not fit into memory is
    reported, and read as nothing.
    """
    loader = make_loader(SpeechDataset(split, inventory), measure_seconds(split), batch_size)
    was_training = model.training
    model.eval()
    try:
        for batch in tqdm(loader, desc=f"recognising {split.corpus} {split.name}", leave=False):
            parts, refused = in_pieces(batch, lambda piece, _: recognise_batch(model, piece, decode))
            for index, reason in batch.left_out.items():
                yield index, Reading([], [], error=reason)
            for piece, hypotheses in parts:
                for index, found in zip(piece.indices, hypotheses):
                    yield index, read_hypotheses(found, inventory, model.stride)
            for index in refused:
                tqdm.write(f"  does not fit into memory, read as nothing: {split.audio_path(index)}",
                           file=sys.stderr)
                yield index, Reading([], [])
    finally:
        model.train(was_training)


def evaluate(
    model: AcousticModel, inventory: Inventory, split: Split, batch_size: int = 16
) -> Evaluation:
    """Error rates of a model on a split."""
    return judge(recognise_split(model, inventory, split, batch_size), inventory, split)


def judge(
    readings: Iterable[tuple[int, Reading]], inventory: Inventory, split: Split
) -> Evaluation:
    """Error rates of what `recognise_split` gave; what could not be read is left out.

    Raises ValueError where that is all.
    """
    result, inside = Evaluation(split.label_source), Evaluation(split.label_source)
    for index, reading in readings:
        if reading.error:
            result.left_out[index] = reading.error
            continue
        reference = split.utterances[index].syllables
        result.add(reference, reading.syllables)
        if all(syllable in inventory for syllable in reference):
            inside.add(reference, reading.syllables)
    if result.left_out and not result.utterances:
        raise ValueError(f"{split.corpus} {split.name}: no recording can be read; the first: "
                         f"{min(result.left_out.items())[1]}")
    result.inside = inside if inside.utterances < result.utterances else None
    return result


def best_of_nbest(readings: dict[int, Reading], split: Split) -> float:
    """The syllable error rate if the best of each utterance's readings were chosen by a sage."""
    counts = ErrorCounts()
    for index, reading in readings.items():
        reference = split.utterances[index].syllables
        alternatives = [item.syllables for item in (reading, *reading.others)]
        counts.add(reference, min(alternatives, key=lambda item: edits(reference, item)))
    return counts.rate
