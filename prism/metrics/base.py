"""The metric family: what a metric is given, what it answers, and what makes two of its values comparable."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from prism_bench.prism.component import Component, digest_of
from prism_bench.prism.data.base import Dataset
from prism_bench.prism.data.split import Ids, Parts
from prism_bench.prism.encoders.base import Encoder, Vectors
from prism_bench.prism.encoders.efficientnet import EfficientNetLite0
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.images import Pixels
from prism_bench.prism.rng import numpy_rng

Better = Literal["lower", "higher"]
Facts = Mapping[str, npt.NDArray[Any]]
ROWS = 4096
"""Rows that are looked at together, so that features of any number need little memory."""
FEWEST_OF_A_PART = 2
"""Images of D and of X_train, below which distances to them have no meaning."""


@dataclass(frozen=True, kw_only=True)
class MetricInputs:
    """All that a metric may look at.

    generated: uint8 [n, 3, R, R]. reference: uint8 [m, 3, R, R], real images. dataset: where the real ones come from.
    generated_features, reference_features: float32 [n, d] and [m, d] by the metric's encoder; None where it has none.
    parts: which rows of the reference are D and which X_train; None where no split is known.
    pseudo_queries: int64 [n], the row of the reference that guided each generated image; None where nothing is known.
    held_out_features: float32 [h, d] of real images that are no part of the reference; None where there are none.
    facts: what the metric says of the reference alone (`reference_facts`), where it has been asked before.
    """

    generated: Pixels
    reference: Pixels
    dataset: Dataset
    generated_features: Vectors | None = None
    reference_features: Vectors | None = None
    parts: Parts | None = None
    pseudo_queries: Ids | None = None
    held_out_features: Vectors | None = None
    facts: "Facts | None" = None


class Value(NamedTuple):
    """One number of one metric, with what a table must say about it.

    name: letters, digits, underscores; with an encoder, its slug is part of it. value: finite.
    n, reference_n: images looked at; reference_n is 0 where the metric looks at no reference.
    better: the direction. label: for people. unit: of `value`, "" where it has none.
    group: the title of the further table that shows it; "" for a column of the main table.
    about: for that table's caption, what the number is, in one sentence.
    standard_error: of `value` over the images that it is of; None where it is not known.
    """

    name: str
    value: float
    n: int
    reference_n: int
    better: Better
    label: str
    unit: str = ""
    group: str = ""
    about: str = ""
    standard_error: float | None = None


@dataclass(frozen=True)
class Measurement:
    """The values of a metric and, where it tells more than numbers for a table, arrays by name, worth keeping."""

    values: tuple[Value, ...]
    details: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Metric(Component, family="metric"):
    """A map from images and their features to values. Members derive from FeatureMetric or ImageMetric."""

    version: ClassVar[int] = 1
    """Raise it with any change of the code that changes a value: it is part of the fingerprint."""
    min_samples: ClassVar[int] = 8
    """Below this many images (of either kind looked at) a metric refuses."""
    uses_reference: ClassVar[bool] = True
    """False where the values do not depend on the reference images."""
    uses_split: ClassVar[bool] = False
    """True where the inputs must say which reference images are D and which X_train."""
    uses_held_out: ClassVar[bool] = False
    """True where the features of held-out images are looked at, if there are any."""

    shares_reference: ClassVar[bool] = False
    """True where part of it depends on the real images alone and is computed once for all samples."""

    def reference_facts(self, inputs: MetricInputs) -> Facts:
        """That part, arrays by name, for inputs without generated images; none unless `shares_reference`."""
        return {}

    @property
    @abstractmethod
    def encoder(self) -> Encoder | None:
        """Whose features the inputs must hold; None where the metric looks at the images alone."""

    @property
    def full_name(self) -> str:
        """NAME, or NAME:ENCODER as `--metrics` takes it: one metric may look through several encoders."""
        return self.name if self.encoder is None else f"{self.name}:{self.encoder.name}"

    @property
    def fewest(self) -> int:
        """Generated images needed, as far as it is known before there are any."""
        return self.min_samples

    def applies(self, dataset: Dataset) -> str | None:
        """Why this metric declines `dataset`, as the reason in a table's hole; None where it applies."""
        return None

    def declines(self, parts: Parts) -> str | None:
        """Why this metric declines a split, as the reason in a table's hole; None where it does not."""
        return None

    def compute(self, inputs: MetricInputs) -> tuple[Value, ...]:
        """The metric's values, each finite; see `measure`."""
        return self.measure(inputs).values

    def measure(self, inputs: MetricInputs) -> Measurement:
        """The metric's values, each finite, and what else it found.

        Raises:
            InputError: fewer images than `min_samples`, data that this metric declines, or no split where it needs one.
            ComputeError: features that are missing, misshapen or not finite, or a value that is not finite.
        """
        reason = self.applies(inputs.dataset)
        if reason is not None:
            raise InputError(f"metric {self.name} does not apply to {inputs.dataset.name}: {reason}")
        self._check_sizes(inputs)
        found = self._measured(inputs)
        for value in found.values:
            if not np.isfinite(value.value):
                raise ComputeError(f"{value.name} came out as {value.value}; its images or features may be broken")
        return found

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
    def _measured(self, inputs: MetricInputs) -> Measurement:
        """What is found in inputs that have been checked."""

    def _check_sizes(self, inputs: MetricInputs) -> None:
        looked_at = {"generated": len(inputs.generated)}
        if self.uses_reference:
            looked_at["reference"] = len(inputs.reference)
        for kind, count in looked_at.items():
            if count < self.min_samples:
                raise InputError(
                    f"metric {self.name} needs at least {self.min_samples} {kind} images, not {count}; ask for more"
                )


