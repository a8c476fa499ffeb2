"""The encoder family."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from prism_bench.prism.component import Component
from prism_bench.prism.data.split import Ids
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels

Vectors = npt.NDArray[np.float32]
Embed = Callable[[Pixels], Vectors]
"""uint8 [n, 3, R, R] -> float32 [n, d], finite; the batch size does not matter beyond rounding."""
EmbedTexts = Callable[[Sequence[str]], Vectors]
"""n texts -> float32 [n, d], in the space of the images."""


@dataclass(frozen=True, kw_only=True)
class Encoder(Component, family="encoder"):
    """A frozen map from full images to vectors.

    Construction does no work and reads no file; `check` says early whether `load` can succeed.
    """

    fitted: ClassVar[bool] = False
    """True where the encoder is fitted on the retrieval set D (and on D alone)."""
    batch: ClassVar[int] = 64
    """Images per call of the network; bounds the memory."""
    features: ClassVar[int | None] = None
    """The length of the vectors where it is known before loading."""

    def fitted_on(self, retrieval: Ids) -> Ids:
        """Those images of D that a fitted encoder looks at, of which `load` is given the pixels."""
        return retrieval

    @property
    def weights_sha256(self) -> str | None:
        """Checksum of the weights, part of every fingerprint; None for an encoder without weights."""
        return None

    def check(self) -> None:
        """Raise InputError, with the remedy, where the weights are missing or of a wrong checksum."""

    def at_hand(self) -> bool:
        """Whether `load` needs nothing from a network."""
        return True

    @abstractmethod
    def load(self, gallery: Pixels | None, device: str) -> Embed:
        """The ready encoder. `gallery` is the images of D, uint8 [n, 3, R, R], for a fitted encoder."""

    def load_texts(self, device: str) -> EmbedTexts:
        """The same for texts; InputError for an encoder that knows none."""
        raise InputError(f"the encoder {self.name} knows no text; a prompt needs a run that retrieves with clip")

    @property
    def frechet_name(self) -> tuple[str, str]:
        """Name and label of the Fréchet distance through this encoder; FID means clean-fid's Inception alone."""
        return f"fd_{self.slug}", f"FD ({self.name})"

    @property
    def slug(self) -> str:
        """The name in metric names: letters, digits and underscores."""
        return self.name.replace("-", "_")
