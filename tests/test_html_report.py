"""The page of errors: what stands in it, what it leaves out, and that nothing gets out of it."""

import io
from base64 import b64decode
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from bs4 import BeautifulSoup
from matplotlib.image import imread

from ramospeech.audio.features import extract_features
from ramospeech.audio.io import load_audio
from ramospeech.data.corpora import open_split
from ramospeech.data.corpus import Split
from ramospeech.data.manifest import Utterance
from ramospeech.data.preparation import CorpusError
from ramospeech.evaluation.error_rates import ErrorCounts
from ramospeech.evaluation.evaluate import judge
from ramospeech.evaluation.html_report import (
    Training, count_training, embed_sound, embed_spectrogram, error_page, force_alignment, make_marks,
    make_steps, matrix, worst_utterances,
)
from ramospeech.evaluation.report import evaluation_facts
from ramospeech.language.vocabulary import PAD, UNK, Vocabulary
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.recognition.recogniser import OUTPUT_SECONDS
from ramospeech.recognition.results import Result, Transcript

VOCABULARY = Vocabulary.read()
UNKNOWN = Training(None, "nobody said")


@pytest.fixture(scope="module")
def model() -> AcousticModel:
    torch.manual_seed(1)
    return AcousticModel.from_preset("lesson", len(VOCABULARY)).eval()


@pytest.fixture
def make_page(dev, model):
    """The page of what somebody made of the utterances of a split; and the page as a soup."""

    def make(heard: dict[int, str], split: Split = dev, training: Training = UNKNOWN, **options):
        readings = {index: Transcript(tuple(text.split()), tuple(0.1 * n for n, _ in enumerate(text.split())))
                    for index, text in heard.items()}
        result = judge([(index, Result(transcripts=[reading])) for index, reading in readings.items()],
                       VOCABULARY, split)
        facts = evaluation_facts(result, split, Path("models/some.safetensors"))
        return error_page(facts, result, readings, split, model, VOCABULARY, training, **options)

    return make


def spoken(split: Split) -> dict[int, str]:
    return {index: utterance.pinyin for index, utterance in enumerate(split.utterances)}


def soup(page: str) -> BeautifulSoup:
    return BeautifulSoup(page, "html.parser")


def table_of(page: str, caption: str) -> dict[str, dict[str, str]]:
    """A table of the page: its cells by the heads of their row and column."""
    (found,) = [item for item in soup(page).find_all("table")
                if item.caption and item.caption.text.startswith(caption)]
    columns = [cell.text for cell in found.thead.find_all("th")][1:]
    return {row.th.text: dict(zip(columns, (cell.text for cell in row.select("td:not(.bar)"))))
            for row in found.tbody.find_all("tr")}


