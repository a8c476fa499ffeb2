"""`prism-bench compare` through the command line, on tables and records that are there."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Cli
from PIL import Image

SMALL = (
    "--scale smoke --no-mlflow --workers 0 "
    "--set samples=16 --set training.images=64 --set training.rampup_images=0 --set sampler.steps=2"
)
STORE = Path("prism-bench-store")


@pytest.fixture
def ran(cli: Cli) -> Cli:
    said = cli(f"run ablation-table3 {SMALL} --seeds 0-2 --only variant=patchd|prism")
    assert said.code == 0, said.err
    return cli


def records() -> dict[tuple[str, int], dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in (STORE / "records").iterdir()]
    return {(record["row"], record["seed"]): record for record in found}


def fd(record: dict[str, Any]) -> float:
    return float(record["values"][0]["value"])


def test_settings_metrics_and_samples_side_by_side(ran: Cli) -> None:
    said = ran("compare ablation-table3/patchd ablation-table3/prism --out here")
    assert said.code == 0, said.err
    for line in (
        "in 4 settings:",
        "aggregator: none -> set_transformer",
        "sampling.k_sample: 0 -> 1",
        "training_set: X -> X_train",
    ):
        assert line in said.out
    known = records()
    gaps = [fd(known["prism", seed]) - fd(known["patchd", seed]) for seed in range(3)]
    told = said.out.partition("paired by seed")[2].splitlines()
    shown = float(next(line for line in told if line.strip().startswith("FD")).partition("steps=2] ")[2].split()[0])
    assert shown == pytest.approx(np.mean(gaps), abs=1)
    rows = csv.DictReader(Path("here/compare.csv").read_text().splitlines())
    assert {row["seed"] for row in rows} == {"0", "1", "2"}
    there = {one.name for one in Path("here").iterdir()}
    assert {"compare.md", "compare.tex", "intervals.png", "overview.png"} <= there
    assert not [name for name in there if name.startswith(".")], "a folder of the user's own gets no notes"
    with Image.open("here/overview.png") as picture:
        assert picture.size[0] > 1000
    pooled = ran("compare ablation-table3/patchd ablation-table3/prism --pool")
    assert pooled.code == 0, pooled.err
    told = pooled.out.partition("paired by seed")[2].splitlines()
    assert "%" in next(line for line in told if line.strip().startswith("FD")), "logarithms of FD, told in percent"


def test_records_by_the_beginning_of_their_names(ran: Cli) -> None:
    known = records()
    one, other = (known["patchd", seed]["record"] for seed in (0, 1))
    said = ran(f"compare {one[:12]} {other[:12]}")
    assert said.code == 0, said.err
    assert "differs from PatchD" in said.out
    assert "shares no seed" in said.out
    assert "(" + one[:12] + ")" in said.out, "two rows of one label are told apart"


def test_one_k_sample_of_several(cli: Cli) -> None:
    assert cli(f"schedule-sweep {SMALL} --k-sample 1,2 --schedules fixed").code == 0
    said = cli("compare schedule-sweep/fixed@1 schedule-sweep/fixed@2")
    assert said.code == 0, said.err
    assert "in 1 setting:" in said.out
    assert "sampling.k_sample: 1 -> 2" in said.out
    said = cli("compare schedule-sweep/fixed schedule-sweep/fixed@2")
    assert (said.code, "the row has the k_sample 1, 2; write schedule-sweep/fixed@1" in said.err) == (2, True)


def test_what_cannot_be_compared_is_said(ran: Cli) -> None:
    for line, words in (
        ("compare ablation-table3/prism", "two things at least"),
        ("compare ablation-table3/prism ablation-table3/prsm", "did you mean prism"),
        ("compare ablation-table3/prism ffff", "no record begins with 'ffff'"),
        ("compare ablation-table3/prism *", "no record begins with '*'"),
        ("compare ablation-table3/prism ablation-table3/prism", "are the same; compare it with something else"),
        ("compare ablation-table3/prism table1/prism", "no run of 'table1'"),
    ):
        said = ran(line)
        assert (said.code, words in said.err) == (2, True), said.err
    assert ran(f"run table1 {SMALL} --only variant=prism --dataset digits --resolution 16").code == 0
    said = ran("compare ablation-table3/prism table1/prism")
    assert said.code == 2
    assert "different images cannot be compared" in said.err
