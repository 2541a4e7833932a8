"""What figures draw, in a few numbers: pictures differ with fonts and versions, these do not.

Run in a notebook's kernel: `watch()` at first, `figures` at last.
"""

import matplotlib.pyplot as plt
import numpy as np
from IPython import get_ipython

PARTS = 6  # an array is cut into so many parts in each direction; of each part the mean is kept
figures: list[dict] = []


def watch() -> None:
    """Note what is on every figure that is shown from now on, and in which cell."""
    show = plt.show

    def note_and_show(*args, **kwargs):
        axes = [axis for number in plt.get_fignums() for axis in plt.figure(number).axes]
        figures.append({"cell": get_ipython().execution_count, "axes": list(map(describe, axes))})
        return show(*args, **kwargs)

    plt.show = note_and_show


def describe(axis) -> dict:
    """The words of one pair of axes, and what its lines, pictures and bars are made of."""
    return {
        "words": [axis.get_title(), axis.get_xlabel(), axis.get_ylabel(),
                  *sorted(text.get_text() for text in axis.texts)],
        "lines": [[means(line.get_xdata()), means(line.get_ydata())] for line in axis.lines],
        "pictures": [means(image.get_array()) for image in axis.images],
        "bars": means([bar.get_height() for bar in axis.patches if hasattr(bar, "get_height")]),
    }


def means(values) -> dict:
    """The shape of an array, and the mean of each of its parts."""
    array: np.ndarray = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)
    parts = [array]
    for dimension in range(array.ndim):
        parts = [piece for part in parts for piece in np.array_split(part, PARTS, dimension)]
    return {"shape": list(array.shape),
            "means": [float(np.nanmean(part)) if np.isfinite(part).any() else None for part in parts]}
