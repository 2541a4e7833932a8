"""The acoustic model: a deep convolutional network (DFCNN), a bidirectional LSTM, and a linear layer
that scores 1,215 classes every 80 ms.

    features (batch, frames, 200)
      conv1..conv4      (batch, 128, frames // 8, 25)    local patterns of the spectrogram
      fc1               (batch, frames // 8, 128)        3,200 numbers per frame, projected
      rnn + fc2 + skip  (batch, frames // 8, 128)        with the context of all other frames
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

__all__ = ["AcousticModel", "output_count"]

REDUCTION = 8  # three poolings, each halving the number of frames


class AcousticModel(nn.Module):
    """DFCNN + BiLSTM + linear, as RamoSpeech defined it in 2019.

    `channels`: of the four convolution blocks. `width`: of the frames after `fc1`. `dropout`: before
    the LSTM and before `fc3`. `conv_dropout`: in the first two convolution blocks, doubled in the
    last two. `recurrent=False` omits `rnn` and `fc2`; a frame then sees at most half a second to
    either side. `subsampling`: number of neighbouring frames after `fc1` that are merged by their
    maximum. `loss`: the training loss, which determines the decoder.
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
            raise ValueError(f"no loss {loss!r}; choose {', '.join(LOSSES)}")
        self.recurrent, self.loss, self.subsampling = recurrent, loss, subsampling
        self.dropout = Dropout(dropout)
        first, second, third, fourth = channels
        self.conv1 = _early_block("conv1", 1, first, conv_dropout, bias=False)
        self.conv2 = _early_block("conv2", first, second, conv_dropout)
        self.conv3 = _third_block("conv3", second, third, 2 * conv_dropout)
        self.conv4 = _fourth_block("conv4", third, fourth, 2 * conv_dropout)
        self.fc1 = Linear(BINS // REDUCTION * fourth, width)
        if recurrent:
            self.fc2 = Linear(2 * width, width)
        self.fc3 = Linear(width, vocab_size)
        if recurrent:
            self.rnn = nn.LSTM(width, width, num_layers=rnn_layers, batch_first=True,
                               dropout=0.1 if rnn_layers > 1 else 0.0, bidirectional=True)
        # 1.5 times as fast on a CPU.
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    @classmethod
    def from_preset(
        cls, preset: str, vocab_size: int = 1215, recurrent: bool = True, loss: str = "ctc",
        subsampling: int = 1,
    ) -> "AcousticModel":
        """Build `full`, the model of 2019, or `lesson`, a small one of the same architecture."""
        if preset not in PRESETS:
            raise ValueError(f"no preset {preset!r}; choose {', '.join(PRESETS)}")
        return cls(vocab_size, **PRESETS[preset], recurrent=recurrent, loss=loss, subsampling=subsampling)

    def output_lengths(self, lengths: Count) -> Count:
        """Return the number of output frames for `lengths` input frames."""
        return output_count(lengths, self.subsampling)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Score every class at every output frame.

        `features` is `(batch, frames, 200)`, `lengths` `(batch,)` the frames of each utterance
        (default: all). Returns logits `(batch, T, vocab_size)`, where T is frames // 8, divided by
        `subsampling` and rounded up. Logits do not depend on the padding; those of the padding are
        undefined. Raises ValueError if an utterance has fewer than 8 frames.
        """
        lengths = _checked_lengths(features, lengths)
        frames = self.encode(features, lengths)  # (batch, frames // 8, width)
        if self.subsampling > 1:
            frames = _subsample(frames, lengths // REDUCTION, self.subsampling)
        if self.recurrent:
            context = self.look_around(self.dropout(frames), self.output_lengths(lengths))
            # The skip connection lets the convolutions learn before the LSTM does.
            frames = torch.relu(frames + self.fc2(context))
        return self.fc3(self.dropout(frames))

    def encode(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The convolutional part: `(batch, frames, 200)` to `(batch, frames // 8, width)`."""
        x = features.unsqueeze(1)  # (batch, 1, frames, 200): an image with one channel
        x = x.contiguous(memory_format=torch.channels_last)
        for block in (self.conv1, self.conv2, self.conv3, self.conv4):
            for layer in block:
                if isinstance(layer, Conv2d):
                    x = _zero_padding(x, lengths)
                elif isinstance(layer, MaxPool2d):
                    lengths = lengths // 2
                x = layer(x)
        x = x.transpose(1, 2).flatten(2)  # (batch, frames // 8, channels * 25)
        return torch.relu(self.fc1(x))

    def look_around(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Run the LSTM: `(batch, T, width)` to `(batch, T, 2 * width)`, past and future context."""
        with torch.autocast(frames.device.type, enabled=False):  # which would run the LSTM in float16
            frames = frames.to(self.fc2.weight.dtype)
            packed = pack_padded_sequence(
                frames, lengths.cpu(), batch_first=True, enforce_sorted=False
            )
            context, _ = pad_packed_sequence(
                self.rnn(packed)[0], batch_first=True, total_length=frames.shape[1]
            )
        return context


def output_count(lengths: Count, subsampling: int = 1) -> Count:
    """Return the number of output frames of a model with `subsampling` for `lengths` input frames."""
    return (lengths // REDUCTION + subsampling - 1) // subsampling


def _subsample(frames: Tensor, lengths: Tensor, subsampling: int) -> Tensor:
    """Max-pool over `subsampling` frames; `frames` is `(batch, T, width)`, not negative."""
    is_padding = torch.arange(frames.shape[1], device=frames.device) >= lengths[:, None]  # (batch, T)
    x = frames.masked_fill(is_padding[:, :, None], 0).transpose(1, 2)  # (batch, width, T)
    return max_pool1d(x, subsampling, ceil_mode=True).transpose(1, 2)


def _early_block(name: str, inputs: int, outputs: int, dropout: float, bias: bool = True) -> nn.Sequential:
    return _block(name, [
        ("conv1", _conv(inputs, outputs, bias)), ("norm1", BatchNorm2d(outputs)),
        ("relu1", ReLU()), ("dropout1", Dropout(dropout)),
        ("conv2", _conv(outputs, outputs)), ("norm2", BatchNorm2d(outputs)),
        ("relu2", ReLU()), ("maxpool", MaxPool2d(2)), ("dropout2", Dropout(dropout)),
    ])


def _third_block(name: str, inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return _block(name, [
        ("conv1", _conv(inputs, outputs)), ("relu1", ReLU()),
        ("dropout1", Dropout(dropout)), ("norm1", BatchNorm2d(outputs)),
        ("conv2", _conv(outputs, outputs)), ("norm2", BatchNorm2d(outputs)),
        ("relu2", ReLU()), ("maxpool", MaxPool2d(2)), ("dropout2", Dropout(dropout)),
    ])


def _fourth_block(name: str, inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return _block(name, [
        ("conv1", _conv(inputs, outputs)), ("norm1", BatchNorm2d(outputs)),
        ("relu1", ReLU()), ("dropout1", Dropout(dropout)),
        ("conv2", _conv(outputs, outputs)), ("relu2", ReLU()),
        ("conv3", _conv(outputs, outputs)), ("norm2", BatchNorm2d(outputs)),
        ("relu3", ReLU()), ("dropout2", Dropout(dropout)),
    ])


def _block(name: str, layers: list[tuple[str, nn.Module]]) -> nn.Sequential:
    return nn.Sequential(OrderedDict((f"{name}_{layer}", module) for layer, module in layers))


def _conv(inputs: int, outputs: int, bias: bool = True) -> Conv2d:
    return Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=bias)


def _checked_lengths(features: Tensor, lengths: Tensor | None) -> Tensor:
    batch, frames, bins = features.shape
    if bins != BINS:
        raise ValueError(f"expected features with {BINS} bins, found {bins}")
    if lengths is None:
        lengths = torch.full((batch,), frames, device=features.device)
    if lengths.min() < REDUCTION or lengths.max() > frames:
        raise ValueError(
            f"lengths must be between {REDUCTION} frames and the {frames} frames of the batch, "
            f"found {int(lengths.min())} to {int(lengths.max())}"
        )
    return lengths


def _zero_padding(x: Tensor, lengths: Tensor) -> Tensor:
    """Set the padding to zero; `x` is `(batch, C, frames, bins)`."""
    if int(lengths.min()) == x.shape[2]:
        return x
    is_padding = torch.arange(x.shape[2], device=x.device) >= lengths[:, None]  # (batch, frames)
    return x.masked_fill(is_padding[:, None, :, None], 0)
