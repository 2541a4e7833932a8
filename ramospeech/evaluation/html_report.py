"""A page of errors: the worst utterances to see and to hear, and what is taken for what.

The page is one file. Sound, pictures and style are in it, so it needs no network and can be sent.
The same errors give the same bytes: no date is in it. `error_page.html` is its template.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import soundfile
import torch
from jinja2 import Environment, StrictUndefined, Template
from matplotlib.image import imsave
from torch import Tensor
from torchaudio.functional import forced_align, merge_tokens

from ramospeech.audio.features import HOP_SAMPLES, extract_features, log_spectrogram
from ramospeech.audio.io import SAMPLE_RATE, load_audio
from ramospeech.data.corpora import open_split
from ramospeech.data.corpus import Split
from ramospeech.data.manifest import Utterance, spoken_characters
from ramospeech.data.preparation import CorpusError
from ramospeech.evaluation.error_analysis import error_by_length, error_by_times_heard, part_confusions
from ramospeech.evaluation.error_rates import ErrorCounts, Evaluation, align
from ramospeech.language.pinyin import INITIALS, split_syllable
from ramospeech.language.vocabulary import BLANK, UNK, Vocabulary
from ramospeech.losses.batch import frames_needed
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.recognition.recogniser import frame_seconds
from ramospeech.recognition.results import Transcript

CLOSE_SECONDS = 0.2  # from mark to mark; closer ones would be written over each other
TEMPLATE = Path(__file__).with_suffix(".html")


class Step(NamedTuple):
    """One place of an alignment: what was said, and what was heard for it."""

    said: str | None
    heard: str | None
    edit: str  # right, substituted, inserted or deleted
    parts: str  # of the syllable, which are substituted
    hanzi: str


class Mark(NamedTuple):
    """A syllable in its place on the spectrogram."""

    syllable: str
    second: float
    right: bool
    level: int  # 0 or 1: a mark close to another stands in a line of its own


class Clip(NamedTuple):
    """An utterance to see and to hear."""

    utterance: Utterance
    counts: ErrorCounts
    steps: list[Step]
    said: list[Mark]  # none where the model could not have written it
    heard: list[Mark]
    seconds: float  # that the spectrogram shows
    sound: str  # a data URI: FLAC, just what the model was given
    spectrogram: str  # a data URI: JPEG, a pixel for each frame and bin


class Training(NamedTuple):
    """How often each syllable was heard in training, or why that is not known."""

    times_heard: Mapping[str, int] | None
    source: str
    named: Sequence[str] = ()  # the lists that the reader named


def count_training(facts: dict[str, Any], named: Sequence[str] = ()) -> Training:
    """Count the syllables of the lists `named` (CORPUS or CORPUS/SPLIT, `train` if left out).

    Where none is named, of the one that the model's `facts` name. Raises CorpusError where a list
    that was named is not prepared.
    """
    if named:
        return _count([_open_list(name) for name in named])._replace(named=named)
    if "corpus" not in facts:
        return Training(None, "the model file does not say what the model was trained on")
    try:
        return _count([_open_list(facts["corpus"])])
    except CorpusError as error:
        return Training(None, str(error))


def _open_list(name: str) -> Split:
    corpus, _, split = name.partition("/")
    return open_split(corpus, split or "train", make=False)  # nothing is spoken just to be counted


def _count(splits: list[Split]) -> Training:
    times_heard = Counter(syllable for split in splits for utterance in split.utterances
                          for syllable in utterance.syllables)
    names = [f"{len(split)} utterances of {split.corpus} {split.name} (labels: "
             f"{split.label_source})" for split in splits]
    return Training(times_heard, " and ".join(names))


def error_page(
    facts: dict[str, Any], result: Evaluation, readings: Mapping[int, Transcript], split: Split,
    model: AcousticModel, vocabulary: Vocabulary, training: Training, worst: int = 20,
) -> str:
    """The page as HTML; `facts` are those of `evaluation_facts`, `readings` the best ones.

    Raises AudioError for a recording of the worst utterances that has gone since it was read.
    """
    pairs = [(split.utterances[index].syllables, readings[index].syllables)
             for index in sorted(readings)]
    finals = part_confusions(pairs, "final")
    heard = training.times_heard
    return _template().render(
        facts=facts, result=result, worst=worst, training=training,
        clips=[make_clip(index, readings[index], split, model, vocabulary)
               for index in worst_utterances(readings, split)[:worst]],
        tones=matrix(result.tone_confusions, range(1, 6)),
        initials=matrix(part_confusions(pairs, "initial"), [*INITIALS, ""]),
        finals=matrix(finals, sorted({name for pair in finals for name in pair})),
        lengths=error_by_length(pairs),
        frequencies=[] if heard is None else error_by_times_heard(pairs, heard),
    )


def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def worst_utterances(readings: Mapping[int, Transcript], split: Split) -> list[int]:
    """Those with errors: the highest error rate first, of equal rates the most errors."""
    counts = {index: _count_errors(split.utterances[index].syllables, reading.syllables)
              for index, reading in readings.items()}
    wrong = [index for index, count in counts.items() if count.errors]
    return sorted(wrong, key=lambda index: (-counts[index].rate, -counts[index].errors, index))


def _count_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    counts = ErrorCounts()
    counts.add(reference, hypothesis)
    return counts


def make_clip(
    index: int, reading: Transcript, split: Split, model: AcousticModel, vocabulary: Vocabulary
) -> Clip:
    """Sound, spectrogram and alignment of one utterance."""
    utterance, waveform = split.utterances[index], load_audio(split.audio_path(index))
    spectrogram = log_spectrogram(waveform)  # (frames, 200)
    steps = make_steps(utterance.syllables, reading.syllables, utterance.hanzi)
    said_at = force_alignment(utterance.syllables, waveform, model, vocabulary)
    return Clip(
        utterance, _count_errors(utterance.syllables, reading.syllables), steps,
        said=make_marks([step for step in steps if step.said], "said", said_at or []),
        heard=make_marks([step for step in steps if step.heard], "heard", reading.seconds),
        seconds=len(spectrogram) * HOP_SAMPLES / SAMPLE_RATE,
        sound=embed_sound(waveform), spectrogram=embed_spectrogram(spectrogram),
    )


@torch.inference_mode()
def force_alignment(
    syllables: Sequence[str], waveform: Tensor, model: AcousticModel, vocabulary: Vocabulary
) -> tuple[float, ...] | None:
    """When the model would have to recognise each syllable, were it made to find just these.

    In seconds: the beginning of each on the most probable path, of CTC or of ACE. None where there
    is no such path: a syllable is none of the model's classes, or the output frames are too few.
    """
    device = next(model.parameters()).device
    features, lengths = extract_features(
        waveform[None].to(device), torch.tensor([len(waveform)], device=device)
    )
    classes = vocabulary.encode(syllables)
    frames = model.output_lengths(lengths).item()
    is_known = all(syllable in vocabulary for syllable in syllables)
    if not is_known or frames_needed(classes, model.loss) > frames:
        return None
    log_probs = model(features, lengths).log_softmax(dim=-1).cpu()  # (1, T, classes)
    if model.loss == "ace":
        starts = [start // 2 for start in _starts(_with_pauses(log_probs), classes)]
        return frame_seconds(starts, model.subsampling)
    return frame_seconds(_starts(log_probs, classes), model.subsampling)


def _starts(log_probs: Tensor, classes: list[int]) -> list[int]:
    """The frames in which the labels begin on the most probable CTC path."""
    path, scores = forced_align(log_probs, torch.tensor([classes]), blank=BLANK)  # (1, T) both
    return [span.start for span in merge_tokens(path[0], scores[0], blank=BLANK)]


def _with_pauses(log_probs: Tensor) -> Tensor:
    """`(1, 2 * T, classes)`: a sure blank after each frame, so that a label, as in ACE, has one."""
    pauses = torch.full_like(log_probs, -torch.inf)
    pauses[..., BLANK] = 0
    return torch.stack([log_probs, pauses], dim=2).flatten(1, 2)


def make_steps(
    reference: Sequence[str], hypothesis: Sequence[str], hanzi: str = ""
) -> list[Step]:
    """The alignment of an utterance; one hanzi stands for one syllable, where the counts agree."""
    written = spoken_characters(hanzi)
    signs = iter(written if len(written) == len(reference) else [""] * len(reference))
    return [Step(said, heard, *_edit(said, heard), hanzi=next(signs) if said else "")
            for said, heard in align(reference, hypothesis)]


def _edit(said: str | None, heard: str | None) -> tuple[str, str]:
    if said is None:
        return "inserted", ""
    if heard is None:
        return "deleted", ""
    if said == heard:
        return "right", ""
    if UNK in (said, heard):
        return "substituted", ""
    parts = split_syllable(said)._asdict(), split_syllable(heard)._asdict()
    return "substituted", ", ".join(name for name in parts[0] if parts[0][name] != parts[1][name])


def make_marks(steps: Sequence[Step], side: str, seconds: Sequence[float]) -> list[Mark]:
    """A mark for each step that has a syllable on its `side`, "said" or "heard"."""
    marks: list[Mark] = []
    for step, second in zip(steps, seconds):
        is_close = marks and second - marks[-1].second < CLOSE_SECONDS
        level = 1 - marks[-1].level if is_close else 0
        marks.append(Mark(getattr(step, side), second, step.edit == "right", level))
    return marks


def embed_sound(waveform: Tensor) -> str:
    """A waveform `(samples,)` as a FLAC file in a data URI."""
    file = BytesIO()
    soundfile.write(file, waveform.numpy(), SAMPLE_RATE, format="FLAC")
    return _data_uri("audio/flac", file)


def embed_spectrogram(spectrogram: Tensor) -> str:
    """`(frames, bins)` as a picture in a data URI, high frequencies at the top."""
    file = BytesIO()
    imsave(file, spectrogram.numpy().T, cmap="magma", origin="lower", format="jpg",
           pil_kwargs={"quality": 85})
    return _data_uri("image/jpeg", file)


def _data_uri(kind: str, file: BytesIO) -> str:
    return f"data:{kind};base64,{b64encode(file.getvalue()).decode()}"


Name = TypeVar("Name", str, int)  # of an initial or a final; the number of a tone


class Row(NamedTuple):
    """What one tone, initial or final was heard as."""

    said: str | int
    total: int
    cells: Sequence[tuple[str | int, int, float]]  # heard as, how often, the part of the row


def matrix(counts: Mapping[tuple[Name, Name], int], order: Iterable[Name]) -> list[Row]:
    """The rows of a square table of those names of `order` that were said or heard."""
    occurring = {name for pair in counts for name in pair}
    names = [name for name in order if name in occurring]
    rows = []
    for said in names:
        total = sum(counts.get((said, heard), 0) for heard in names)
        cells = [(heard, count := counts.get((said, heard), 0), count / max(total, 1))
                 for heard in names]
        rows.append(Row(said, total, cells))
    return rows
