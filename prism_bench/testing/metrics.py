"""Laws of metrics."""

from dataclasses import fields, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest

from prism_bench.prism.data.split import Parts
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.encoders.pca import PixelsPCA
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels
from prism_bench.prism.metrics.base import Metric, MetricInputs
from prism_bench.testing.component import ComponentContract


def correlated_normal(n: int, d: int, seed: int, *, scale: float = 1.0, shift: float = 0.0) -> npt.NDArray[np.float64]:
    """n features [n, d]: a random mixture of normal ones, so that no covariance is diagonal."""
    mixture = np.eye(d) + 0.3 * np.random.default_rng(1000 + d).standard_normal((d, d))
    return scale * np.random.default_rng(seed).standard_normal((n, d)) @ mixture + shift


@lru_cache(maxsize=1)
def faces() -> Pixels:
    """1,500 toyfaces of 16x16."""
    return ToyFaces(size=1500).build().images


def metric_inputs(images: Pixels, n: int = 40, m: int = 50, d: int = 6) -> MetricInputs:
    """All that a metric may look at: n generated and m real images, d features of each, parts of 3 and m - 3."""
    return MetricInputs(
        generated=images[:n],
        reference=images[n : n + m],
        dataset=ToyFaces(),
        generated_features=correlated_normal(n, d, 1).astype(np.float32),
        reference_features=correlated_normal(m, d, 2).astype(np.float32),
        parts=Parts(np.arange(3, m), np.arange(3)) if m > 3 else None,
        pseudo_queries=np.arange(n) % m,
        held_out_features=correlated_normal(m, d, 3).astype(np.float32),
    )


class MetricContract(ComponentContract):
    """Finite, named values of two sets of images that do not depend on the order of the images."""

    def inputs(self, member: Metric, n: int = 40, m: int = 50) -> MetricInputs:
        """Toyfaces, of which all is known; skips a metric that declines them."""
        reason = member.applies(ToyFaces())
        if reason is not None:
            pytest.skip(f"{member.name} does not apply to toyfaces: {reason}")
        return metric_inputs(faces(), n, m)

    def test_values_are_finite_named_and_say_their_sample_sizes(self, member: Metric) -> None:
        """A metric of the parts may look at as many images of each as the smallest has."""
        values = member.compute(self.inputs(member))
        assert values
        assert len({value.name for value in values}) == len(values)
        for value in values:
            assert np.isfinite(value.value)
            assert value.name.replace("_", "").isalnum()
            assert not value.name.startswith("fid"), "FID is clean-fid's Inception's alone"
            assert value.label
            assert value.n == 40
            known = {3, 50} if member.uses_split else {50 if member.uses_reference else 0}
            assert value.reference_n in known

    def test_values_by_two_encoders_have_two_names(self, member: Metric) -> None:
        """Two encoders never share a column."""
        if "encoder" not in {field.name for field in fields(member)}:
            pytest.skip(f"{member.name} looks at the images themselves")
        inputs, other = self.inputs(member), member.replace(encoder=PixelsPCA(components=5))
        names = [{value.name for value in metric.compute(inputs)} for metric in (member, other)]
        assert not names[0] & names[1]

    def test_too_few_images_are_refused(self, member: Metric) -> None:
        """Of either kind looked at, with both numbers."""
        few, least = member.min_samples - 1, member.min_samples
        with pytest.raises(InputError, match=f"needs at least {least} generated images, not {few}"):
            member.compute(self.inputs(member, n=few))
        if member.uses_reference:
            with pytest.raises(InputError, match=f"needs at least {least} reference images, not {few}"):
                member.compute(self.inputs(member, m=few))

    def test_the_order_of_samples_is_irrelevant(self, member: Metric) -> None:
        """With fewer samples than any subset takes, of equal number."""
        inputs, order = self.inputs(member, n=40, m=40), np.random.default_rng(0).permutation(40)
        assert inputs.generated_features is not None
        assert inputs.pseudo_queries is not None
        shuffled = replace(
            inputs,
            generated=inputs.generated[order],
            generated_features=inputs.generated_features[order],
            pseudo_queries=inputs.pseudo_queries[order],
        )
        for one, other in zip(member.compute(inputs), member.compute(shuffled), strict=True):
            assert other.value == pytest.approx(one.value, rel=1e-9, abs=1e-12)

    def test_the_same_inputs_give_the_same_values(self, member: Metric) -> None:
        """Bit by bit: subsets are drawn from named generators."""
        inputs = self.inputs(member)
        assert member.compute(inputs) == member.compute(inputs)

    def test_fingerprints_tell_apart_what_must_not_share_a_column(self, member: Metric) -> None:
        """Sample sizes; that of the reference where it is looked at."""
        plain = member.fingerprint(100, 200)
        assert len(plain) == 16
        assert member.fingerprint(101, 200) != plain
        assert (member.fingerprint(100, 201) == plain) is not member.uses_reference
