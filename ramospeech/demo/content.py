"""What the page of `ramospeech demo` shows for a recording, as HTML; the page itself is in `demo`.

Pictures and style are in it, so that it needs no network. `demo_content.html` is its template.
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

LONGEST_SECONDS = round(LONGEST)  # a segment: the picture of more would be too wide
NBEST = 5
TEMPLATE = Path(__file__).with_suffix(".html")
WIDTH, HEIGHT, DPI = 9.0, 4.2, 100  # of the picture, in inches
SECONDS_AN_INCH = 1.0  # at most: longer recordings have a wider picture


class Line(NamedTuple):
    """One way to read a recording."""

    pinyin: str  # with tone marks
    hanzi: str
    score: float  # natural logarithm


class Findings(NamedTuple):
    """What was found in a recording; no lines where no syllable was."""

    waveform: Tensor  # (samples,)
    syllables: Sequence[str] = ()  # of the best line, with numbers for tones
    seconds: Sequence[float] = ()  # when each was recognised
    nbest: Sequence[Line] = ()  # of sound and words searched together, best first
    greedy: Line | None = None
    beam: Line | None = None


@dataclass(frozen=True)
class Listener:
    """Reads a recording in every way that the page compares."""

    speech: SpeechToText

    @classmethod
    def load(cls, model: Path = SHIPPED_MODEL) -> "Listener":
        """The shipped model, or the one of a file, ready to answer at once. Raises CheckpointError."""
        warm_up()
        return cls(SpeechToText.load(model))

    def content(self, path: Path | str) -> str:
        """What is to be seen for a recording: the findings, or the error in plain words."""
        try:
            return findings_html(self.listen(load_recording(path)))
        except AudioError as error:
            return error_html(str(error).replace(f"{Path(path).parent}/", ""))

    def listen(self, waveform: Tensor) -> Findings:
        """Read a waveform `(samples,)` at 16 kHz."""
        found = self.speech.write(waveform, NBEST)
        if not found.syllables:
            return Findings(waveform)
        (greedy,) = self.speech.recogniser.recognise([waveform])
        nbest = [Line(tone_marks(item.syllables), item.hanzi, item.score) for item in found.transcripts]
        return Findings(waveform, found.syllables, found.seconds, nbest,
                        self._line(greedy.best), self._line(found.first_pass))

    def _line(self, reading: Transcript) -> Line:
        """The syllables as they were heard, and their most probable hanzi."""
        hanzi = Converter(self.speech.words).convert(" ".join(reading.syllables))
        return Line(tone_marks(reading.syllables), hanzi, reading.score)


def load_recording(path: Path | str) -> Tensor:
    """A recording of one segment, `(samples,)` at 16 kHz.

    Raises AudioError. The header is asked for the length first; of what is longer than it says, no
    more than two segments are read.
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
    """`ni3 hao3` as nǐ hǎo; what is no syllable stays as it is."""
    return " ".join(map(tone3_to_tone, syllables))


# What is seen


def findings_html(findings: Findings) -> str:
    """Text, picture and tables."""
    narrowest = len(findings.waveform) / SAMPLE_RATE / SECONDS_AN_INCH * DPI  # pixels to read it at
    return _template().render(found=findings, error=None, picture=draw(findings), narrowest=narrowest)


def error_html(message: str) -> str:
    """The reason why there is nothing to show; whatever it holds is escaped."""
    return _template().render(found=None, error=message)


def draw(findings: Findings) -> str:
    """Waveform and spectrogram with the syllables where they were found: PNG, a data URI."""
    seconds = len(findings.waveform) / SAMPLE_RATE
    width = max(WIDTH, seconds / SECONDS_AN_INCH)
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
