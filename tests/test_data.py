"""Data that comes with us, digits and toyfaces, and the split."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_digits

from prism_bench.prism.data.digits import Digits
from prism_bench.prism.data.split import Split
from prism_bench.prism.data.toyfaces import CURTAIN, OVERSAMPLING, ToyFaces, _draw
from prism_bench.prism.errors import InputError

Ids = npt.NDArray[np.int64]


# digits


@pytest.mark.parametrize("resolution", [8, 16])
def test_digits_are_the_real_ones_enlarged(resolution: int) -> None:
    found, bundle = Digits(resolution=resolution).build(), load_digits()
    assert found.images.shape == (1797, 3, resolution, resolution)
    assert found.images.dtype == np.uint8
    assert found.classes == tuple("0123456789")
    np.testing.assert_array_equal(found.labels, bundle.target)
    assert (found.images == found.images[:, :1]).all()
    for digit in range(10):
        mean = found.images[found.labels == digit].mean()
        # Enlarging keeps the mean but for over- and undershoots that are clipped: below 1% of the range.
        assert mean == pytest.approx(bundle.images[bundle.target == digit].mean() * 255 / 16, abs=2.5)


def test_digits_of_their_own_size_keep_every_level() -> None:
    expected = np.rint(load_digits().images * 255 / 16)
    np.testing.assert_array_equal(Digits(resolution=8).build().images[:, 0], expected)


@pytest.mark.parametrize(("resolution", "near"), [(4, "use 8"), (18, "use 16 or 20")])
def test_digits_refuse_other_resolutions(resolution: int, near: str) -> None:
    with pytest.raises(InputError, match=f"multiple of 4 and at least 8, not {resolution}; {near}"):
        Digits(resolution=resolution)


# toyfaces


def drawn(resolution: int, changes: Mapping[str, npt.NDArray[np.float32]]) -> npt.NDArray[np.uint8]:
    return _draw(ToyFaces(resolution=resolution, size=40)._attributes() | dict(changes), resolution)


def test_a_smaller_set_is_a_prefix_of_a_larger_one() -> None:
    small, large = ToyFaces(size=10).build(), ToyFaces(size=30).build()
    np.testing.assert_array_equal(small.images, large.images[:10])
    np.testing.assert_array_equal(small.labels, large.labels[:10])
    for name, values in small.attributes.items():
        np.testing.assert_array_equal(values, large.attributes[name][:10])


def test_blocks_do_not_change_a_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ToyFaces(size=20).build().images
    monkeypatch.setattr("prism_bench.prism.data.toyfaces.BLOCK", 7)
    np.testing.assert_array_equal(ToyFaces(size=20).build().images, whole)


@pytest.mark.parametrize("resolution", [16, 18, 20, 32, 64])
def test_no_training_patch_shows_both_curtains(resolution: int) -> None:
    curtain = ToyFaces(size=40)._attributes()["curtain"]
    differs = (drawn(resolution, {}) != drawn(resolution, {"curtain": 1 - curtain})).any(axis=(0, 1, 2))
    columns = np.flatnonzero(differs)
    left, right = columns[columns < resolution // 2], columns[columns >= resolution // 2]
    assert len(left) == len(right) == np.ceil(round(CURTAIN * resolution * OVERSAMPLING) / OVERSAMPLING)
    # The narrowest window with a column of each is wider than the largest patch, half the side.
    assert right.min() - left.max() + 1 > resolution // 2


# At 32 pixels the upper outer corner of the shirt's box can lie beside a shifted shoulder.
@pytest.mark.parametrize(
    ("name", "resolution"), [("curtains", 16), ("curtains", 32), ("shirt", 16), ("hair", 16), ("hair", 32)]
)
def test_regions_that_must_agree_show_one_colour(name: str, resolution: int) -> None:
    (regions,) = (regions for regions in ToyFaces.agreeing if regions.name == name)
    images = ToyFaces(resolution=resolution, size=200).build().images
    one, other = images[(..., *regions.one.pixels(resolution))], images[(..., *regions.other.pixels(resolution))]
    assert (one == one[..., :1, :1]).all()
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("resolution", [16, 32])
def test_a_centred_face_is_its_own_mirror_image_and_so_its_eyes_agree(resolution: int) -> None:
    # Shifted faces are antialiased differently on both sides, so eyes agree exactly only where nothing shifts them.
    even = {name: np.full((40, 3), 0.7, np.float32) for name in ToyFaces(size=1)._attributes() if "wall" in name}
    images = drawn(resolution, even | {"offset": np.zeros((40, 2), np.float32)}).astype(int)
    # A sum over float32 in mirrored order may round the other way: one level.
    assert np.abs(images - images[..., ::-1]).max() <= 1
    (eyes,) = (regions for regions in ToyFaces.agreeing if regions.name == "eyes")
    rows, columns = eyes.one.pixels(resolution)
    other_rows, other_columns = eyes.other.pixels(resolution)
    assert rows == other_rows
    assert (other_columns.start, other_columns.stop) == (resolution - columns.stop, resolution - columns.start)


def test_the_truth_is_what_is_drawn() -> None:
    found = ToyFaces(size=50).build()
    corner = found.images[:, :, 0, 0]
    assert np.abs(corner - found.attributes["curtain"] * 255).max() <= 0.5 + 1e-4
    assert found.classes == ("black", "brown", "blond", "red")
    np.testing.assert_array_equal(found.labels, found.attributes["hair_class"])
    assert set(found.labels.tolist()) == {0, 1, 2, 3}


def test_toyfaces_are_the_same_in_another_process() -> None:
    code = "import hashlib; from prism_bench.prism.data.toyfaces import ToyFaces as T; "
    code += "print(hashlib.sha256(T(size=20, seed=3).build().images).hexdigest())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = ToyFaces(size=20, seed=3).build().images
    assert other.stdout.strip() == hashlib.sha256(here.tobytes()).hexdigest()
    assert (here != ToyFaces(size=20, seed=4).build().images).any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"resolution": 15}, "even resolution of at least 16, not 15; use 16, 32 or 64"),
        ({"resolution": 17}, "not 17"),
        ({"resolution": 0}, "not 0"),
        ({"size": 0}, "size of at least 1, not 0"),
    ],
)
def test_toyfaces_refuse_what_they_cannot_draw(fields: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ToyFaces(**fields)


# split

SIZES = (50, 23, 7, 2, 118)
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(5), SIZES))


def counts(ids: Ids) -> Ids:
    return np.bincount(LABELS[ids], minlength=5)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 162 / 232, 0.99])
@pytest.mark.parametrize("by_class", [True, False])
def test_the_parts_are_disjoint_and_cover(fraction: float, by_class: bool) -> None:
    parts = Split(retrieval_fraction=fraction, by_class=by_class).parts(LABELS)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(LABELS)))
    assert len(parts.retrieval) == pytest.approx(fraction * len(LABELS), abs=0.5 if not by_class else 5)


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5, 162 / 232, 0.9])
def test_each_class_is_split_to_within_one_image(fraction: float) -> None:
    parts = Split(retrieval_fraction=fraction).parts(LABELS)
    assert np.abs(counts(parts.retrieval) - fraction * np.array(SIZES)).max() <= 1
    assert counts(parts.retrieval).min() >= 1
    assert counts(parts.train).min() >= 1


def test_without_classes_the_proportions_are_left_to_chance() -> None:
    drawn = [tuple(counts(Split(seed=seed, by_class=False).parts(LABELS).retrieval)) for seed in range(5)]
    assert len(set(drawn)) > 1


@pytest.mark.parametrize("seed", range(3))
def test_every_prefix_of_the_training_order_is_stratified(seed: int) -> None:
    train = Split(retrieval_fraction=0.3, seed=seed).parts(LABELS).train
    share = counts(train) / len(train)
    for size in range(1, len(train) + 1):
        # Class c sends its images at (i + u) / n_c, so at time t it has sent t n_c to within one; the prefix ends
        # where all have sent `size`, which is a time known to within C / n, worth share * C more.
        assert (np.abs(counts(train[:size]) - share * size) < 1 + share * len(SIZES)).all()


def test_the_split_depends_on_the_seed_and_nothing_else() -> None:
    one, again, other = Split(seed=1).parts(LABELS), Split(seed=1).parts(LABELS.copy()), Split(seed=2).parts(LABELS)
    np.testing.assert_array_equal(one.retrieval, again.retrieval)
    np.testing.assert_array_equal(one.train, again.train)
    assert not np.array_equal(one.retrieval, other.retrieval)
    assert not np.array_equal(Split(seed=1).parts(LABELS).train, np.sort(one.train))


def test_a_class_of_one_image_cannot_be_split() -> None:
    labels = np.array([0, 0, 0, 1], np.int64)
    with pytest.raises(InputError, match=r"class 'dog' has 1 image; .*at least 2 in each class.*--no-stratify"):
        Split().parts(labels, ("cat", "dog"))
    assert len(Split(by_class=False).parts(labels, ("cat", "dog")).train) == 1


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, 1.5])
def test_the_fraction_lies_strictly_between_0_and_1(fraction: float) -> None:
    with pytest.raises(InputError, match="strictly between 0 and 1, not"):
        Split(retrieval_fraction=fraction)
