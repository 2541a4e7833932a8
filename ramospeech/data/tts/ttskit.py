"""Speech from pinyin by ttskit's two networks: a Tacotron 2 of many voices, and a MelGAN.

They sound like people rather than robots, but make mistakes. Only the weights in ttskit's wheel are
used; torchaudio and this file run them, because ttskit's own code needs the PyTorch of 2020.

Shen et al. 2018, "Natural TTS synthesis by conditioning WaveNet on mel spectrogram predictions";
Kumar et al. 2019, "MelGAN: generative adversarial networks for conditional waveform synthesis".
"""

import hashlib
import io
import pickle
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.weight_norm import WeightNorm
from torchaudio.models import Tacotron2

from ramospeech.language.pinyin import split_syllable

__all__ = ["MAX_FRAMES_PER_SYLLABLE", "TTS_SAMPLE_RATE", "MelGan", "SpeakingTacotron", "Synthesiser",
           "can_say", "encode", "fold_norms", "read_weights", "voice"]

TTS_SAMPLE_RATE = 22_050  # hertz
HOP_SAMPLES = 256  # of the mel spectrogram
MAX_FRAMES_PER_SYLLABLE = 70  # 0.8 s: a longer syllable means that attention has failed
SILENCE = -11.5  # log mel spectrogram of silence
MODELS = "ttskit/resource/model"  # a folder in the wheel

# The input symbols, in the network's order; a syllable is initial, final, tone and "-".
SYMBOLS = """_ ~ - aa b c ch d ee f g h ii j k l m n oo p q r s sh t uu vv x z zh
    a ai an ang ao e ei en eng er i ia ian iang iao ie in ing iong iu ix iy iz o ong ou
    u ua uai uan uang ueng ui un uo v van ve vn ng uong 1 2 3 4 5""".split()
FINALS = {"uei": "ui", "uen": "un", "iou": "iu", "io": "o"}
APICAL_VOWELS = {"z": "iy", "c": "iy", "s": "iy", "zh": "ix", "ch": "ix", "sh": "ix", "r": "iz"}


class Synthesiser:
    """Text to waveform by both networks."""

    def __init__(self, wheel: Path) -> None:
        """Read the weights from ttskit's wheel. Raises ValueError if it is another file."""
        self.speaker = SpeakingTacotron().eval()
        self.speaker.load_state_dict(read_weights(wheel, "mellotron.kuangdd-mspk.pt"))
        self.vocoder = MelGan().eval()
        self.vocoder.load_state_dict(fold_norms(read_weights(wheel, "melgan.kuangdd.pt")))

    @torch.inference_mode()
    def speak(self, texts: Sequence[str], voices: Sequence[Tensor], seed: int) -> list[Tensor]:
        """Synthesise texts of toned pinyin with equally many syllables, each in its own voice.

        `voices` are `(32,)` each, from `voice()`, or mixtures of these. Returns waveforms
        `(samples,)`, 22,050 Hz, within -1 and 1; empty if the network found no end. The dropout of
        Tacotron 2 is active in synthesis, hence `seed`: the same arguments give the same
        waveforms. Raises ValueError for a syllable without symbols.
        """
        symbols = torch.tensor([encode(text) for text in texts])  # (batch, symbols)
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            mels = self.speaker(symbols, torch.stack(list(voices)))
        return [self.vocoder(mel) for mel in mels]


class SpeakingTacotron(nn.Module):
    """A Tacotron 2 whose decoder gets the speaker's embedding with every symbol."""

    def __init__(self) -> None:
        super().__init__()
        sizes = dict(n_symbol=145, symbol_embedding_dim=256, decoder_rnn_dim=512, prenet_dim=128,
                     attention_rnn_dim=512, attention_hidden_dim=64, attention_location_n_filter=16,
                     postnet_embedding_dim=256)
        encoding, decoding = (Tacotron2(encoder_embedding_dim=width, **sizes) for width in (256, 288))
        self.embedding, self.encoder = encoding.embedding, encoding.encoder
        self.decoder, self.postnet = decoding.decoder, decoding.postnet
        self.speaker_embedding = nn.Linear(32, 32)

    def forward(self, symbols: Tensor, voices: Tensor) -> list[Tensor]:
        """`(batch, symbols)` and `(batch, 32)` to mel spectrograms, `(80, frames)` each."""
        batch, length = symbols.shape
        lengths = torch.full((batch,), length)
        texts = self.encoder(self.embedding(symbols).transpose(1, 2), lengths)
        speakers = self.speaker_embedding(voices)[:, None].expand(-1, length, -1)
        self.decoder.decoder_max_step = max_frames = MAX_FRAMES_PER_SYLLABLE * (length // 4)
        with warnings.catch_warnings(action="ignore"):  # about reaching this maximum
            mels, frames, _, _ = self.decoder.infer(torch.cat([texts, speakers], 2), lengths)
        mels = mels + self.postnet(mels)  # (batch, 80, frames)
        return [mel[:, :count] if count < max_frames else mel[:, :0]
                for mel, count in zip(mels, frames.tolist())]


class MelGan(nn.Module):
    """A mel spectrogram to a waveform: upsampled four times, each time with a residual stack."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.ReflectionPad1d(3), nn.Conv1d(80, 512, 7)]
        for channels, factor in ((256, 8), (128, 8), (64, 2), (32, 2)):
            layers += [nn.LeakyReLU(0.2), nn.ConvTranspose1d(
                2 * channels, channels, 2 * factor, factor, padding=factor // 2),
                ResidualStack(channels)]
        layers += [nn.LeakyReLU(0.2), nn.ReflectionPad1d(3), nn.Conv1d(32, 1, 7), nn.Tanh()]
        self.generator = nn.Sequential(*layers)

    def forward(self, mel: Tensor) -> Tensor:
        """`(80, frames)` to `(256 x frames,)`; padding with silence avoids a click at the end."""
        if mel.shape[1] == 0:
            return torch.zeros(0)
        quiet = nn.functional.pad(mel, (0, 10), value=SILENCE)
        samples = self.generator((quiet[None] + 5) / 5).flatten()
        return samples[:mel.shape[1] * HOP_SAMPLES]


class ResidualStack(nn.Module):
    """Convolutions with dilation 1, 3 and 9."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(
            nn.LeakyReLU(0.2), nn.ReflectionPad1d(dilation),
            nn.Conv1d(channels, channels, 3, dilation=dilation),
            nn.LeakyReLU(0.2), nn.Conv1d(channels, channels, 1)) for dilation in (1, 3, 9))
        self.shortcuts = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in range(3))

    def forward(self, hidden: Tensor) -> Tensor:  # (batch, channels, steps)
        for block, shortcut in zip(self.blocks, self.shortcuts):
            hidden = shortcut(hidden) + block(hidden)
        return hidden


