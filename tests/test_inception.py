"""FID through a stand-in of the Inception file: TorchScript of the same interface, small and random."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from cleanfid import fid
from conftest import TINY, Cli
from PIL import Image

from prism_bench.prism.encoders.inception import Inception, InceptionClean, InceptionLegacy, clean_fid_network
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels
from prism_bench.prism.metrics.frechet import FrechetDistance
from prism_bench.prism.weights.published_files import WeightFile, cache_folder

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*")


class Layers(torch.nn.Module):
    """float32 [n, 3, 299, 299] -> [n, 2048, 1, 1], different for every place and channel."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce = torch.nn.Conv2d(3, 2048, 23, stride=23)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.reduce(x)).mean(dim=(2, 3), keepdim=True)


class StandIn(torch.nn.Module):
    """The file's interface: `layers` for images that have been resized, the whole for images of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Layers()

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        x = torch.nn.functional.interpolate(x, (299, 299), mode="bilinear", align_corners=False)
        return self.layers((x - 128) / 128)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in under the published name, in the folder that the user names."""
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.manual_seed(0)
    path = folder / Inception.weights.file
    torch.jit.script(StandIn()).save(str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(Inception, "weights", WeightFile(path.name, digest, path.as_uri()))
    monkeypatch.setenv("PRISM_BENCH_WEIGHTS", str(folder))
    monkeypatch.setenv("PRISM_BENCH_CACHE", str(tmp_path / "cache"))
    return path


@pytest.fixture
def images() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (70, 3, 16, 16), np.uint8)


@pytest.mark.parametrize("encoder", [InceptionClean(), InceptionLegacy()])
def test_features_in_memory_are_those_of_a_folder_of_pngs(
    encoder: Inception, weights: Path, images: Pixels, tmp_path: Path
) -> None:
    """Seventy images: more than a batch. clean-fid itself reads the PNGs."""
    folder = tmp_path / "pngs"
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{number:03d}.png")
    network = clean_fid_network(weights.parent, resize_inside=encoder.resize_inside)
    files = sorted(str(path) for path in folder.iterdir())
    theirs = fid.get_files_features(
        files, network, num_workers=0, batch_size=32, device=torch.device("cpu"), mode=encoder.mode, verbose=False
    )
    ours = encoder.load(None, "cpu")(images)
    assert ours.shape == (70, 2048)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_modes_differ_and_so_do_their_names(weights: Path, images: Pixels) -> None:
    clean, legacy = (encoder.load(None, "cpu")(images[:8]) for encoder in (InceptionClean(), InceptionLegacy()))
    assert np.abs(clean - legacy).max() > 1e-3
    assert InceptionClean().frechet_name == ("fid_clean", "FID (clean-fid, clean)")
    assert InceptionLegacy().frechet_name[0] == "fid_legacy_tensorflow"
    prints = {FrechetDistance(encoder=one).fingerprint(10, 10) for one in (InceptionClean(), InceptionLegacy())}
    assert len(prints) == 2


def test_a_table_with_fid_through_the_command_line(cli: Cli, weights: Path) -> None:
    said = cli(f"run ablation-table3 {TINY} --only variant=prism --metrics frechet:inception,frechet:inception-legacy")
    assert said.code == 0, said.err
    (table,) = Path("prism-bench-store").rglob("ablation-table3.md")
    assert "FID (clean-fid, clean)" in table.read_text()
    assert "FID (clean-fid, legacy tensorflow)" in table.read_text()
    assert not cache_folder().exists(), "the user's folder had it; nothing was written"


def test_a_missing_file_is_fetched_whole_or_not_at_all(weights: Path) -> None:
    bytes_ = weights.read_bytes()
    served = weights.with_name("served")
    served.write_bytes(bytes_[:-10])
    weights.unlink()
    file = WeightFile(Inception.weights.file, Inception.weights.sha256, served.as_uri())
    with pytest.raises(InputError, match="could not be fetched"):
        file.path()
    assert file.at_hand() is None
    assert not [path for path in cache_folder().iterdir() if path.suffix != ".lock"], "no remains of the attempt"
    served.write_bytes(bytes_)
    assert file.path() == cache_folder() / file.file
    assert file.path().read_bytes() == bytes_


def test_another_file_of_that_name_is_refused_before_anything_runs(cli: Cli, weights: Path) -> None:
    weights.write_bytes(b"another network")
    said = cli(f"run ablation-table3 {TINY} --metrics frechet:inception")
    assert said.code == 2
    assert Inception.weights.sha256 in said.err
    assert hashlib.sha256(b"another network").hexdigest() in said.err
    assert not list(Path("prism-bench-store").glob("stages/training/*"))


def test_the_published_file_is_named() -> None:
    assert Inception.weights.file == "inception-2015-12-05.pt"
    assert len(Inception.weights.sha256) == 64
