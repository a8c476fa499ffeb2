"""The pickled batches in which CIFAR-10 and the downsampled ImageNet come, read without running what they hold."""

import io
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt

from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels

_REBUILD = np.empty(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _REBUILD,
    ("numpy._core.multiarray", "_reconstruct"): _REBUILD,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): lambda text, encoding="utf-8": text.encode(encoding),
}
"""What an array of numbers needs; anything else in such a file would be code."""


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no such batch needs") from None


def read_batch(data: bytes, where: str, side: int) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """The images, uint8 [n, 3, side, side], and labels, int64 [n], of one batch; rows are planes R, G, B.

    Raises:
        InputError: not such a batch, or one that holds code.
    """
    try:
        found = _Arrays(io.BytesIO(data), encoding="latin1").load()
        pixels, labels = np.asarray(found["data"]), np.asarray(found["labels"], np.int64)
        images: Pixels = pixels.reshape(-1, 3, side, side)
    except Exception as error:
        # A damaged pickle answers with many types: UnpicklingError, EOFError, KeyError, ValueError, ...
        raise InputError(
            f"{where} is not a batch of {side}x{side} images ({error or type(error).__name__}); fetch it again"
        ) from None
    if images.dtype != np.uint8 or labels.shape != (len(images),):
        raise InputError(f"{where} holds {images.dtype} {list(images.shape)} and {labels.size} labels; fetch it again")
    return images, labels