def voice(name: str) -> Tensor:
    """ttskit's speaker vector: the hex digits of the name's MD5, `(32,)`, from -0.7 to 0.8."""
    digits = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return (torch.tensor([int(digit, 16) for digit in digits]).float() - 7) / 10


def encode(text: str) -> list[int]:
    """Toned pinyin as indices of symbols, four per syllable, and an end.

    Raises ValueError for a syllable without symbols, such as `hm`.
    """
    symbols = [symbol for syllable in text.split() for symbol in _parts(syllable)]
    return [SYMBOLS.index(symbol) for symbol in (*symbols, "~", "_")]


def can_say(syllable: str) -> bool:
    """Whether the syllable has a vowel: `hm` has no symbols."""
    return bool(set(syllable) & set("aeiouv"))


def _parts(syllable: str) -> tuple[str, str, str, str]:
    initial, final, tone = split_syllable(syllable)
    if initial in APICAL_VOWELS and final == "i":
        final = APICAL_VOWELS[initial]
    if not can_say(syllable):
        raise ValueError(f"ttskit cannot say {syllable!r}")
    return initial or final[0] * 2, FINALS.get(final, final), str(tone), "-"


class _Placeholder(nn.Module):
    """Replaces ttskit's own classes: only their weights are read."""


_TTSKIT_CLASSES = """mellotron.layers.ConvNorm mellotron.layers.LinearNorm mellotron.model.Attention
    mellotron.model.Decoder mellotron.model.Encoder mellotron.model.LocationLayer
    mellotron.model.Postnet mellotron.model.Prenet mellotron.model.Tacotron2
    melgan.model.generator.Generator melgan.model.res_stack.ResStack""".split()
_TORCH_CLASSES = [
    WeightNorm, nn.BatchNorm1d, nn.Conv1d, nn.ConvTranspose1d, nn.Embedding, nn.LeakyReLU, nn.Linear,
    nn.LSTM, nn.LSTMCell, nn.ModuleList, nn.ReflectionPad1d, nn.Sequential, nn.Tanh]


def read_weights(wheel: Path, name: str) -> dict[str, Tensor]:
    """Read a network's weights from the wheel, without running its code. Raises ValueError."""
    try:
        with zipfile.ZipFile(wheel) as files:
            content = io.BytesIO(files.read(f"{MODELS}/{name}"))
        allowed: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
            *_TORCH_CLASSES, *((_Placeholder, theirs) for theirs in _TTSKIT_CLASSES)]
        with torch.serialization.safe_globals(allowed):
            network = torch.load(content, map_location="cpu", weights_only=True)
    except (OSError, KeyError, zipfile.BadZipFile, RuntimeError, pickle.UnpicklingError) as error:
        raise ValueError(f"{wheel}: no {name} of ttskit in it ({error})") from None
    return {key.replace(".conv.", ".").replace(".linear_layer.", "."): value
            for key, value in network.state_dict().items()}


def fold_norms(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replace weight normalisation, `_v` and `_g`, by plain weights (Salimans and Kingma 2016)."""
    folded = {key: value for key, value in weights.items() if key[-2:] not in ("_g", "_v")}
    for key, direction in weights.items():
        if key.endswith("_v"):
            length = weights[key.removesuffix("v") + "g"]  # (filters, 1, 1)
            folded[key.removesuffix("_v")] = \
                direction * (length / direction.norm(dim=(1, 2), keepdim=True))
    return folded
