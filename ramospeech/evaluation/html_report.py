"""The error analysis as an HTML page: worst utterances with sound and spectrogram, and confusions.

The page is one file with its sounds, pictures and styles: it needs no network. The same errors give
the same bytes, because it has no date. Its template is `html_report.html`.
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
from ramospeech.evaluation.error_analysis import error_by_length, error_by_training_count, part_confusions
from ramospeech.evaluation.error_rates import ErrorCounts, Evaluation, align
from ramospeech.language.pinyin import INITIALS, split_syllable
from ramospeech.language.vocabulary import BLANK, UNK, Vocabulary
from ramospeech.losses.batch import frames_needed
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.recognition.recogniser import frame_seconds
from ramospeech.recognition.results import Transcript

__all__ = [
    "Clip", "Mark", "Row", "Step", "Training", "count_training", "embed_sound", "embed_spectrogram",
    "error_page", "force_alignment", "make_clip", "make_marks", "make_steps", "matrix",
    "worst_utterances",
]

CLOSE_SECONDS = 0.2  # between marks; closer ones would overlap on one line
TEMPLATE = Path(__file__).with_suffix(".html")


class Step(NamedTuple):
    """One position of an alignment."""

    reference: str | None
    hypothesis: str | None
    edit: str  # correct, substituted, inserted or deleted
    parts: str  # the substituted parts of the syllable
    hanzi: str


class Mark(NamedTuple):
    """A syllable on the spectrogram."""

    syllable: str
    second: float
    correct: bool
    level: int  # 0 or 1: the second line is for marks close to another


class Clip(NamedTuple):
    """An utterance of the page."""

    utterance: Utterance
    counts: ErrorCounts
    steps: list[Step]
    reference: list[Mark]  # empty if there is no forced alignment
    hypothesis: list[Mark]
    seconds: float  # the duration of the spectrogram
    sound: str  # a data URI: FLAC, exactly the input of the model
    spectrogram: str  # a data URI: JPEG, one pixel per frame and bin


class Training(NamedTuple):
    """The count of each syllable in training, or why it is unknown."""

    counts: Mapping[str, int] | None
    source: str
    named: Sequence[str] = ()  # the splits given by the user


def count_training(facts: dict[str, Any], named: Sequence[str] = ()) -> Training:
    """Count the syllables of the splits `named` (CORPUS or CORPUS/SPLIT; default: train).

    If none is named, the split train of the corpus in the model's `facts` is counted. Raises
    CorpusError if a named split is not prepared.
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
    return open_split(corpus, split or "train", make=False)  # counting is no reason to synthesise speech


def _count(splits: list[Split]) -> Training:
    counts = Counter(syllable for split in splits for utterance in split.utterances
                     for syllable in utterance.syllables)
    names = [f"{len(split)} utterances of {split.corpus} {split.name} (labels: "
             f"{split.label_source})" for split in splits]
    return Training(counts, " and ".join(names))


def error_page(
    facts: dict[str, Any], result: Evaluation, transcripts: Mapping[int, Transcript], split: Split,
    model: AcousticModel, vocabulary: Vocabulary, training: Training, worst: int = 20,
) -> str:
    """Return the page as HTML; `facts` are those of `evaluation_facts`, `transcripts` the best ones.

    Raises AudioError if the recording of one of the worst utterances is gone by now.
    """
    pairs = [(split.utterances[index].syllables, transcripts[index].syllables)
             for index in sorted(transcripts)]
    finals = part_confusions(pairs, "final")
    return _template().render(
        facts=facts, result=result, worst=worst, training=training,
        clips=[make_clip(index, transcripts[index], split, model, vocabulary)
               for index in worst_utterances(transcripts, split)[:worst]],
        tones=matrix(result.tone_confusions, range(1, 6)),
        initials=matrix(part_confusions(pairs, "initial"), [*INITIALS, ""]),
        finals=matrix(finals, sorted({name for pair in finals for name in pair})),
        lengths=error_by_length(pairs),
        frequencies=[] if training.counts is None
        else error_by_training_count(pairs, training.counts),
    )


def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def worst_utterances(transcripts: Mapping[int, Transcript], split: Split) -> list[int]:
    """Return the utterances with errors by error rate, highest first, then by number of errors."""
    counts = {index: _count_errors(split.utterances[index].syllables, transcript.syllables)
              for index, transcript in transcripts.items()}
    wrong = [index for index, count in counts.items() if count.errors]
    return sorted(wrong, key=lambda index: (-counts[index].rate, -counts[index].errors, index))


def _count_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    counts = ErrorCounts()
    counts.add(reference, hypothesis)
    return counts


