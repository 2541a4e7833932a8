"""Another processor, played: what PyTorch computes comes out with other last bits.

Run in a notebook's kernel. Processors add in another order, or multiply and add in one step; so the
results of one and the same operation differ by a few units in the last place, and are the same
whenever the operation is done again. What hangs on these bits shows.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

UNITS = 4  # in the last place, at most
INEXACT = {
    "mm", "addmm", "bmm", "baddbmm", "mv", "dot", "convolution", "_fft_r2c", "_fft_c2r", "_fft_c2c", "sum",
    "mean", "std", "var", "var_mean", "linalg_vector_norm", "exp", "log", "log1p", "logsumexp", "_softmax",
    "_log_softmax", "sigmoid", "tanh", "cos", "sin", "sqrt", "pow", "div", "cumsum", "native_batch_norm",
    "mkldnn_rnn_layer", "lstm",
}


class LastBits(TorchDispatchMode):
    """Shakes the result of every inexact operation while it is entered."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        if operation.overloadpacket.__name__ not in INEXACT:
            return result
        if any(item.alias_info for item in operation._schema.returns):  # in place, or into `out`
            return result
        return tuple(map(shaken, result)) if isinstance(result, tuple) else shaken(result)


def shaken(value):
    """A tensor of floats with other last bits, always the same for one shape; anything else as it is."""
    if not isinstance(value, torch.Tensor) or not (value.is_floating_point() or value.is_complex()):
        return value
    real = value.real.dtype if value.is_complex() else value.dtype
    generator = torch.Generator().manual_seed(value.numel())
    noise = torch.rand(value.shape, generator=generator, dtype=real) * 2 - 1
    return value * (1 + UNITS * torch.finfo(real).eps * noise)
