"""Draw the figures of docs/how-low-can-it-go.md.

    ramospeech prepare audio-cmn --root DIR
    python docs/draw_figures.py

Reads the shipped models, and the curves of training runs (runs/NAME/tensorboard).
"""

from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torchaudio.functional import resample

from ramospeech.audio.features import log_spectrogram
from ramospeech.audio.io import SAMPLE_RATE, load_audio
from ramospeech.audio.pitch import track_pitch
from ramospeech.audio.splicing import splice
from ramospeech.config.paths import SHIPPED_MODEL, data_dir
from ramospeech.data.corpora import open_split
from ramospeech.data.recipes.ttskit import find_wheel
from ramospeech.data.tts.ttskit import TTS_SAMPLE_RATE, Synthesiser, voice
from ramospeech.evaluation.error_analysis import error_by_training_count
from ramospeech.evaluation.evaluate import recognise_split
from ramospeech.models.checkpoints import load_model
from ramospeech.notebook.plots import draw_spectrogram

FOLDER = Path(__file__).parent
MODELS = {"one voice": SHIPPED_MODEL.with_name("one-voice.safetensors"), "shipped": SHIPPED_MODEL}
CURVES = {"one-voice": "one voice", "many-voices": "many voices", "full": "many voices, full model"}
SPEAKERS = ("Aiwei", "Aina", "Aiyue", "Aida")
SPEAKER_SPLITS = {"Chen Wang": "syllables-dev", "Yue Tan": "train"}
PARTS, WHOLE = ("绿", "月"), "略"  # lv4 and yue4; lve4


def main() -> None:
    draw_splicing()
    draw_training_counts()
    draw_curves()
    draw_voices()
    draw_edges()


def draw_splicing() -> None:
    """Draw the beginning of one word, the end of another, the two spliced, and a real recording."""
    words = open_split("audio-cmn", "train")
    places = {utterance.hanzi: index for index, utterance in enumerate(words.utterances)}
    beginning, end, whole = (load_audio(words.audio_path(places[word])) for word in (*PARTS, WHOLE))
    panels = {"lv4": beginning, "yue4": end, "lve4, spliced": splice(beginning, end),
                "lve4, spoken": whole}
    figure, axes = plt.subplots(1, 4, figsize=(10, 2.6), sharey=True, layout="constrained")
    for axis, (title, waveform) in zip(axes, panels.items()):
        draw_spectrogram(axis, log_spectrogram(waveform), limits=(-6, 4))
        axis.set(title=title, ylabel="kHz" if axis is axes[0] else "")
    figure.savefig(FOLDER / "splicing.png", dpi=110)


def draw_training_counts() -> None:
    """Draw the error rate on dev words by how often a syllable occurred in training."""
    words, dev = open_split("audio-cmn", "train"), open_split("audio-cmn", "dev")
    counts = Counter(syllable for utterance in words.utterances for syllable in utterance.syllables)
    figure, axis = plt.subplots(figsize=(8, 3), layout="constrained")
    for offset, (name, path) in zip((-0.2, 0.2), MODELS.items()):
        model, vocabulary, _ = load_model(path)
        pairs = [(dev.utterances[index].syllables, result.syllables)
                 for index, result in recognise_split(model, vocabulary, dev)]
        groups = error_by_training_count(pairs, counts)
        print(name, *(f"{group.label}: {group.rate:.1%} of {group.syllables}" for group in groups),
              sep="; ")
        axis.bar([place + offset for place in range(len(groups))],
                 [100 * group.rate for group in groups], width=0.4, label=name)
    axis.set_xticks(range(len(groups)), [group.label for group in groups])
    axis.set(xlabel="occurrences of the syllable in the training words", ylabel="% not recognised")
    axis.legend()
    figure.savefig(FOLDER / "training-counts.png", dpi=110)


def draw_curves() -> None:
    """Draw the error rate on dev, epoch by epoch."""
    figure, axis = plt.subplots(figsize=(8, 3), layout="constrained")
    for name, label in CURVES.items():
        # Runs that continued with other data restarted their step count: keep all of their steps.
        curve = EventAccumulator(f"runs/{name}/tensorboard", purge_orphaned_data=False).Reload()
        rates = [100 * event.value for event in curve.Scalars("syllable_error_rate/dev")]
        axis.plot(range(1, len(rates) + 1), rates, marker=".", label=label)
    axis.set(xlabel="epoch", ylabel="toned-syllable error, %", yscale="log", ylim=(5, 105))
    axis.set_yticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"], minor=False)
    axis.minorticks_off()
    axis.grid(axis="y", alpha=0.3)
    axis.legend()
    figure.savefig(FOLDER / "curves.png", dpi=110)


def draw_voices() -> None:
    """Draw the pitch of the four tones over time, by some of ttskit's voices."""
    synthesiser = Synthesiser(find_wheel(data_dir() / "ttskit" / "recordings"))
    figure, axes = plt.subplots(1, 4, figsize=(10, 2.6), sharey=True, layout="constrained")
    for tone, axis in enumerate(axes, start=1):
        for name in SPEAKERS:
            [waveform] = synthesiser.speak([f"ma{tone}"], [voice(name)], seed=1)
            pitch = track_pitch(resample(waveform, TTS_SAMPLE_RATE, SAMPLE_RATE))
            axis.plot([frame / 100 for frame in range(len(pitch))], pitch, ".", label=name)
        axis.set(title=f"ma{tone}", xlabel="s", ylabel="Hz" if tone == 1 else "", yscale="log")
        axis.set_yticks([100, 150, 200, 300], ["100", "150", "200", "300"], minor=False)
        axis.minorticks_off()
    axes[0].legend(fontsize="x-small")
    figure.savefig(FOLDER / "voices.png", dpi=110)


def draw_edges() -> None:
    """Draw the same syllables by the second speaker (from those for choosing) and by the first."""
    figure, axes = plt.subplots(2, 4, figsize=(10, 4.6), sharey=True, layout="constrained")
    for row, (speaker, split) in zip(axes, SPEAKER_SPLITS.items()):
        recordings = open_split("audio-cmn", split)
        places = {item.pinyin: index for index, item in enumerate(recordings.utterances)}
        for axis, syllable in zip(row, ("ma2", "na4", "bu4", "di2")):
            waveform = load_audio(recordings.audio_path(places[syllable]))
            draw_spectrogram(axis, log_spectrogram(waveform), limits=(-6, 4))
            axis.set(title=f"{syllable}, {speaker}", ylabel="kHz" if axis is row[0] else "")
    figure.savefig(FOLDER / "edges.png", dpi=110)


if __name__ == "__main__":
    main()
