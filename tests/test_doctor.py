"""doctor: a sound machine, and each kind of unsound one."""

import re
from pathlib import Path

import pytest
from conftest import Cli

from prism_bench.experiments.tools import doctor
from prism_bench.prism.encoders.efficientnet import EfficientNetLite0
from prism_bench.prism.encoders.inception import Inception


@pytest.fixture(autouse=True)
def nothing_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PRISM_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_a_sound_machine_is_ready_and_its_golden_run_is_the_one_that_was_written_down(cli: Cli) -> None:
    said = cli("doctor")
    assert said.code == 0, said.out
    assert "golden run: data, training, sampling and metric as they should be" in said.out
    assert "cifar10: not here" in said.out
    assert "prism-bench data prepare cifar10 --from PATH" in said.out
    assert "Ready: prism-bench run" in said.out
    elsewhere = cli("doctor --no-golden --store 'another one'").out
    assert re.search(r"Ready: prism-bench run ablation-table3 --scale smoke --store '.*/another one'", elsewhere)
    assert re.search(r"prism-bench data prepare cifar10 --from PATH --store '.*/another one'", elsewhere)


def test_other_numbers_are_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "GOLDEN_FLOOR", doctor.GOLDEN_FLOOR * 1.01)
    said = cli("doctor")
    assert said.code == 1
    assert "floor 572.259 instead of 577.982" in said.out
    assert "1 check failed" in said.out


def test_damaged_weights_and_a_store_that_cannot_be_written(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    for name in (EfficientNetLite0.weights.file, Inception.weights.file):
        (weights / name).write_bytes(b"damaged")
    monkeypatch.setenv("PRISM_BENCH_WEIGHTS", str(weights))
    (tmp_path / "file").write_text("not a folder")
    said = cli(f"doctor --no-golden --store {tmp_path / 'file'}")
    assert said.code == 1
    assert said.out.count("fails  ") == 3
    assert f"rm {weights / Inception.weights.file}" in said.out
    assert "--store ANOTHER-FOLDER" in said.out


def test_a_check_that_breaks_is_a_finding(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("no such symbol")

    monkeypatch.setattr(doctor, "_openmp", broken)
    said = cli("doctor --no-golden")
    assert said.code == 1
    assert "OpenMP: RuntimeError: no such symbol" in said.out
