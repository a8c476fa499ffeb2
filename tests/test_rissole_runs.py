"""RISSOLE through the command line: its row of Table 1, its refusals, and a first stage from a file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Cli
from safetensors import safe_open

from prism_bench.baselines.rissole.first_stage.first_stage_file import FILES
from prism_bench.prism.engine.store import Address, Store

SMALL = (
    "--scale smoke --no-mlflow --workers 0 "
    "--set samples=16 --set training.images=256 --set training.rampup_images=0 --set rissole.sampler.steps=3"
)
STORE = Path("prism-bench-store")
ROWS = "--only variant=rissole|rissole-first-stage"


@pytest.fixture(autouse=True)
def _no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILES.variable, "")


def records() -> dict[str, Any]:
    found = [json.loads(path.read_text()) for path in STORE.glob("records/*.json")]
    return {record["row"]: record for record in found}


def test_table_1_measures_rissole_beside_the_quoted_number(cli: Cli) -> None:
    line = f"run table1 --with rissole-first-stage --with rissole-x-train {SMALL}"
    said = cli(line)
    assert said.code == 0, said.err
    assert "is not computed" not in said.out
    (table,) = STORE.glob("reports/table1/*/table1.md")
    rows = [text for text in table.read_text().splitlines() if text.startswith("| RISSOLE |")]
    assert float(rows[0].split("|")[2]) > 0, "an FD of its own"
    assert any("*28.77*" in row for row in rows), "the quoted number, in a further table"
    grids = {path.name for path in table.parent.glob("grid-*.png")}
    assert {"grid-rissole.png", "grid-patchd.png", "grid-prism.png"} <= grids
    found = records()
    own, first, prism = found["rissole"], found["rissole-first-stage"], found["prism"]
    assert own["parameters"] > own["cost"]["active_parameters"] > 0
    assert prism["parameters"] == prism["cost"]["active_parameters"]
    # The first stage's row rests on the training that RISSOLE rests on, and its costs are among RISSOLE's.
    manifest = Store(STORE).manifest(Address("training", own["stages"]["training"]))
    assert manifest is not None
    assert manifest.identity["inputs"]["first"]["parameters"]["method"] == first["config"]["method"]
    for cost in ("train_seconds", "images", "train_flops"):
        assert own["cost"][cost] > first["cost"][cost] > 0
    assert own["cost"]["train_flops"] == pytest.approx(prism["cost"]["train_flops"], rel=0.05)
    assert own["cost"]["database_bytes"] > 0
    noise = np.load(STORE / "stages" / "samples" / own["stages"]["samples"] / "pseudo_queries.npy")
    same = np.load(STORE / "stages" / "samples" / prism["stages"]["samples"] / "pseudo_queries.npy")
    assert np.array_equal(noise, same), "guided by the images that guide PRISM"
    again = cli(line)
    assert again.code == 0
    assert "0 to do" in again.out


def test_the_daily_commands_know_rissole(cli: Cli) -> None:
    said = cli(f"run table1 {SMALL} --only variant=rissole|prism")
    assert said.code == 0, said.err
    said = cli("sample table1/rissole --n 4 --workers 0 --out four.png")
    assert said.code == 0, said.err
    assert Path("four.png").stat().st_size > 0
    said = cli("sample table1/rissole --n 4 --workers 0 --sampler heun --out heun.png")
    assert said.code == 2
    assert "sampler heun does not fit method rissole; use one of ddim, ddpm" in said.err
    said = cli("compare table1/rissole table1/prism --out compared")
    assert said.code == 0, said.err
    said = cli("cache verify")
    assert said.code == 0, said.err
    said = cli("bundle table1 --out bundle.zip")
    assert said.code == 0, said.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--set rissole.method.factor=3", "cannot be cut into 3x3 equal blocks: factor must divide 8"),
        ("--set rissole.method.k=500", "k = 500 is more than its database holds: 256 latents, the query itself"),
        ("--set rissole.sampler.steps=2000", "sampler.steps = 2000 but the noise process has 1000 steps"),
        ("--set rissole.sampler=heun", "sampler heun does not fit method rissole; use one of ddim, ddpm"),
        ("--set rissole.method.first_stage=patch", "first_stage=patch is no first stage of RISSOLE"),
        ("--set rissole.method=patch", "is not RISSOLE"),
        ("--set rissole.method.unet.channels=12", "unet.channels must be multiples of 8"),
        ("--first-stage nowhere.safetensors", "no such file; name the model.safetensors of a trained first stage"),
    ],
)
def test_bad_input_is_refused_before_any_work(cli: Cli, options: str, message: str) -> None:
    said = cli(f"run table1 {SMALL} {options}")
    assert said.code == 2
    assert message in " ".join(said.err.split())
    assert not list(STORE.glob("stages/training/*"))


def test_a_first_stage_from_a_file_is_taken_over_and_must_fit(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    said = cli(f"run table1 {SMALL} --with rissole-first-stage --only variant=rissole-first-stage")
    assert said.code == 0, said.err
    file = STORE / "stages" / "training" / records()["rissole-first-stage"]["stages"]["training"] / "model.safetensors"
    taken = Path("first.safetensors")
    taken.write_bytes(file.read_bytes())
    said = cli(f"run table1 {SMALL} --first-stage first.safetensors --with rissole-first-stage {ROWS}")
    assert said.code == 0, said.err
    own = STORE / "stages" / "training" / records()["rissole"]["stages"]["training"] / "model.safetensors"
    with safe_open(own, "np") as ours, safe_open(taken, "np") as theirs:
        for name in theirs.keys():  # noqa: SIM118 - no mapping
            assert np.array_equal(ours.get_tensor(f"first_stage.{name}"), theirs.get_tensor(name))
    said = cli(f"run table1 {SMALL} --first-stage first.safetensors --with rissole-x-train --dry-run")
    assert said.code == 0, said.err
    assert "the first stage that was given (--first-stage) was trained on X" in " ".join(said.out.split())
    monkeypatch.setenv(FILES.variable, "")
    said = cli("sample table1/rissole --n 2 --workers 0 --out two.png")
    assert said.code == 0, "what was trained on it does not need it any more"
    said = cli(f"run table1 {SMALL} --resolution 32 --first-stage first.safetensors {ROWS}")
    assert said.code == 2
    assert "was trained at 16x16, but the images are 32x32; use --resolution 16" in " ".join(said.err.split())
    Path("other.safetensors").write_bytes(b"nothing")
    said = cli(f"run table1 {SMALL} --first-stage other.safetensors {ROWS}")
    assert said.code == 2
    assert "cannot be read as safetensors" in said.err


def test_rows_that_cannot_be_are_declined_with_a_reason(cli: Cli, tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(24):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(folder / f"{number}.png")
    line = "run table1 --scale smoke --no-mlflow --dry-run --with held-out-images"
    said = cli(f"{line} --data {folder} --resolution 16")
    assert said.code == 0, said.err
    assert "Held-out real images is not computed: these data keep no images out of X" in " ".join(said.out.split())
    said = cli(f"{line} --set rissole=none")
    assert said.code == 0, said.err
    assert "RISSOLE is not computed: this scale has no size for RISSOLE" in " ".join(said.out.split())


def test_held_out_images_are_outside_x(cli: Cli) -> None:
    said = cli(f"run table1 {SMALL} --with held-out-images --only variant=held-out-images")
    assert said.code == 0, said.err
    (table,) = STORE.glob("reports/table1/*/table1.md")
    assert "| (none of X) |" in table.read_text()
    record = records()["held-out-images"]
    samples = np.load(STORE / "stages" / "samples" / record["stages"]["samples"] / "images.npy")
    folders = [path.parent for path in STORE.glob("stages/dataset/*/images.npy")]
    sets = [np.load(folder / "images.npy") for folder in folders]
    assert len(sets) == 2
    inside = [{image.tobytes() for image in images} for images in sets]
    drawn = {image.tobytes() for image in samples}
    assert sorted((drawn <= images, bool(drawn & images)) for images in inside) == [(False, False), (True, True)]
