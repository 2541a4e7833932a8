"""How wrong a recogniser is: errors against the reference, by the fewest edits."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from rapidfuzz.distance import Levenshtein

from ramospeech.language.pinyin import base_syllable, split_syllable
from ramospeech.language.vocabulary import UNK

Places = list[tuple[int | None, int | None]]  # in a reference, in a hypothesis


@dataclass
class ErrorCounts:
    """The fewest substitutions, insertions and deletions that turn references into hypotheses."""

    substitutions: int = 0
    insertions: int = 0
    deletions: int = 0
    reference_length: int = 0

    @property
    def errors(self) -> int:
        return self.substitutions + self.insertions + self.deletions

    @property
    def rate(self) -> float:
        """Errors over the length of the references; above 1 where much is inserted."""
        return self.errors / self.reference_length if self.reference_length else float("nan")

    def add(self, reference: Sequence[str], hypothesis: Sequence[str]) -> None:
        kinds = Counter(edit.tag for edit in Levenshtein.editops(reference, hypothesis))
        self.substitutions += kinds["replace"]
        self.insertions += kinds["insert"]
        self.deletions += kinds["delete"]
        self.reference_length += len(reference)


@dataclass
class Evaluation:
    """The error rates of many utterances, and what was taken for what.

    - `toned`: edits between toned syllables; `hao3` for `hao4` is an error. The syllable error
      rate that RamoSpeech reports is `toned.rate`.
    - `base`: edits between syllables without their tones; `hao3` for `hao4` is right.
    - `tone_error_rate`: of the reference syllables whose base was recognised (by the edits of
      `base`), the part whose tone is wrong.
    - `confusions`: how often a reference syllable came out as another (by the edits of `toned`).
    - `tone_confusions`: the same for tones, 1 to 5, right ones included (by the edits of `base`).
    - `left_out`: utterances, by their places in the split, that are in no figure because their
      recordings cannot be read, each with the reason.
    - `inside`: the same figures for the utterances that the model could get right, because all
      their syllables are among its classes; None where these are all utterances.
    """

    label_source: str
    utterances: int = 0
    toned: ErrorCounts = field(default_factory=ErrorCounts)
    base: ErrorCounts = field(default_factory=ErrorCounts)
    confusions: Counter[tuple[str, str]] = field(default_factory=Counter)
    tone_confusions: Counter[tuple[int, int]] = field(default_factory=Counter)
    left_out: dict[int, str] = field(default_factory=dict)
    inside: "Evaluation | None" = None

    @property
    def outside_vocabulary(self) -> int:
        """How many utterances hold a syllable that is none of the model's classes."""
        return self.utterances - self.inside.utterances if self.inside else 0

    @property
    def tone_error_rate(self) -> float:
        seen = self.tone_confusions.total()
        right = sum(count for (said, heard), count in self.tone_confusions.items() if said == heard)
        return 1 - right / seen if seen else float("nan")

    def add(self, reference: Sequence[str], hypothesis: Sequence[str]) -> None:
        """Count one utterance: toned syllables said, toned syllables recognised."""
        self.utterances += 1
        self.toned.add(reference, hypothesis)
        for said, heard in aligned_pairs(reference, hypothesis):
            if said != heard:
                self.confusions[said, heard] += 1
        self.base.add(_bases(reference), _bases(hypothesis))
        for said, heard in _same_bases(reference, hypothesis):
            self.tone_confusions[split_syllable(said).tone, split_syllable(heard).tone] += 1


def align(
    reference: Sequence[str], hypothesis: Sequence[str]
) -> list[tuple[str | None, str | None]]:
    """What was heard for what was said, by the fewest edits.

    None where a syllable was put in that nobody said, or left out that somebody said.
    """
    return _pairs(reference, hypothesis, _aligned_places(reference, hypothesis))


def aligned_pairs(reference: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[str, str]]:
    """Which token stands where another should: pairs of the best alignment, equal ones too."""
    return _both(align(reference, hypothesis))


def align_by_base(
    reference: Sequence[str], hypothesis: Sequence[str]
) -> list[tuple[str | None, str | None]]:
    """As `align`, but by the fewest edits between base syllables: the tones may differ."""
    places = _aligned_places(_bases(reference), _bases(hypothesis))
    return _pairs(reference, hypothesis, places)


def _both(pairs: list[tuple[str | None, str | None]]) -> list[tuple[str, str]]:
    return [(said, heard) for said, heard in pairs if said is not None and heard is not None]


def _aligned_places(reference: Sequence[str], hypothesis: Sequence[str]) -> Places:
    places: Places = []
    for block in Levenshtein.opcodes(reference, hypothesis):
        places += zip_longest(range(block.src_start, block.src_end),
                              range(block.dest_start, block.dest_end))
    return places


def _pairs(
    reference: Sequence[str], hypothesis: Sequence[str], places: Places
) -> list[tuple[str | None, str | None]]:
    return [(None if i is None else reference[i], None if j is None else hypothesis[j])
            for i, j in places]


def _bases(syllables: Sequence[str]) -> list[str]:
    return [base_syllable(syllable) for syllable in syllables]


def _same_bases(reference: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[str, str]]:
    return [(said, heard) for said, heard in _both(align_by_base(reference, hypothesis))
            if base_syllable(said) == base_syllable(heard) != UNK]


def syllable_error_rate(references: list[list[str]], hypotheses: list[list[str]]) -> float:
    """Errors among toned syllables over the number of reference syllables."""
    counts = ErrorCounts()
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        counts.add(reference, hypothesis)
    return counts.rate
