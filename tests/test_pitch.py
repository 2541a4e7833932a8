"""The pitch tracker against tones whose pitch is known."""

import pytest
import torch

from ramospeech.audio.io import SAMPLE_RATE
from ramospeech.audio.pitch import track_pitch

SECONDS = torch.arange(SAMPLE_RATE) / SAMPLE_RATE


@pytest.mark.parametrize("hertz", [75, 100, 131, 220, 333, 480])
def test_steady_tones(hertz):
    pure = torch.sin(2 * torch.pi * hertz * SECONDS)
    rich = 2 * ((hertz * SECONDS) % 1) - 1  # a saw tooth holds every multiple of the pitch
    poor = sum(torch.sin(2 * torch.pi * k * hertz * SECONDS) for k in (2, 3, 4))  # without it
    for tone in (pure, rich, poor):
        pitch = track_pitch(tone)
        assert pitch.shape == ((SAMPLE_RATE - 640) // 160 + 1,)
        assert (pitch / hertz - 1).abs().max() < 0.01


def test_a_glide_is_followed():
    rising = 150 + 100 * SECONDS  # hertz
    phase = torch.cumsum(rising, 0) / SAMPLE_RATE
    pitch = track_pitch(torch.sin(2 * torch.pi * phase) + torch.sin(4 * torch.pi * phase))
    centres = (torch.arange(len(pitch)) + 2) / 100  # seconds
    assert (pitch - (150 + 100 * centres)).abs().max() < 3


def test_loudness_does_not_matter():
    tone = torch.sin(2 * torch.pi * 200 * SECONDS)
    torch.testing.assert_close(track_pitch(tone * 1e-3 + 0.2), track_pitch(tone), rtol=1e-3, atol=0)


def test_what_has_no_voice_has_no_pitch():
    noise = torch.randn(SAMPLE_RATE, generator=torch.Generator().manual_seed(2019))
    assert track_pitch(noise).isnan().all()
    assert track_pitch(torch.zeros(SAMPLE_RATE)).isnan().all()
    half = torch.sin(2 * torch.pi * 200 * SECONDS) * (SECONDS < 0.5)
    assert track_pitch(half)[:40].isfinite().all() and track_pitch(half)[52:].isnan().all()


def test_less_than_a_frame_is_refused():
    assert track_pitch(torch.ones(640)).shape == (1,)
    with pytest.raises(ValueError, match="639 samples"):
        track_pitch(torch.ones(639))