def make_clip(
    index: int, transcript: Transcript, split: Split, model: AcousticModel, vocabulary: Vocabulary
) -> Clip:
    """Return sound, spectrogram and alignment of one utterance."""
    utterance, waveform = split.utterances[index], load_audio(split.audio_path(index))
    spectrogram = log_spectrogram(waveform)  # (frames, 200)
    steps = make_steps(utterance.syllables, transcript.syllables, utterance.hanzi)
    aligned = force_alignment(utterance.syllables, waveform, model, vocabulary)
    return Clip(
        utterance, _count_errors(utterance.syllables, transcript.syllables), steps,
        reference=make_marks(steps, "reference", aligned or []),
        hypothesis=make_marks(steps, "hypothesis", transcript.seconds),
        seconds=len(spectrogram) * HOP_SAMPLES / SAMPLE_RATE,
        sound=embed_sound(waveform), spectrogram=embed_spectrogram(spectrogram),
    )


@torch.inference_mode()
def force_alignment(
    syllables: Sequence[str], waveform: Tensor, model: AcousticModel, vocabulary: Vocabulary
) -> tuple[float, ...] | None:
    """Return when each syllable begins on the most probable path that spells just these, in seconds.

    Paths are those of the model's loss, CTC or ACE. Return None if there is none: a syllable is out
    of vocabulary, or there are too few output frames.
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
    """Return the frames in which the labels begin on the most probable CTC path."""
    path, scores = forced_align(log_probs, torch.tensor([classes]), blank=BLANK)  # (1, T) both
    return [span.start for span in merge_tokens(path[0], scores[0], blank=BLANK)]


def _with_pauses(log_probs: Tensor) -> Tensor:
    """Return `(1, 2 * T, classes)`: with a certain blank after each frame, a label has one, as in ACE."""
    pauses = torch.full_like(log_probs, -torch.inf)
    pauses[..., BLANK] = 0
    return torch.stack([log_probs, pauses], dim=2).flatten(1, 2)


def make_steps(
    reference: Sequence[str], hypothesis: Sequence[str], hanzi: str = ""
) -> list[Step]:
    """Return the alignment of an utterance; with a hanzi per syllable, if their numbers agree."""
    written = spoken_characters(hanzi)
    signs = iter(written if len(written) == len(reference) else [""] * len(reference))
    return [Step(first, second, *_edit(first, second), hanzi=next(signs) if first else "")
            for first, second in align(reference, hypothesis)]


def _edit(reference: str | None, hypothesis: str | None) -> tuple[str, str]:
    if reference is None:
        return "inserted", ""
    if hypothesis is None:
        return "deleted", ""
    if reference == hypothesis:
        return "correct", ""
    if UNK in (reference, hypothesis):
        return "substituted", ""
    parts = split_syllable(reference)._asdict(), split_syllable(hypothesis)._asdict()
    return "substituted", ", ".join(name for name in parts[0] if parts[0][name] != parts[1][name])


def make_marks(steps: Sequence[Step], side: str, seconds: Sequence[float]) -> list[Mark]:
    """Return a mark for each syllable on a `side`, "reference" or "hypothesis"."""
    marks: list[Mark] = []
    for step, second in zip([step for step in steps if getattr(step, side)], seconds):
        is_close = marks and second - marks[-1].second < CLOSE_SECONDS
        level = 1 - marks[-1].level if is_close else 0
        marks.append(Mark(getattr(step, side), second, step.edit == "correct", level))
    return marks


def embed_sound(waveform: Tensor) -> str:
    """Return a waveform `(samples,)` as a FLAC file in a data URI."""
    file = BytesIO()
    soundfile.write(file, waveform.numpy(), SAMPLE_RATE, format="FLAC")
    return _data_uri("audio/flac", file)


def embed_spectrogram(spectrogram: Tensor) -> str:
    """Return `(frames, bins)` as a picture in a data URI, high frequencies at the top."""
    file = BytesIO()
    imsave(file, spectrogram.numpy().T, cmap="magma", origin="lower", format="jpg",
           pil_kwargs={"quality": 85})
    return _data_uri("image/jpeg", file)


def _data_uri(kind: str, file: BytesIO) -> str:
    return f"data:{kind};base64,{b64encode(file.getvalue()).decode()}"


Name = TypeVar("Name", str, int)  # of an initial or a final; the number of a tone


class Row(NamedTuple):
    """The confusions of one tone, initial or final."""

    reference: str | int
    total: int
    cells: Sequence[tuple[str | int, int, float]]  # hypothesis, count, part of the row


def matrix(counts: Mapping[tuple[Name, Name], int], order: Iterable[Name]) -> list[Row]:
    """Return the rows of a square table of the names in `order` that occur in `counts`."""
    occurring = {name for pair in counts for name in pair}
    names = [name for name in order if name in occurring]
    rows = []
    for reference in names:
        total = sum(counts.get((reference, hypothesis), 0) for hypothesis in names)
        cells = [(hypothesis, count := counts.get((reference, hypothesis), 0), count / max(total, 1))
                 for hypothesis in names]
        rows.append(Row(reference, total, cells))
    return rows
