"""A model against the references of a split."""

from collections.abc import Iterable, Iterator

import torch
from tqdm import tqdm

from ramospeech.batches import Batch, SpeechDataset, make_loader, measure_seconds
from ramospeech.corpora import Split
from ramospeech.decoders import DECODERS, Hypothesis
from ramospeech.memory import in_pieces
from ramospeech.metrics import Evaluation
from ramospeech.model import AcousticModel
from ramospeech.pinyin import Inventory
from ramospeech.recognition import Reading, read_hypothesis


@torch.inference_mode()
def recognise_batch(model: AcousticModel, batch: Batch) -> list[Hypothesis]:
    """The model's best reading of each utterance of a batch; the model must be in eval mode."""
    device = next(model.parameters()).device
    logits = model(batch.features.to(device), batch.feature_lengths.to(device))
    lengths = model.output_lengths(batch.feature_lengths)
    return DECODERS[model.loss](logits.log_softmax(dim=-1), lengths)


def recognise_split(
    model: AcousticModel, inventory: Inventory, split: Split, batch_size: int = 16
) -> Iterator[tuple[int, Reading]]:
    """Index and reading of every utterance, short ones first.

    What does not fit into memory is reported, and read as nothing.
    """
    loader = make_loader(SpeechDataset(split, inventory), measure_seconds(split), batch_size)
    was_training = model.training
    model.eval()
    try:
        for batch in tqdm(loader, desc=f"recognising {split.corpus} {split.name}", leave=False):
            parts, refused = in_pieces(batch, lambda piece, _: recognise_batch(model, piece))
            for piece, hypotheses in parts:
                for index, hypothesis in zip(piece.indices, hypotheses):
                    yield index, read_hypothesis(hypothesis, inventory, model.stride)
            for index in refused:
                tqdm.write(f"  does not fit into memory, read as nothing: {split.audio_path(index)}")
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
    """Error rates of what `recognise_split` gave."""
    result, inside = Evaluation(split.label_source), Evaluation(split.label_source)
    for index, reading in readings:
        reference = split.utterances[index].syllables
        result.add(reference, reading.syllables)
        if all(syllable in inventory for syllable in reference):
            inside.add(reference, reading.syllables)
    result.inside = inside if inside.utterances < result.utterances else None
    return result
