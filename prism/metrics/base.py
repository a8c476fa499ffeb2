"""The metric family: what a metric is given, what it answers, and what makes two of its values comparable."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from prism.component import Component, digest_of
from prism.data.base import Dataset
from prism.encoders.base import Encoder, Vectors
from prism.encoders.efficientnet import EfficientNetLite0
from prism.errors import ComputeError, InputError
from prism.images import Pixels

Better = Literal["lower", "higher"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that a metric may look at.

    generated: uint8 [n, 3, R, R]. reference: uint8 [m, 3, R, R], real images. dataset: where the real ones come from.
    generated_features, reference_features: float32 [n, d] and [m, d] by the metric's encoder; None where it has none.
    """

    generated: Pixels
    reference: Pixels
    dataset: Dataset
    generated_features: Vectors | None = None
    reference_features: Vectors | None = None


class Value(NamedTuple):
    """One number of one metric, with what a table must say about it.

    name: letters, digits, underscores; with an encoder, its slug is part of it. value: finite.
    n, reference_n: images looked at; reference_n is 0 where the metric looks at no reference.
    better: the direction. label: for people. unit: of `value`, "" where it has none.
    """

    name: str
    value: float
    n: int
    reference_n: int
    better: Better
    label: str
    unit: str


@dataclass(frozen=True, kw_only=True)
class Metric(Component, family="metric"):
    """A map from evidence to values. Members derive from FeatureMetric or ImageMetric."""

    version: ClassVar[int] = 1
    """Raise it with any change of the code that changes a value: it is part of the fingerprint."""
    min_samples: ClassVar[int] = 8
    """Below this many images (of either kind looked at) a metric refuses."""
    uses_reference: ClassVar[bool] = True
    """False where the values do not depend on the reference images."""

    @property
    @abstractmethod
    def encoder(self) -> Encoder | None:
        """Whose features the evidence must hold; None where the metric looks at the images alone."""

    @property
    def fewest(self) -> int:
        """Generated images needed, as far as it is known before there are any."""
        return self.min_samples

    def applies(self, dataset: Dataset) -> str | None:
        """Why this metric declines `dataset`, as the reason in a table's hole; None where it applies."""
        return None

    def compute(self, evidence: Evidence) -> tuple[Value, ...]:
        """The metric's values, each finite.

        Raises:
            InputError: fewer images than `min_samples`, or data that this metric declines.
            ComputeError: features that are missing, misshapen or not finite, or a value that is not finite.
        """
        reason = self.applies(evidence.dataset)
        if reason is not None:
            raise InputError(f"metric {self.name} does not apply to {evidence.dataset.name}: {reason}")
        self._check_sizes(evidence)
        values = self._values(evidence)
        for value in values:
            if not np.isfinite(value.value):
                raise ComputeError(f"{value.name} came out as {value.value}; the evidence may hold broken images")
        return values

    def fingerprint(self, n: int, reference_n: int, *, fitted_on: str = "") -> str:
        """16 hex characters; values of different fingerprints never share a column.

        Over the metric and its encoder with all their fields, the weights' sha256, both sample sizes and the code's
        version. `fitted_on`: the digest of the retrieval set, for an encoder that is fitted on it.
        """
        encoder = self.encoder
        return digest_of(
            {
                "metric": self.to_json(),
                "version": self.version,
                "encoder": None if encoder is None else encoder.to_json(),
                "weights": None if encoder is None else encoder.weights_sha256,
                "fitted_on": fitted_on if encoder is not None and encoder.fitted else "",
                "n": n,
                "reference_n": reference_n if self.uses_reference else 0,
            }
        )[:16]

    @abstractmethod
    def _values(self, evidence: Evidence) -> tuple[Value, ...]:
        """The values for evidence that has been checked."""

    def _check_sizes(self, evidence: Evidence) -> None:
        looked_at = {"generated": len(evidence.generated)}
        if self.uses_reference:
            looked_at["reference"] = len(evidence.reference)
        for kind, count in looked_at.items():
            if count < self.min_samples:
                raise InputError(
                    f"metric {self.name} needs at least {self.min_samples} {kind} images, not {count}; ask for more"
                )


@dataclass(frozen=True, kw_only=True)
class ImageMetric(Metric):
    """A metric of the images themselves."""

    @property
    def encoder(self) -> None:
        """None: no features are needed."""
        return None


@dataclass(frozen=True, kw_only=True)
class FeatureMetric(Metric):
    """A metric of two sets of features. The encoder's slug is part of its values' names: `fid` is Inception's alone."""

    encoder: Encoder = EfficientNetLite0()  # noqa: RUF009 - a frozen value

    def _values(self, evidence: Evidence) -> tuple[Value, ...]:
        sets = {"generated": evidence.generated_features, "reference": evidence.reference_features}
        images = {"generated": evidence.generated, "reference": evidence.reference}
        ready = []
        for kind, features in sets.items():
            if features is None or features.ndim != 2 or len(features) != len(images[kind]):
                shape = "none" if features is None else list(features.shape)
                raise ComputeError(
                    f"metric {self.name} needs one feature vector by {self.encoder.name} for each of the "
                    f"{len(images[kind])} {kind} images, not {shape}"
                )
            if not np.isfinite(features).all():
                row = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
                raise ComputeError(f"the features of {kind} image {row} by {self.encoder.name} are not finite")
            ready.append(features)
        return self._between(*ready)

    @abstractmethod
    def _between(self, generated: Vectors, reference: Vectors) -> tuple[Value, ...]:
        """The values for float32 [n, d] and [m, d], both finite."""
