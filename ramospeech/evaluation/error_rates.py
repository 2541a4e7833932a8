"""Error rates: the edit distance between reference and hypothesis."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from rapidfuzz.distance import Levenshtein

from ramospeech.language.pinyin import base_syllable, split_syllable
from ramospeech.language.vocabulary import UNK

__all__ = ["ErrorCounts", "Evaluation", "align", "align_by_base", "aligned_pairs", "syllable_error_rate"]

Pair = tuple[str | None, str | None]  # in the reference, in the hypothesis
Places = list[tuple[int | None, int | None]]  # indices into the two


@dataclass
class ErrorCounts:
    """The minimum substitutions, insertions and deletions that turn references into hypotheses."""

    substitutions: int = 0
    insertions: int = 0
    deletions: int = 0
    reference_length: int = 0

    @property
    def errors(self) -> int:
        return self.substitutions + self.insertions + self.deletions

    @property
    def rate(self) -> float:
        """Return errors per reference token; above 1 if much is inserted, NaN without references."""
        return self.errors / self.reference_length if self.reference_length else float("nan")

    def add(self, reference: Sequence[str], hypothesis: Sequence[str]) -> None:
        kinds = Counter(edit.tag for edit in Levenshtein.editops(reference, hypothesis))
        self.substitutions += kinds["replace"]
        self.insertions += kinds["insert"]
        self.deletions += kinds["delete"]
        self.reference_length += len(reference)


@dataclass
class Evaluation:
    """Error rates and confusions of many utterances.

    - `toned`: edits between toned syllables; `hao3` for `hao4` is an error. `toned.rate` is the
      syllable error rate that RamoSpeech reports.
    - `base`: edits between syllables without their tones; `hao3` for `hao4` is correct.
    - `tone_error_rate`: the part of the reference syllables with a correct base (in the alignment of
      `base`) whose tone is wrong.
    - `confusions`: counts of substitutions, (reference, hypothesis), in the alignment of `toned`.
    - `tone_confusions`: the same for tones, 1 to 5, correct ones included, in the alignment of `base`.
    - `left_out`: utterances that are not counted because their recordings cannot be read, by index
      in the split, each with the reason.
    - `inside`: the same figures for the utterances without out-of-vocabulary syllables; None if
      these are all utterances.
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
        """Return the number of utterances with an out-of-vocabulary syllable."""
        return self.utterances - self.inside.utterances if self.inside else 0

    @property
    def tone_error_rate(self) -> float:
        total = self.tone_confusions.total()
        correct = sum(self.tone_confusions[tone, tone] for tone in range(1, 6))
        return 1 - correct / total if total else float("nan")

    def add(self, reference: Sequence[str], hypothesis: Sequence[str]) -> None:
        """Count one utterance of toned syllables."""
        self.utterances += 1
        self.toned.add(reference, hypothesis)
        self.confusions.update(pair for pair in aligned_pairs(reference, hypothesis)
                               if pair[0] != pair[1])
        self.base.add(_bases(reference), _bases(hypothesis))
        for correct, recognised in _same_bases(reference, hypothesis):
            self.tone_confusions[split_syllable(correct).tone, split_syllable(recognised).tone] += 1


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Pair]:
    """Return the alignment with the fewest edits, as pairs (reference, hypothesis).

    The first is None for an insertion, the second for a deletion.
    """
    return _pairs(reference, hypothesis, _aligned_places(reference, hypothesis))


def aligned_pairs(reference: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of `align` without insertions and deletions."""
    return _both(align(reference, hypothesis))


def align_by_base(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Pair]:
    """Align as `align` does, but with the fewest edits between base syllables: tones may differ."""
    places = _aligned_places(_bases(reference), _bases(hypothesis))
    return _pairs(reference, hypothesis, places)


def _both(pairs: list[Pair]) -> list[tuple[str, str]]:
    return [(first, second) for first, second in pairs if first is not None and second is not None]


def _aligned_places(reference: Sequence[str], hypothesis: Sequence[str]) -> Places:
    places: Places = []
    for block in Levenshtein.opcodes(reference, hypothesis):
        places += zip_longest(range(block.src_start, block.src_end),
                              range(block.dest_start, block.dest_end))
    return places


def _pairs(reference: Sequence[str], hypothesis: Sequence[str], places: Places) -> list[Pair]:
    return [(None if i is None else reference[i], None if j is None else hypothesis[j])
            for i, j in places]


def _bases(syllables: Sequence[str]) -> list[str]:
    return [base_syllable(syllable) for syllable in syllables]


def _same_bases(reference: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[str, str]]:
    return [(first, second) for first, second in _both(align_by_base(reference, hypothesis))
            if base_syllable(first) == base_syllable(second) != UNK]


def syllable_error_rate(references: list[list[str]], hypotheses: list[list[str]]) -> float:
    """Return edits between toned syllables per reference syllable. Raises ValueError for unequal lists."""
    counts = ErrorCounts()
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        counts.add(reference, hypothesis)
    return counts.rate
