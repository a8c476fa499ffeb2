"""`evaluate` on files as they are: sizes, order, bad pictures, saved statistics, and what clean-fid would see."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import Cli, Spoken
from PIL import Image

from prism_bench.experiments.tools.write_images import write_samples
from prism_bench.prism.data.user_images.open_source import open_source
from prism_bench.prism.encoders.efficientnet import EfficientNetLite0
from prism_bench.prism.metrics.frechet import frechet_between
from prism_bench.prism.metrics.saved_moments import saved_moments

Pixels = npt.NDArray[np.uint8]
SMALL = "--input-size 32"


def noise(seed: int, count: int = 24, side: int = 30) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def saved(path: Path, pictures: Pixels) -> Path:
    path.mkdir()
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(path / f"{index:03}.png")
    return path


def values(cli: Cli, line: str) -> tuple[dict[str, dict[str, Any]], Spoken]:
    said = cli(f"evaluate {line} --out found.json")
    assert said.code == 0, said.err + said.out
    return {value["name"]: value for value in json.loads(Path("found.json").read_text())["values"]}, said


def refused(cli: Cli, line: str, *words: str) -> None:
    said = cli(f"evaluate {line}")
    assert said.code == 2, said
    assert "Traceback" not in said.err
    for word in words:
        assert word in " ".join(said.err.split()), said.err


def distance(one: Pixels, other: Pixels) -> float:
    """By hand: the features of the pictures as they are."""
    embed = EfficientNetLite0(input_size=32).load(None, "cpu")
    return frechet_between(*(embed(pictures.transpose(0, 3, 1, 2)) for pictures in (one, other)))


def test_pictures_are_compared_at_their_own_size_whatever_it_is(cli: Cli, tmp_path: Path) -> None:
    saved(tmp_path / "a", noise(1))
    saved(tmp_path / "b", noise(2) // 2)
    found, said = values(cli, f"a b {SMALL}")
    assert "24 pictures against 24 of b, 30x30" in said.out
    assert found["fd_efficientnet_lite0"]["value"] == pytest.approx(distance(noise(1), noise(2) // 2), rel=1e-5)
    assert "note: a:" not in said.out


def test_mixed_sizes_are_refused_or_brought_to_one(cli: Cli, tmp_path: Path) -> None:
    saved(tmp_path / "a", noise(1))
    Image.fromarray(noise(3, 1, 8)[0]).save(saved(tmp_path / "b", noise(2)) / "000.png")
    refused(cli, "a b", "a: 24 of 30x30; b: 23 of 30x30, 1 of 8x8", "--resolution 30")
    Image.fromarray(noise(3, 1)[0]).save(tmp_path / "b" / "000.png")
    saved(tmp_path / "c", noise(4, side=20))
    refused(cli, "c b", "c: 24 of 20x20; b: 24 of 30x30")
    _, said = values(cli, f"c b --resolution 30 {SMALL}")
    assert "30x30" in said.out
    assert "c: clean-fid, given the same files, takes all pictures as they are; here are 24 resized" in said.out


def test_names_and_order_of_files_change_nothing(cli: Cli, tmp_path: Path) -> None:
    saved(tmp_path / "a", noise(1))
    saved(tmp_path / "b", noise(2))
    (tmp_path / "c" / "x").mkdir(parents=True)
    (tmp_path / "c" / "y").mkdir()
    for index in range(24):
        shutil.copy(
            tmp_path / "b" / f"{index:03}.png", tmp_path / "c" / "xy"[index % 2] / f"{7 * index % 24:03} new.png"
        )
    np.savez(tmp_path / "d.npz", images=noise(2)[::-1])
    line = f"{SMALL} --n 20 --metrics frechet:pixels-pca,frechet,kid,prdc,far-dependence"
    first, _ = values(cli, f"a b {line}")
    for other in ("c", "d.npz"):
        assert values(cli, f"a {other} {line}")[0] == first, "values, baselines and fingerprints"


def test_bad_pictures_are_named_and_left_out_when_asked(cli: Cli, tmp_path: Path) -> None:
    saved(tmp_path / "a", noise(1))
    saved(tmp_path / "b", noise(2))
    expected, _ = values(cli, f"a b {SMALL}")
    (tmp_path / "b" / "zz.png").write_text("words")
    refused(cli, f"a b {SMALL}", "b: 1 of 25 images cannot be used: zz.png", "pass --skip-bad")
    assert "--data" not in cli("evaluate a b").err
    found, said = values(cli, f"a b {SMALL} --skip-bad")
    assert "skipped zz.png" in said.out
    assert found == expected


def test_a_note_says_what_clean_fid_would_see_otherwise(cli: Cli, tmp_path: Path) -> None:
    saved(tmp_path / "a", noise(1))
    path = saved(tmp_path / "b", noise(2))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(3, 1)[0]).save(path / "turned.png", exif=exif)
    Image.fromarray(noise(4, 1)[0]).convert("RGBA").save(path / "clear.png")
    clear = Image.new("RGBA", (30, 30), (0, 0, 0, 0))
    clear.save(path / "clear.png")
    clear.convert("RGB").save(path / "other.gif")
    (path / "README").write_text("")
    _, said = values(cli, f"a b {SMALL}")
    assert "1 turned as their EXIF tag says, 1 transparent, put on white" in said.out
    assert "b: clean-fid would not look at 1 of the pictures (1 x .gif)" in said.out
    assert "b: left out as no pictures: 1 x no suffix" in said.out
    assert "note: a:" not in said.out


def test_options_of_sets_are_refused_for_a_run_and_lying_pictures_have_their_shown_size(
    cli: Cli, tmp_path: Path
) -> None:
    for option in ("--resolution 30", "--skip-bad", "--fit pad"):
        refused(cli, f"ablation-table3/prism {option}", f"{option.split()[0]} is about sets of pictures")
    for option in ("--k-sample 2", "--train-seed 1"):
        refused(cli, f"a a {option}", f"{option.split()[0]} is about a run")
    path = saved(tmp_path / "a", noise(1)[:, :20])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(3, 1)[0][:, :20]).save(path / "turned.png", exif=exif)
    assert open_source(path).sizes() == {(30, 20): 25}
    assert "20x20" in values(cli, f"a a {SMALL} --metrics frechet")[1].out


def test_a_folder_of_samples_that_is_written_over_keeps_none_of_the_earlier(tmp_path: Path) -> None:
    """What is measured of it would be of both."""
    out = tmp_path / "samples"
    for n in (5, 3):
        write_samples(noise(n, n).transpose(0, 3, 1, 2), None, None, {}, out)
        (out / "notes.txt").write_text("mine")
    assert sorted(path.name for path in out.iterdir()) == ["000000.png", "000001.png", "000002.png", "notes.txt"]


# Saved statistics.


@pytest.fixture
def statistics(tmp_path: Path) -> Path:
    """Of pictures b through the encoder, by the formulas of clean-fid and pytorch-fid."""
    saved(tmp_path / "a", noise(1))
    saved(tmp_path / "b", noise(2) // 2)
    features = EfficientNetLite0(input_size=32).load(None, "cpu")((noise(2) // 2).transpose(0, 3, 1, 2))
    np.savez(tmp_path / "b.npz", mu=np.mean(features, axis=0), sigma=np.cov(features, rowvar=False))
    return tmp_path


def test_saved_statistics_are_a_reference(cli: Cli, statistics: Path) -> None:
    by_pictures, _ = values(cli, f"a b {SMALL} --metrics frechet")
    found, said = values(cli, f"a b.npz {SMALL}")
    (value,) = found.values()
    assert value["value"] == pytest.approx(by_pictures["fd_efficientnet_lite0"]["value"], rel=1e-5)
    assert (value["n"], value["reference_n"], value["floor"]) == (24, 0, None)
    assert value["fingerprint"] != by_pictures["fd_efficientnet_lite0"]["fingerprint"]
    assert "24 pictures against the statistics b.npz, 30x30" in said.out
    assert "that it is of efficientnet-lite0 is taken on trust" in said.out


def test_statistics_that_do_not_fit_are_refused(cli: Cli, statistics: Path) -> None:
    mu, sigma = np.zeros(4), np.eye(4)
    wrong = {
        "short": ({"mu": mu, "sigma": sigma}, "statistics of 4 features, and efficientnet-lite0 has 1,280"),
        "alone": ({"mu": mu}, "holds mu float64 [4]; statistics are mu [d] and sigma [d, d]"),
        "shape": ({"mu": mu, "sigma": np.eye(3)}, "sigma float64 [3, 3]"),
        "nan": ({"mu": mu * np.nan, "sigma": sigma}, "floating-point numbers, all finite"),
        "skew": ({"mu": mu, "sigma": sigma + np.triu(np.ones(4), 1)}, "not symmetric"),
        "negative": ({"mu": mu, "sigma": -sigma}, "negative eigenvalues"),
        "objects": ({"mu": np.array([None]), "sigma": sigma}, "cannot be read"),
    }
    for name, (arrays, words) in wrong.items():
        np.savez(statistics / f"{name}.npz", **arrays)
        refused(cli, f"a {name}.npz {SMALL}", words)
    refused(cli, f"a b.npz {SMALL} --metrics kid", "kid:efficientnet-lite0 needs the reference's pictures")
    refused(cli, "a b.npz --encoder pixels-pca", "frechet:pixels-pca needs the reference's pictures")
    refused(cli, "b.npz a", "holds statistics, which are a reference")
    assert saved_moments(statistics / "a") is None
