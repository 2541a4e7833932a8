"""The acoustic model: a deep convolutional network (DFCNN), a deep bidirectional LSTM, and a linear
layer that scores 1,215 classes eighty milliseconds at a time.

    features (batch, frames, 200)
      conv1..conv4      (batch, 128, frames // 8, 25)    what a spectrogram shows, locally
      fc1               (batch, frames // 8, 128)        a frame's 3,200 numbers, in short
      rnn + fc2 + skip  (batch, frames // 8, 128)        seen in the light of all other frames
      fc3               (batch, frames // 8, 1215)       a score for every class
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import BatchNorm2d, Conv2d, Dropout, Linear, MaxPool2d, ReLU
from torch.nn.functional import max_pool1d
from torch.nn.utils import convert_conv2d_weight_memory_format
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ramospeech.audio.features import BINS, Count
from ramospeech.config.settings import LOSSES, PRESETS

REDUCTION = 8  # three poolings halve the frames three times


class AcousticModel(nn.Module):
    """DFCNN + BiLSTM + linear, as RamoSpeech defined it in 2019.

    `channels` are those of the four convolution blocks, `width` is that of the frames after `fc1`,
    `dropout` acts before the LSTM and before `fc3`, `conv_dropout` in the first two convolution
    blocks, twice as much of it in the last two. Not `recurrent`, it has neither `rnn` nor `fc2`,
    and a frame sees no more than half a second to either side. Of `subsampling` neighbouring frames after
    `fc1` it keeps one, the maximum of each number. `loss` is the one that it learns with, by which
    recognition chooses the decoder.
    """

    def __init__(
        self,
        vocab_size: int = 1215,
        channels: tuple[int, int, int, int] = (32, 64, 128, 128),
        width: int = 128,
        rnn_layers: int = 4,
        dropout: float = 0.5,
        conv_dropout: float = 0.1,
        recurrent: bool = True,
        loss: str = "ctc",
        subsampling: int = 1,
    ) -> None:
        super().__init__()
        if loss not in LOSSES:
            raise ValueError(f"no loss {loss!r}; there are {', '.join(LOSSES)}")
        self.recurrent, self.loss, self.subsampling = recurrent, loss, subsampling
        little, more = conv_dropout, 2 * conv_dropout
        first, second, third, fourth = channels
        self.dropout = Dropout(dropout)
        self.conv1 = _block("conv1", [
            ("conv1", _conv(1, first, bias=False)), ("norm1", BatchNorm2d(first)),
            ("relu1", ReLU()), ("dropout1", Dropout(little)),
            ("conv2", _conv(first, first)), ("norm2", BatchNorm2d(first)),
            ("relu2", ReLU()), ("maxpool", MaxPool2d(2)), ("dropout2", Dropout(little)),
        ])
        self.conv2 = _block("conv2", [
            ("conv1", _conv(first, second)), ("norm1", BatchNorm2d(second)),
            ("relu1", ReLU()), ("dropout1", Dropout(little)),
            ("conv2", _conv(second, second)), ("norm2", BatchNorm2d(second)),
            ("relu2", ReLU()), ("maxpool", MaxPool2d(2)), ("dropout2", Dropout(little)),
        ])
        self.conv3 = _block("conv3", [
            ("conv1", _conv(second, third)), ("relu1", ReLU()),
            ("dropout1", Dropout(more)), ("norm1", BatchNorm2d(third)),
            ("conv2", _conv(third, third)), ("norm2", BatchNorm2d(third)),
            ("relu2", ReLU()), ("maxpool", MaxPool2d(2)), ("dropout2", Dropout(more)),
        ])
        self.conv4 = _block("conv4", [
            ("conv1", _conv(third, fourth)), ("norm1", BatchNorm2d(fourth)),
            ("relu1", ReLU()), ("dropout1", Dropout(more)),
            ("conv2", _conv(fourth, fourth)), ("relu2", ReLU()),
            ("conv3", _conv(fourth, fourth)), ("norm2", BatchNorm2d(fourth)),
            ("relu3", ReLU()), ("dropout2", Dropout(more)),
        ])
        self.fc1 = Linear(BINS // REDUCTION * fourth, width)
        if recurrent:
            self.fc2 = Linear(2 * width, width)
        self.fc3 = Linear(width, vocab_size)
        if recurrent:
            self.rnn = nn.LSTM(width, width, num_layers=rnn_layers, batch_first=True,
                               dropout=0.1 if rnn_layers > 1 else 0.0, bidirectional=True)
        # Half as fast again on a CPU.
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    @classmethod
    def from_preset(
        cls, preset: str, vocab_size: int = 1215, recurrent: bool = True, loss: str = "ctc",
        subsampling: int = 1,
    ) -> "AcousticModel":
        """`full`, the model of 2019, or `lesson`, a small one of the same design."""
        if preset not in PRESETS:
            raise ValueError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
        return cls(vocab_size, **PRESETS[preset], recurrent=recurrent, loss=loss, subsampling=subsampling)

    def output_lengths(self, lengths: Count) -> Count:
        """How many output frames the model gives for `lengths` input frames."""
        return output_count(lengths, self.subsampling)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Score every class at every output frame.

        `features` is `(batch, frames, 200)`, `lengths` `(batch,)` the frames of each utterance
        (all of them if left out). Returns logits `(batch, frames // 8, vocab_size)`, with a subsampling
        that many times fewer, rounded up; those of an utterance do not depend on the padding behind it,
        those beyond its length mean nothing.
        Raises ValueError where an utterance has fewer than 8 frames.
        """
        lengths = _checked_lengths(features, lengths)
        frames = self.encode(features, lengths)  # (batch, frames // 8, width)
        if self.subsampling > 1:
            frames = _thin_out(frames, lengths // REDUCTION, self.subsampling)
        if self.recurrent:
            context = self.look_around(self.dropout(frames), self.output_lengths(lengths))
            # The skip lets the convolutions learn from the first step, before the LSTM is any use.
            frames = torch.relu(frames + self.fc2(context))
        return self.fc3(self.dropout(frames))

    def encode(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The convolutional part: `(batch, frames, 200)` to `(batch, frames // 8, width)`."""
        x = features.unsqueeze(1)  # (batch, 1, frames, 200): a picture of one channel
        x = x.contiguous(memory_format=torch.channels_last)
        for block in (self.conv1, self.conv2, self.conv3, self.conv4):
            for layer in block:
                if isinstance(layer, Conv2d):
                    x = _blank_padding(x, lengths)
                elif isinstance(layer, MaxPool2d):
                    lengths = lengths // 2
                x = layer(x)
        x = x.transpose(1, 2).flatten(2)  # (batch, frames // 8, channels * 25)
        return torch.relu(self.fc1(x))

    def look_around(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """The LSTM: `(batch, T, width)` to `(batch, T, 2 * width)`, past and future of a frame."""
        with torch.autocast(frames.device.type, enabled=False):  # it would run an LSTM in float16
            frames = frames.to(self.fc2.weight.dtype)
            packed = pack_padded_sequence(
                frames, lengths.cpu(), batch_first=True, enforce_sorted=False
            )
            context, _ = pad_packed_sequence(
                self.rnn(packed)[0], batch_first=True, total_length=frames.shape[1]
            )
        return context


def output_count(lengths: Count, subsampling: int = 1) -> Count:
    """How many output frames a model of a subsampling gives for `lengths` input frames."""
    return (lengths // REDUCTION + subsampling - 1) // subsampling


def _thin_out(frames: Tensor, lengths: Tensor, subsampling: int) -> Tensor:
    """The maximum of each `subsampling` frames; `frames` is `(batch, T, width)`, none below zero."""
    behind = torch.arange(frames.shape[1], device=frames.device) >= lengths[:, None]  # (batch, T)
    x = frames.masked_fill(behind[:, :, None], 0).transpose(1, 2)  # (batch, width, T)
    return max_pool1d(x, subsampling, ceil_mode=True).transpose(1, 2)


def _block(name: str, layers: list[tuple[str, nn.Module]]) -> nn.Sequential:
    return nn.Sequential(OrderedDict((f"{name}_{layer}", module) for layer, module in layers))


def _conv(inputs: int, outputs: int, bias: bool = True) -> Conv2d:
    return Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=bias)


def _checked_lengths(features: Tensor, lengths: Tensor | None) -> Tensor:
    batch, frames, bins = features.shape
    if bins != BINS:
        raise ValueError(f"expected features of {BINS} bins, found {bins}")
    if lengths is None:
        lengths = torch.full((batch,), frames, device=features.device)
    if lengths.min() < REDUCTION or lengths.max() > frames:
        raise ValueError(
            f"lengths must lie between {REDUCTION} frames and the {frames} of the batch, "
            f"found {int(lengths.min())} to {int(lengths.max())}"
        )
    return lengths


def _blank_padding(x: Tensor, lengths: Tensor) -> Tensor:
    """Set to zero what lies beyond each utterance's length; `x` is `(batch, C, frames, bins)`."""
    if int(lengths.min()) == x.shape[2]:
        return x
    behind = torch.arange(x.shape[2], device=x.device) >= lengths[:, None]  # (batch, frames)
    return x.masked_fill(behind[:, None, :, None], 0)
