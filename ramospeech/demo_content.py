"""What the page of `ramospeech demo` shows for a recording, as HTML; the page itself is in `demo`.

Pictures and style are in it, so that it needs no network. `demo_content.html` is its template.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import torch
from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure
from pypinyin.contrib.tone_convert import tone3_to_tone
from torch import Tensor

from ramospeech.audio import SAMPLE_RATE, AudioError, audio_seconds, load_audio
from ramospeech.decoders import Hypothesis, greedy_decode
from ramospeech.features import extract_features, frame_count, log_spectrogram
from ramospeech.joint_search import Heard, joint_search, slots_from_posteriors
from ramospeech.model import REDUCTION
from ramospeech.paths import PACKAGE
from ramospeech.pinyin_to_hanzi import Converter
from ramospeech.plots import draw_alignment, draw_spectrogram, draw_waveform
from ramospeech.prefix_beam import prefix_beam_search, warm_up
from ramospeech.recognition import Recogniser, read_hypotheses

LONGEST_SECONDS = 60
NBEST = 5
TEMPLATE = PACKAGE / "demo_content.html"
WIDTH, INCHES_A_SECOND = 9.0, 1.6  # of the picture: at least, and where syllables need more


class Line(NamedTuple):
    """One way to read a recording."""

    pinyin: str  # with tone marks
    hanzi: str
    score: float  # natural logarithm


class Findings(NamedTuple):
    """What was found in a recording; no lines where no syllable was."""

    waveform: Tensor  # (samples,)
    syllables: Sequence[str] = ()  # of the beam search, with numbers for tones
    seconds: Sequence[float] = ()  # when each was recognised
    greedy: Line | None = None
    beam: Line | None = None
    nbest: Sequence[Line] = ()  # of sound and words searched together, best first

    @property
    def best(self) -> Line | None:
        """What the page shows in large letters."""
        return self.nbest[0] if self.nbest else self.beam


@dataclass(frozen=True)
class Listener:
    """Reads recordings in every way that the page compares."""

    recogniser: Recogniser
    converter: Converter

    @classmethod
    def load(cls) -> "Listener":
        """With the shipped model and tables, ready to answer at once. Raises CheckpointError."""
        warm_up()
        return cls(Recogniser.load(), Converter.load())

    def page(self, path: Path | str) -> str:
        """What is to be seen for a recording: the findings, or the error in plain words."""
        try:
            return findings_html(self.listen(load_recording(path)))
        except AudioError as error:
            return error_html(str(error).replace(str(path), Path(path).name))

    @torch.inference_mode()
    def listen(self, waveform: Tensor) -> Findings:
        """Read a waveform `(samples,)` at 16 kHz."""
        features, lengths = extract_features(waveform[None], torch.tensor([len(waveform)]))
        log_probs = self.recogniser.model(features, lengths).log_softmax(dim=-1)  # (1, T, classes)
        (greedy,) = greedy_decode(log_probs)
        found = prefix_beam_search(log_probs[0], nbest=NBEST)
        best = read_hypotheses(found, self.recogniser.inventory)
        if not best.syllables:
            return Findings(waveform)
        return Findings(waveform, best.syllables, best.seconds, self._line(greedy),
                        self._line(found[0]), self._with_words(log_probs[0], found))

    def _line(self, hypothesis: Hypothesis) -> Line:
        """The syllables as they were heard, and their most probable hanzi."""
        syllables = self.recogniser.inventory.decode(hypothesis.tokens)
        hanzi = self.converter.convert(" ".join(syllables))
        return Line(tone_marks(syllables), hanzi, hypothesis.score)

    def _with_words(self, log_probs: Tensor, found: list[Hypothesis]) -> list[Line]:
        """What `log_probs` `(T, classes)` and the words of the language say together."""
        heard = [Heard(slots_from_posteriors(log_probs, item, self.recogniser.inventory), item.score)
                 for item in found if item.tokens]
        return [Line(tone_marks(writing.syllables), writing.hanzi, writing.score)
                for writing in joint_search(heard, self.converter.model, count=NBEST)]


def load_recording(path: Path | str) -> Tensor:
    """A recording that is neither too long nor too short, `(samples,)` at 16 kHz.

    Raises AudioError. The header is asked for the length first: a small file may hold hours.
    """
    seconds = audio_seconds(path)
    if seconds > LONGEST_SECONDS:
        raise AudioError(f"{path}: too long: {seconds:.0f} s; this page reads {LONGEST_SECONDS} s "
                         "at most")
    waveform = load_audio(path)
    if frame_count(len(waveform)) < REDUCTION:
        raise AudioError(f"{path}: too short: {seconds:.3f} s")
    return waveform


def tone_marks(syllables: Sequence[str]) -> str:
    """`ni3 hao3` as nǐ hǎo; what is no syllable stays as it is."""
    return " ".join(map(tone3_to_tone, syllables))


# What is seen


def findings_html(findings: Findings) -> str:
    """Text, picture and tables."""
    return _template().render(found=findings, error=None, picture=draw(findings))


def error_html(message: str) -> str:
    """The reason why there is nothing to show; whatever it holds is escaped."""
    return _template().render(found=None, error=message, picture=None)


def draw(findings: Findings) -> str:
    """Waveform and spectrogram with the syllables where they were found: PNG, a data URI."""
    seconds = len(findings.waveform) / SAMPLE_RATE
    figure = Figure(figsize=(max(WIDTH, INCHES_A_SECOND * seconds), 4.2), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True, height_ratios=[1, 2])
    draw_waveform(upper, findings.waveform)
    draw_spectrogram(lower, log_spectrogram(findings.waveform))
    draw_alignment(lower, [tone_marks([item]) for item in findings.syllables], findings.seconds)
    upper.set(xlabel="", xlim=(0, seconds))
    file = BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"


@cache
def _template():
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