@dataclass(frozen=True, kw_only=True)
class ImageMetric(Metric):
    """A metric of the images themselves."""

    encoder: ClassVar[None] = None

    def _measured(self, inputs: MetricInputs) -> Measurement:
        return Measurement(self.values(inputs))

    @abstractmethod
    def values(self, inputs: MetricInputs) -> tuple[Value, ...]:
        """The values for inputs that have been checked."""


@dataclass(frozen=True, kw_only=True)
class EncodedMetric(Metric):
    """A metric that looks through an encoder, whose slug is part of its values' names: `fid` is Inception's alone."""

    encoder: Encoder = EfficientNetLite0()

    def _features(self, inputs: MetricInputs) -> tuple[Vectors, Vectors]:
        """The features of generated and reference images, checked."""
        return (
            self._checked(inputs.generated_features, len(inputs.generated), "generated"),
            self._checked(inputs.reference_features, len(inputs.reference), "reference"),
        )

    def _checked(self, features: Vectors | None, count: int, kind: str) -> Vectors:
        if features is None or features.ndim != 2 or len(features) != count:
            shape = "none" if features is None else list(features.shape)
            raise ComputeError(
                f"metric {self.name} needs one feature vector by {self.encoder.name} for each of the "
                f"{count} {kind} images, not {shape}"
            )
        for start in range(0, count, ROWS):
            finite = np.isfinite(features[start : start + ROWS]).all(axis=1)
            if not finite.all():
                row = start + int(np.flatnonzero(~finite)[0])
                raise ComputeError(f"the features of {kind} image {row} by {self.encoder.name} are not finite")
        return features


@dataclass(frozen=True, kw_only=True)
class FeatureMetric(EncodedMetric):
    """A metric of two sets of features."""

    def _measured(self, inputs: MetricInputs) -> Measurement:
        return Measurement(self.between(*self._features(inputs)))

    @abstractmethod
    def between(self, generated: Vectors, reference: Vectors) -> tuple[Value, ...]:
        """The values for float32 [n, d] and [m, d], both finite."""


@dataclass(frozen=True, kw_only=True)
class ReferenceMetric(FeatureMetric):
    """A metric of two sets of features, part of which depends on the reference alone and is computed once for all."""

    shares_reference: ClassVar[bool] = True

    def _measured(self, inputs: MetricInputs) -> Measurement:
        generated, reference = self._features(inputs)
        facts = self.of_reference(reference) if inputs.facts is None else inputs.facts
        return Measurement(self.against(generated, reference, facts))

    @override
    def between(self, generated: Vectors, reference: Vectors) -> tuple[Value, ...]:
        return self.against(generated, reference, self.of_reference(reference))

    @override
    def reference_facts(self, inputs: MetricInputs) -> Facts:
        return self.of_reference(self._checked(inputs.reference_features, len(inputs.reference), "reference"))

    @abstractmethod
    def of_reference(self, reference: Vectors) -> Facts:
        """What depends on the reference alone, for float32 [m, d], finite: arrays by name."""

    @abstractmethod
    def against(self, generated: Vectors, reference: Vectors, facts: Facts) -> tuple[Value, ...]:
        """The values for float32 [n, d] and [m, d], both finite, and what `of_reference` says of the latter."""


@dataclass(frozen=True, kw_only=True)
class SplitMetric(EncodedMetric):
    """A metric that looks at D and X_train apart."""

    uses_split: ClassVar[bool] = True

    @override
    def declines(self, parts: Parts) -> str | None:
        """Either part must be as large as any set of images that is looked at."""
        return self._too_few(parts, self.min_samples)

    def _too_few(self, parts: Parts, fewest: int) -> str | None:
        for name, ids in (("D", parts.retrieval), ("X_train", parts.train)):
            if len(ids) < fewest:
                return f"{name} holds {len(ids):,} of the images, of which it needs at least {fewest}"
        return None

    def _measured(self, inputs: MetricInputs) -> Measurement:
        if inputs.parts is None:
            raise InputError(
                f"metric {self.name} looks at the retrieval set D and at X_train apart, and these pictures have no "
                "such split; evaluate a trained run, or leave the metric out"
            )
        reason = self._too_few(inputs.parts, FEWEST_OF_A_PART)
        if reason is not None:
            raise InputError(f"metric {self.name} looks at the retrieval set D and at X_train apart: {reason}")
        generated, reference = self._features(inputs)
        return self.among(generated, reference, inputs.parts, inputs)

    @abstractmethod
    def among(self, generated: Vectors, reference: Vectors, parts: Parts, inputs: MetricInputs) -> Measurement:
        """What is found for float32 [n, d] and [m, d], both finite; `parts` are rows of the reference."""


def own_order(features: npt.ArrayLike, purpose: str) -> Ids:
    """An order of the rows of [n, d] that comes from what they hold: along a direction drawn at random.

    A metric that draws images at random draws them in this order, so that those in which images come, or are named,
    change nothing.
    """
    rows = np.asarray(features)
    direction = numpy_rng(0, purpose).standard_normal(rows.shape[1])
    along = [rows[start : start + ROWS] @ direction for start in range(0, len(rows), ROWS)]
    return np.argsort(np.concatenate(along), kind="stable")