class Balance(HTMLParser):
    """Every element that is opened is closed, in order."""

    VOID = frozenset({"meta", "br", "image", "line"})  # as the page writes them

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes
                       if name in ("src", "href", "xlink:href", "action", "srcset", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


# The page


def test_the_page_is_whole_and_stands_alone(make_page, dev):
    page = make_page({index: "shi4" for index in range(len(dev))})
    reader = Balance()
    reader.feed(page)
    assert reader.open == []
    assert len(reader.links) > 2 * len(dev)
    assert {link.split(":")[0] for link in reader.links if link[0] != "#"} == {"data"}
    identifiers = [item["id"] for item in soup(page).find_all(id=True)]
    assert len(set(identifiers)) == len(identifiers)
    assert {link[1:] for link in reader.links if link[0] == "#"} <= set(identifiers)
    for word in ("://", "url(", "@import", "<script", "<link", "<iframe"):
        assert word not in page
    policy = soup(page).find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert policy.startswith("default-src 'none';") and "script-src" not in policy


def test_the_same_errors_give_the_same_bytes(make_page, dev):
    heard = {index: "shi4 ma1" for index in range(len(dev))}
    backwards = dict(reversed(heard.items()))  # batches come by length, not by number
    assert make_page(heard) == make_page(heard) == make_page(backwards)


def test_the_head_says_what_was_measured(make_page, dev):
    page = make_page(spoken(dev), training=Training({}, "somewhere", ["mini", "mini/dev"]), worst=3)
    head = [item.text for item in soup(page).dl.find_all("dd")]
    assert head[0] == "some.safetensors" and head[1] == f"mini, split dev, {len(dev)} utterances"
    assert head[2] == dev.label_source
    assert head[3] == ("ramospeech evaluate --data_type mini --split dev --model "
                       "models/some.safetensors --trained_on mini mini/dev --worst 3 --report FILE")
    assert all(head)


def test_everything_can_be_read_without_eyes(make_page, dev):
    page = soup(make_page({index: "shi4" for index in range(len(dev))}))
    assert page.html["lang"] == "en" and page.title.text
    assert all(item.find("title").text for item in page.find_all("svg"))
    assert all(item["aria-label"].strip() for item in page.find_all("audio"))
    assert all(item.find("th", scope="row") for item in page.find_all("table"))
    assert [item.name for item in page.find_all(["h1", "h2", "h3"])] == \
        ["h1"] + 6 * ["h2"] + len(dev) * ["h3"]


# Which utterances, and what is said of them


def test_the_worst_come_first(make_page, dev):
    first, second, _, fourth = (utterance.syllables for utterance in dev.utterances)
    heard = {0: first, 1: ["er2", *second[1:]], 2: [], 3: fourth + fourth + ["er2"]}
    rates = {}
    for index, syllables in heard.items():
        counts = ErrorCounts()
        counts.add(dev.utterances[index].syllables, syllables)
        rates[index] = counts.rate
    assert rates[0] == 0 < rates[1] < rates[2] == 1 < rates[3]
    page = make_page({index: " ".join(syllables) for index, syllables in heard.items()})
    titles = [item.text for item in soup(page).find_all("h3")]
    expected = [dev.utterances[index] for index in (3, 2, 1)]
    assert titles == [f"{number}. {utterance.hanzi} {utterance.pinyin}"
                      for number, utterance in enumerate(expected, start=1)]
    short = make_page({index: " ".join(syllables) for index, syllables in heard.items()}, worst=1)
    assert [item.text for item in soup(short).find_all("h3")] == titles[:1]
    assert len(soup(short).find_all("audio")) == 1


def test_of_equal_rates_the_most_errors_come_first():
    split = Split("made", "up", [Utterance("a", "ma1", ""), Utterance("b", "ma1 ma1", ""),
                                 Utterance("c", "ma1", "")], Path("."), "")
    readings = {index: Transcript() for index in (2, 0, 1)}
    assert worst_utterances(readings, split) == [1, 0, 2]


def test_a_model_without_errors(make_page, dev):
    page = make_page(spoken(dev), training=Training(Counter(), "nothing at all"))
    assert "No utterance has an error." in page and "<audio" not in page
    for said, row in table_of(page, "Initial").items():
        assert row.pop("total") == row[said]
        assert {heard for heard, count in row.items() if count} == {said}
    assert {row["error rate"] for row in table_of(page, "Error rate by the number").values()} == {"0.0%"}


def test_nothing_was_heard_at_all(make_page, dev):
    page = make_page({index: "" for index in range(len(dev))})
    assert "Recognised:\n nothing." in page
    assert {item.text for item in soup(page).select(".steps tr:last-child td")} == {"deleted"}
    assert page.count("No syllables to count.") == 3
    assert "–" in table_of(page, "Error rates")["all"]["tones"]


def test_one_utterance(make_page, dev):
    one = replace(dev, utterances=dev.utterances[:1])
    page = make_page({0: one.utterances[0].pinyin + " er2"}, one)
    assert {item.text for item in soup(page).select(".steps tr:last-child td")} \
        == {"correct", "inserted"}
    assert table_of(page, "Error rates")["all"]["inserted"] == "1"
    assert len(soup(page).find_all("h3")) == 1


def test_steps_by_hand():
    said, heard = "ni3 hao3 shi4 ma men".split(), "ni3 hao4 shi4 de ma".split()
    steps = make_steps(said, heard, "你 好是吗们")
    assert [tuple(step) for step in steps] == [
        ("ni3", "ni3", "correct", "", "你"), ("hao3", "hao4", "substituted", "tone", "好"),
        ("shi4", "shi4", "correct", "", "是"), (None, "de", "inserted", "", ""),
        ("ma", "ma", "correct", "", "吗"), ("men", None, "deleted", "", "们"),
    ]
    (step,) = make_steps(["ma"], ["er2"])
    assert step.parts == "initial, final, tone"
    (step,) = make_steps(["shi4"], ["si4"], "一二")
    assert (step.parts, step.hanzi) == ("initial", "")  # two hanzi for a syllable: which is meant?
    (step,) = make_steps(["shi4"], [UNK])
    assert (step.edit, step.parts) == ("substituted", "")


def test_marks_stand_where_they_belong_and_not_over_each_other():
    steps = make_steps("ma1 ma2 ma3 ma4".split(), "ma1 ma2 ma3 ma".split())
    marks = make_marks(steps, "hypothesis", [0.04, 0.12, 0.2, 1.0])
    assert [(mark.syllable, mark.second) for mark in marks] \
        == [("ma1", 0.04), ("ma2", 0.12), ("ma3", 0.2), ("ma", 1.0)]
    assert [mark.level for mark in marks] == [0, 1, 0, 0]
    assert [mark.correct for mark in marks] == [True, True, True, False]
    assert make_marks(steps, "reference", []) == []


# Hostile input


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;"


def test_what_comes_from_outside_stays_text(make_page, dev, tmp_path):
    name = HOSTILE.replace("/", "∕") + ".wav"
    (tmp_path / name).write_bytes(dev.audio_path(0).read_bytes())
    split = replace(dev, root=tmp_path, label_source=HOSTILE, name=HOSTILE, utterances=[
        Utterance(name, dev.utterances[0].pinyin, HOSTILE)])
    page = make_page({0: "shi4"}, split, Training(Counter(shi4=1), HOSTILE, [HOSTILE]))
    found = soup(page)
    assert found.find_all("script") == found.find_all("img") == []
    assert not any(name.startswith("on") for item in found.find_all() for name in item.attrs)
    assert found.find("h3").text == f"1. {HOSTILE} {split.utterances[0].pinyin}"
    assert name in found.select_one(".clip .soft").text
    assert HOSTILE in found.title.text
    reader = Balance()
    reader.feed(page)
    assert reader.open == []


# Tables


def test_a_matrix_holds_what_occurs_in_the_order_given():
    rows = matrix({("sh", "s"): 1, ("sh", "sh"): 3, ("b", ""): 2}, ["b", "x", "sh", "s", ""])
    assert [row.reference for row in rows] == ["b", "sh", "s", ""]
    assert [row.total for row in rows] == [2, 4, 0, 0]
    assert rows[1].cells == [("b", 0, 0), ("sh", 3, 0.75), ("s", 1, 0.25), ("", 0, 0)]
    assert matrix({}, ["b"]) == []


def test_the_tables_of_the_page(make_page, dev, train):
    """Each syllable in its place: then every confusion can be counted without an alignment."""
    swap = {"jin1": "qin1", "tian1": "dian1"}
    heard = {index: " ".join(swap.get(syllable, syllable) for syllable in utterance.syllables)
             for index, utterance in enumerate(dev.utterances)}
    said = Counter(" ".join(spoken(dev).values()).split())
    assert said["jin1"] and said["tian1"] and not said["qin1"] + said["dian1"]
    page = make_page(heard, training=count_training({"corpus": "mini"}))
    initials = table_of(page, "Initial")
    assert initials["j"]["q"] == str(said["jin1"]) and initials["t"]["d"] == str(said["tian1"])
    wrong = {(one, other) for one, row in initials.items() for other, count in row.items()
             if count and other not in (one, "total")}
    assert wrong == {("j", "q"), ("t", "d")}
    assert all(one == other or count == "" or other == "total"
               for one, row in table_of(page, "Final").items() for other, count in row.items())
    in_training = Counter(syllable for utterance in train.utterances
                          for syllable in utterance.syllables)
    never = [syllable for syllable in said if not in_training[syllable]]
    row = table_of(page, "Error rate by the count").get("0", {"different syllables": "0"})
    assert row["different syllables"] == str(len(never))
    assert f"{len(train)} utterances of mini train" in page


def test_utterances_outside_the_vocabulary_have_a_row_of_their_own(make_page, dev):
    outside = next(item for item in ("den4", "kei3", "lo2") if item not in VOCABULARY)
    utterances = [dev.utterances[0]._replace(pinyin=outside), *dev.utterances[1:]]
    split = replace(dev, utterances=utterances)
    page = make_page({**spoken(dev), 0: "shi4"}, split)
    rates = table_of(page, "Error rates")
    assert rates["all"]["number"] == "4" and rates["without OOV"]["number"] == "3"
    assert rates["all"]["substituted"] == "1"
    assert rates["without OOV"]["toned syllables"] == "0.0%"
    assert "without OOV" not in table_of(make_page(spoken(dev)), "Error rates")


# What training heard


def test_training_is_counted(small_mini):
    training = count_training({}, ["mini/dev", "mini"])
    expected = Counter(syllable for name in ("train", "dev")
                       for utterance in open_split("mini", name).utterances
                       for syllable in utterance.syllables)
    assert training.counts == expected and training.named == ["mini/dev", "mini"]
    source = count_training({"corpus": "mini"}).source
    assert source == "12 utterances of mini train (labels: written for the tests)"


@pytest.mark.parametrize("facts, reason", [
    ({}, "does not say"), ({"corpus": "audio-cmn"}, "audio-cmn is not prepared"),
    ({"corpus": "lost"}, "no corpus 'lost'"),
    ({"corpus": "mini+espeak"}, "espeak is not prepared: run `ramospeech prepare espeak`"),
])
def test_what_training_heard_is_not_guessed(make_page, small_mini, facts, reason):
    training = count_training(facts)
    assert training.counts is None and reason in training.source
    page = make_page({0: "shi4"}, training=training)
    assert "Unknown: " in page and "count in training" not in page


@pytest.mark.parametrize("name", ["lost", "mini/lost", "audio-cmn"])
def test_what_the_reader_names_must_be_there(small_mini, name):
    with pytest.raises(CorpusError):
        count_training({"corpus": "mini"}, ["mini", name])


# Sound and picture


def decoded(uri: str) -> tuple[str, io.BytesIO]:
    kind, data = uri.removeprefix("data:").split(";base64,")
    return kind, io.BytesIO(b64decode(data, validate=True))


def test_the_sound_is_what_the_model_was_given(make_page, dev):
    page = make_page({2: "shi4"})
    (player,) = soup(page).find_all("audio")
    kind, file = decoded(player["src"])
    samples, rate = soundfile.read(file, dtype="float32")
    assert kind == "audio/flac" and rate == 16_000
    assert np.abs(samples - load_audio(dev.audio_path(2)).numpy()).max() <= 2 ** -15


def test_too_loud_a_sound_is_cut_not_wrapped():
    """Resampling may overshoot full scale."""
    samples, _ = soundfile.read(decoded(embed_sound(torch.tensor([1.5, -1.5, 0.5])))[1])
    assert samples.tolist() == pytest.approx([1, -1, 0.5], abs=2 ** -15)


def test_the_picture_has_a_pixel_for_each_frame_and_bin():
    levels = torch.zeros(40, 200)
    levels[20:, 150:] = 5.0  # loud and high, in the second half
    kind, file = decoded(embed_spectrogram(levels))
    pixels = imread(file, format="jpg")  # (bins, frames, colours)
    brightness = pixels.astype(float).sum(axis=-1)
    assert kind == "image/jpeg" and brightness.shape == (200, 40)
    assert brightness[:45, 22:].min() > brightness[55:].max()  # the first row is the highest bin
    assert brightness[:45, 22:].min() > brightness[:, :18].max()


# The forced alignment


def best_path(log_probs: torch.Tensor, classes: list[int]) -> list[int]:
    """Viterbi over the labels with blanks between them, plainly; the frame at which each begins."""
    states = [0, *(state for label in classes for state in (label, 0))]
    paths = {number: (log_probs[0, states[number]].item(), [number]) for number in (0, 1)}
    for frame in log_probs[1:]:
        following = {}
        for number in range(len(states)):
            sources = [number, number - 1]
            if number > 1 and states[number] not in (0, states[number - 2]):
                sources.append(number - 2)
            found = max((paths[source] for source in sources if source in paths), default=None)
            if found:
                following[number] = (found[0] + frame[states[number]].item(), [*found[1], number])
        paths = following
    _, path = max(paths[number] for number in (len(states) - 2, len(states) - 1) if number in paths)
    return [path.index(2 * number + 1) for number in range(len(classes))]


def test_the_forced_alignment_is_the_best_path(model, dev):
    waveform = load_audio(dev.audio_path(0))
    features, lengths = extract_features(waveform[None], torch.tensor([len(waveform)]))
    with torch.no_grad():
        log_probs = model(features, lengths)[0].log_softmax(dim=-1)
    for text in ("ma1", "shi4 shi4", "ni3 hao3 ma", "hao3 hao3 hao3 de"):
        said_at = force_alignment(text.split(), waveform, model, VOCABULARY)
        frames = best_path(log_probs, VOCABULARY.encode(text.split()))
        assert said_at == pytest.approx([(frame + 0.5) * OUTPUT_SECONDS for frame in frames])


def test_syllables_are_aligned_as_ace_writes_them(dev):
    """Each in a frame of its own, the same twice in neighbouring frames too; by trying them all."""
    torch.manual_seed(1)
    model = AcousticModel.from_preset("lesson", len(VOCABULARY), loss="ace").eval()
    waveform = load_audio(dev.audio_path(0))
    features, lengths = extract_features(waveform[None], torch.tensor([len(waveform)]))
    with torch.no_grad():
        scores = model(features, lengths)[0].log_softmax(dim=-1)  # (T, classes)
    for text in ("ma1", "shi4 shi4", "ni3 hao3 ma", "hao3 hao3 hao3"):
        classes = VOCABULARY.encode(text.split())
        best = max(combinations(range(len(scores)), len(classes)), key=lambda frames: sum(
            float(scores[frame, label] - scores[frame, 0]) for frame, label in zip(frames, classes)))
        said_at = force_alignment(text.split(), waveform, model, VOCABULARY)
        assert said_at == pytest.approx([(frame + 0.5) * OUTPUT_SECONDS for frame in best], abs=0.006)
    crowd = ["ma1"] * len(scores)  # one a frame is the most
    assert len(force_alignment(crowd, waveform, model, VOCABULARY)) == len(crowd)
    assert force_alignment([*crowd, "ma1"], waveform, model, VOCABULARY) is None


def test_what_cannot_be_aligned_has_no_times(model, dev):
    waveform = load_audio(dev.audio_path(0))
    frames = (len(waveform) // 160 - 2) // 8
    assert force_alignment(["ma1"] * frames, waveform, model, VOCABULARY) is None
    small = Vocabulary((PAD, UNK, "ma1"))
    assert force_alignment(["ma1", "ma3"], waveform, model, small) is None
