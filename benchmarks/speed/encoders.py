"""Principal components of pixels beside scikit-learn's, and networks' features beside a plain loop over batches."""

import importlib.util
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.speed.pairs import Missing, Row, Way
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.encoders.base import Embed, Vectors
from prism_bench.prism.encoders.clip import image_embedder
from prism_bench.prism.encoders.efficientnet import EfficientNetLite0, preprocess, timm_names
from prism_bench.prism.encoders.pca import PixelsPCA
from prism_bench.prism.images import Pixels

COMPONENTS = 64
IMAGES = 4000
SIDE = 26
"""Of 26 x 26 pixels, 2,028 levels each."""


def rows() -> Iterator[Row]:
    """See above."""
    images = ToyFaces(size=IMAGES, resolution=32).build().images[..., :SIDE, :SIDE]
    yield fitting(np.ascontiguousarray(images))
    yield projecting(np.ascontiguousarray(images))
    faces = ToyFaces(size=512, resolution=32).build().images
    yield efficientnet(faces)
    yield clip(faces)


def fitting(images: Pixels) -> Row:
    """From uint8 images to vectors of the first of them."""
    solvers = ("covariance_eigh", "arpack")
    return Row(
        work=f"{COMPONENTS} principal components of {IMAGES:,} images of {3 * SIDE**2:,} levels; "
        "vectors equal to 1e-6 of the longest, but for signs (scikit-learn's randomized solver is not that exact)",
        ours=Way(label="pixels-pca", run=partial(fit, images)),
        others=tuple(peer(f"scikit-learn, {name}", partial(fit_by_sklearn, images, name)) for name in solvers),
        goal="as fast as the fastest of equal exactness",
        rounds=3,
        same=vectors_agree,
    )


def projecting(images: Pixels) -> Row:
    """By components that are there."""
    embed = PixelsPCA(components=COMPONENTS).load(images, "cpu")
    label, run = "scikit-learn", partial(list, ())
    if importlib.util.find_spec("sklearn") is not None:
        fitted = sklearn_pca(images, "covariance_eigh")
        run = partial(lambda: fitted.transform(flat(images)).astype(np.float32))
    return Row(
        work=f"vectors of {IMAGES:,} images along {COMPONENTS} components; equal to 1e-6 of the longest, but for signs",
        ours=Way(label="pixels-pca", run=partial(embed, images)),
        others=(peer(label, run),),
        goal="1.0",
        same=vectors_agree,
    )


def efficientnet(images: Pixels) -> Row:
    """The installed weights, at a size for small images."""
    encoder = EfficientNetLite0(input_size=64)
    folder = importlib.util.find_spec(encoder.weights.package)
    if folder is None or folder.origin is None:
        missing = Missing(label="a plain loop", why="the weights are not installed")
        return Row(work="features by EfficientNet-Lite0", ours=Way(label="", run=list), others=(missing,))
    network = plain_efficientnet(Path(folder.origin).parent / "models" / encoder.weights.file, encoder)
    forward = partial(plain_levels, network, encoder.input_size)
    return Row(
        work=f"features of {len(images)} images by EfficientNet-Lite0 at 64 px; equal to 1e-4",
        ours=Way(label="efficientnet-lite0", run=partial(encoder.load(None, "cpu"), images)),
        others=(Way(label="a plain torch loop", run=partial(plain_loop, forward, images, encoder.batch)),),
        goal="1.0",
        rounds=5,
        same=partial(np.testing.assert_allclose, atol=1e-4),
    )


def clip(images: Pixels) -> Row:
    """A small network of random weights: the larger it is, the less what is around it counts."""
    work = f"embeddings of {len(images)} images by a CLIP of 4 layers, 128 wide, 32 px; equal to 1e-5"
    if importlib.util.find_spec("open_clip") is None:
        missing = Missing(label="a plain loop", why="open_clip is not installed")
        return Row(work=work, ours=Way(label="", run=list), others=(missing,))
    import open_clip
    from PIL import Image

    torch.manual_seed(0)
    vision = {"image_size": 32, "layers": 4, "width": 128, "patch_size": 8}
    text = {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1}
    network = open_clip.CLIP(64, vision, text).eval()
    transform = open_clip.image_transform(32, is_train=False)
    ours: Embed = image_embedder(network, transform, batch=64, device="cpu")

    def forward(part: Pixels) -> torch.Tensor:
        pictures = [transform(Image.fromarray(image.transpose(1, 2, 0))) for image in part]
        found: torch.Tensor = network.encode_image(torch.stack(pictures))
        return found

    return Row(
        work=work,
        ours=Way(label="clip", run=partial(ours, images)),
        others=(Way(label="a plain torch loop", run=partial(plain_loop, forward, images, 64)),),
        goal="1.0",
        same=partial(np.testing.assert_allclose, atol=1e-5),
    )


def peer(label: str, run: Any) -> Way | Missing:
    """scikit-learn's way, where it is installed."""
    if importlib.util.find_spec("sklearn") is None:
        return Missing(label=label, why="not installed")
    return Way(label=label, run=run)


def fit(images: Pixels) -> Vectors:
    return PixelsPCA(components=COMPONENTS).load(images, "cpu")(images[:500])


def fit_by_sklearn(images: Pixels, solver: str) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = sklearn_pca(images, solver).transform(flat(images[:500]))
    return found


def sklearn_pca(images: Pixels, solver: str) -> Any:
    from sklearn.decomposition import PCA

    return PCA(COMPONENTS, svd_solver=solver, random_state=0).fit(flat(images))


def flat(images: Pixels) -> npt.NDArray[np.float64]:
    return images.reshape(len(images), -1) / 255


def vectors_agree(ours: Vectors, theirs: npt.NDArray[np.float64]) -> None:
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-6 * float(np.abs(theirs).max()))


def plain_efficientnet(weights: Path, encoder: EfficientNetLite0) -> torch.nn.Module:
    import timm

    network = timm.create_model(encoder.weights.network, pretrained=False, num_classes=0)
    stages = network.get_submodule("blocks").children()
    sizes = tuple(len(stage) for stage in stages if isinstance(stage, torch.nn.Sequential))
    network.load_state_dict(timm_names(torch.load(weights, weights_only=True), sizes))
    return network.eval()


def plain_levels(network: torch.nn.Module, size: int, images: Pixels) -> torch.Tensor:
    found: torch.Tensor = network(preprocess(images, size))
    return found


def plain_loop(forward: Any, images: Pixels, batch: int) -> Vectors:
    with torch.inference_mode():
        parts = [forward(images[start : start + batch]).numpy() for start in range(0, len(images), batch)]
    return np.concatenate(parts)
