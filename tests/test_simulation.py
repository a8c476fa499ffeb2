"""The simulated plan: laws of the real scheduler that hold at any size."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "simulation.py"
STAGES = 200


@pytest.fixture(scope="module")
def simulation() -> Iterator[ModuleType]:
    """It lies in the repository, beside the installed package."""
    spec = importlib.util.spec_from_file_location("simulation", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("workers", [1, 7])
def test_without_deaths_every_stage_is_begun_once_and_no_work_is_lost(
    simulation: ModuleType, tmp_path: Path, workers: int
) -> None:
    plan = simulation.simulated_plan(STAGES)
    outcome, pool = simulation.simulate(plan, workers, tmp_path, charge=False)
    assert sorted(pool.begun) == sorted(pool.published) == sorted(str(stage.address) for stage in plan)
    assert outcome.lost == outcome.died == 0
    # A list of tasks in any order takes at most twice as long as it must, were all places of one kind.
    assert outcome.bound - 1e-6 <= outcome.makespan < 3 * outcome.bound
    assert outcome.idle == pytest.approx(
        1 - sum(stage.seconds for stage in plan if stage.on_device) / workers / outcome.makespan
    )
    assert not list((tmp_path / "locks").iterdir())


def test_a_stage_is_begun_as_often_as_its_workers_died_and_once_more(simulation: ModuleType, tmp_path: Path) -> None:
    plan = simulation.simulated_plan(STAGES)
    outcome, pool = simulation.simulate(plan, 7, tmp_path, charge=False, deaths=1.0, checkpoint=600.0)
    assert outcome.died > 10
    assert sorted(pool.published) == sorted(str(stage.address) for stage in plan), "nothing is made twice"
    assert len(pool.begun) == len(plan) + outcome.died
    # Of a stage on a GPU at most what came after its last checkpoint; of another one all that it had done.
    assert 0 < outcome.lost < outcome.died * max(600.0, *(one.seconds for one in plan if not one.on_device))
    assert outcome.makespan > outcome.bound
    assert pool.busy == pytest.approx(
        sum(stage.seconds for stage in plan if stage.on_device) + pool.lost_on_device, rel=1e-9
    )


def test_who_follows_a_dead_worker_waits_for_its_lease_to_be_silent(simulation: ModuleType, tmp_path: Path) -> None:
    stage = simulation.Simulated(name="training 0", seconds=50_000.0, on_device=True)
    outcome, _ = simulation.simulate([stage], 1, tmp_path, charge=False, deaths=0.5)
    assert outcome.died > 1
    waited = outcome.makespan - stage.seconds - outcome.lost
    assert waited == pytest.approx(outcome.died * simulation.SILENCE, abs=outcome.died * simulation.LOOK)


def test_the_plan_is_shaped_like_the_papers(simulation: ModuleType) -> None:
    plan = simulation.simulated_plan(2000)
    count = {kind: sum(one.name.startswith(kind) for one in plan) for kind in ("training", "samples", "metric")}
    assert 2000 <= len(plan) < 2040
    assert count["samples"] == pytest.approx(2 * count["training"], abs=1)
    assert count["metric"] == 7 * count["samples"]
    names = [stage.name for stage in plan]
    assert len(set(names)) == len(names)
