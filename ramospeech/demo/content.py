"""The HTML that the page of `ramospeech demo` shows for a recording; `page.py` serves it.

Pictures and styles are embedded, so it needs no network. Its template is `content.html`.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined, Template
from matplotlib.figure import Figure
from pypinyin.contrib.tone_convert import tone3_to_tone
from torch import Tensor

from ramospeech.audio.features import log_spectrogram
from ramospeech.audio.io import SAMPLE_RATE, AudioError, audio_seconds
from ramospeech.audio.segmentation import LONGEST, read_segments
from ramospeech.config.paths import SHIPPED_MODEL
from ramospeech.decoding.prefix_beam import warm_up
from ramospeech.language.pinyin_to_hanzi import Converter
from ramospeech.notebook.plots import draw_alignment, draw_spectrogram, draw_waveform
from ramospeech.recognition.results import Transcript
from ramospeech.recognition.speech_to_text import SpeechToText

__all__ = [
    "LONGEST_SECONDS", "Findings", "Line", "Listener", "draw", "error_html", "findings_html",
    "load_recording", "tone_marks",
]

LONGEST_SECONDS = round(LONGEST)  # one segment: a longer picture would be too wide
NBEST = 5
TEMPLATE = Path(__file__).with_suffix(".html")
WIDTH, HEIGHT, DPI = 9.0, 4.2, 100  # of the picture, in inches
SECONDS_PER_INCH = 1.0  # at most: longer recordings have a wider picture


class Line(NamedTuple):
    """One hypothesis."""

    pinyin: str  # with tone marks
    hanzi: str
    score: float  # natural logarithm


class Findings(NamedTuple):
    """What was recognised in a recording; without lines if no syllable was."""

    waveform: Tensor  # (samples,)
    syllables: Sequence[str] = ()  # of the best line, with numbers for tones
    seconds: Sequence[float] = ()  # when each was recognised
    nbest: Sequence[Line] = ()  # of sound and words jointly, best first
    greedy: Line | None = None
    beam: Line | None = None


@dataclass(frozen=True)
class Listener:
    """Recognises a recording with every decoder that the page compares."""

    speech: SpeechToText

    @classmethod
    def load(cls, model: Path = SHIPPED_MODEL) -> "Listener":
        """Load the shipped model or a model file, and compile the search. Raises CheckpointError."""
        warm_up()
        return cls(SpeechToText.load(model))

    def content(self, path: Path | str) -> str:
        """Return the HTML for a recording: the findings or the error."""
        try:
            return findings_html(self.listen(load_recording(path)))
        except AudioError as error:
            return error_html(str(error).replace(f"{Path(path).parent}/", ""))

    def listen(self, waveform: Tensor) -> Findings:
        """Recognise a waveform `(samples,)` at 16 kHz."""
        found = self.speech.write(waveform, NBEST)
        if not found.syllables:
            return Findings(waveform)
        (greedy,) = self.speech.recogniser.recognise([waveform])
        nbest = [Line(tone_marks(item.syllables), item.hanzi, item.score) for item in found.transcripts]
        return Findings(waveform, found.syllables, found.seconds, nbest,
                        self._line(greedy.best), self._line(found.first_pass))

    def _line(self, transcript: Transcript) -> Line:
        """Return the syllables of the first pass, and their most probable hanzi."""
        hanzi = Converter(self.speech.words).convert(" ".join(transcript.syllables))
        return Line(tone_marks(transcript.syllables), hanzi, transcript.score)


def load_recording(path: Path | str) -> Tensor:
    """Return a recording of one segment, `(samples,)` at 16 kHz.

    Raises AudioError if it is longer. The length in the header is checked first; if the file is longer
    than stated there, at most two segments are read.
    """
    seconds = audio_seconds(path)
    if seconds <= LONGEST_SECONDS:
        first, *more = islice(read_segments(path), 2)
        if not more:
            return first.waveform
        seconds = more[0].start + len(more[0].waveform) / SAMPLE_RATE
    raise AudioError(f"{path}: too long: {seconds:.0f} s, and this page reads {LONGEST_SECONDS} s "
                     "at most")


def tone_marks(syllables: Sequence[str]) -> str:
    """Return `ni3 hao3` as nǐ hǎo; other words are unchanged."""
    return " ".join(map(tone3_to_tone, syllables))


# HTML


def findings_html(findings: Findings) -> str:
    """Return text, picture and tables."""
    narrowest = len(findings.waveform) / SAMPLE_RATE / SECONDS_PER_INCH * DPI  # pixels, to be legible
    return _template().render(found=findings, error=None, picture=draw(findings), narrowest=narrowest)


def error_html(message: str) -> str:
    """Return an error message, escaped."""
    return _template().render(found=None, error=message)


def draw(findings: Findings) -> str:
    """Return waveform and spectrogram with the syllables at their times: PNG, a data URI."""
    seconds = len(findings.waveform) / SAMPLE_RATE
    width = max(WIDTH, seconds / SECONDS_PER_INCH)
    figure = Figure(figsize=(width, HEIGHT), dpi=DPI, layout="constrained")
    upper, lower = figure.subplots(2, sharex=True, height_ratios=[1, 2])
    draw_waveform(upper, findings.waveform)
    draw_spectrogram(lower, log_spectrogram(findings.waveform))
    draw_alignment(lower, [tone_marks([item]) for item in findings.syllables], findings.seconds)
    upper.set(xlabel="", xlim=(0, seconds))
    file = BytesIO()
    figure.savefig(file, format="png")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
