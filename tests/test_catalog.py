"""The paper as a catalog: its cells and trainings, what they share, its numbers, claims and controls."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from conftest import TINY, Cli
from rich.console import Console

from prism_bench.baselines.systems import OtherSystems
from prism_bench.baselines.table3 import Prism
from prism_bench.experiments.options.training import RunOptions
from prism_bench.experiments.paper.controls import REAL
from prism_bench.experiments.paper.experiment import Experiment, Row
from prism_bench.experiments.paper.hybrid_table5 import HybridTable5
from prism_bench.experiments.paper.names import PAPER_ORDER
from prism_bench.experiments.paper.published import paper_numbers
from prism_bench.experiments.paper.scales import SCALES
from prism_bench.experiments.paper.schedule_sweep import ScheduleSweep
from prism_bench.experiments.planning.plan import Plan, compile_plans, distinct_trainings, table_cells
from prism_bench.experiments.planning.plan_document import with_digest
from prism_bench.experiments.planning.resolve_options import requests_of
from prism_bench.prism.component import Component
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.variants.scale import Scale

TABLES = ("table1", "table2", "table3", "table4", "table5")


def planned(folder: Path, *names: str, **options: object) -> list[Plan]:
    """Plans as `run` would compile them, without data or weights."""
    store = Store.create(folder)
    asked = RunOptions(**{"experiments": names, "store": folder, "dry_run": True, "scale": "paper", **options})  # type: ignore[arg-type]
    return compile_plans(requests_of(asked, store, Console(quiet=True)))


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> list[Plan]:
    return planned(tmp_path_factory.mktemp("paper"), *TABLES)


def trainings(plans: list[Plan]) -> set[str]:
    return {str(cell.training.address) for plan in plans for cell in plan.cells}


def test_the_five_tables_have_47_cells_from_22_trainings(paper: list[Plan]) -> None:
    assert table_cells(paper) == 47
    assert distinct_trainings(paper) == 22
    assert len(trainings(paper)) == 22, "none is declined; what RISSOLE rests on is counted with it"
    by_table = Counter(plan.document.paper_table for plan in paper for _ in (*plan.cells, *plan.declined))
    assert by_table == {"Table 1": 9, "Table 2": 3, "Table 3": 8, "Table 4": 24, "Table 5": 3}


def test_seeds_multiply_cells_and_trainings(tmp_path: Path) -> None:
    plans = planned(tmp_path, *TABLES, seeds=(0, 1, 2))
    assert (table_cells(plans), distinct_trainings(plans)) == (3 * 47, 3 * 22)


def test_figures_add_no_training_and_no_cell(paper: list[Plan], tmp_path: Path) -> None:
    everything = planned(tmp_path, "all")
    assert table_cells(everything) == 47
    assert trainings(everything) == trainings(paper)


def test_dry_run_says_it_in_one_line_without_data_or_weights(cli: Cli) -> None:
    said = cli("run all --scale paper --dry-run")
    assert said.code == 0, said.err
    assert re.search(
        r"^47 cells · 22 trainings · \d+ stages: 0 cached .* to do · about .* · [\d.]+ GB$", said.out, re.M
    )
    for name in ("CIFAR-10", "CelebA", "ImageNet-100", "AFHQv2"):
        assert f"the pictures of {name} are not here" in said.out
    assert "is not computed" not in said.out


def test_a_real_run_without_the_data_names_every_missing_set_and_does_nothing(cli: Cli, tmp_path: Path) -> None:
    said = cli("run all --scale paper")
    assert said.code == 2
    for name in ("cifar10", "celeba", "imagenet100", "afhqv2"):
        assert f"--data {name}=PATH" in said.err
    assert not list(tmp_path.glob("prism-bench-store/experiments/*"))


def test_a_column_of_table_4_is_one_training_and_shared_rows_are_shared(paper: list[Plan]) -> None:
    by_name = {(plan.request.experiment.name, plan.request.panel): plan for plan in paper}
    sweep = by_name["schedule-sweep", "CelebA 64x64"]
    assert len(sweep.cells) == 24
    assert len(trainings([sweep])) == 4
    assert len({str(cell.samples.address) for cell in sweep.cells}) == 24

    def of(experiment: str, panel: str, row: str) -> str:
        (cell,) = [cell for cell in by_name[experiment, panel].cells if cell.row == row]
        return cell.record

    for panel in ("CIFAR-10 32x32", "CelebA 64x64"):
        for row in ("patchd", "prism"):
            assert of("table1", panel, row) == of("ablation-table3", panel, row)
    assert of("table2", "CIFAR-10 32x32", "prism") == of("table1", "CIFAR-10 32x32", "prism")


def test_the_quoted_numbers_are_the_papers_in_its_order(paper: list[Plan]) -> None:
    def quoted(table: str) -> list[float]:
        plans = [plan for plan in paper if plan.document.paper_table == table]
        return [number.value for plan in plans for row in plan.document.rows for number in row.quoted if number.better]

    numbers = paper_numbers()
    assert sorted(quoted("Table 1")) == sorted(row["fid"] for row in numbers["table1"])
    assert quoted("Table 2") == [row["fid"] for row in numbers["table2"]]
    assert quoted("Table 3") == [row["celeba"] for row in numbers["table3"]] + [
        row["cifar10"] for row in numbers["table3"]
    ]
    table4 = numbers["table4"]
    assert quoted("Table 4") == [
        fid for name in ("decreasing", "increasing", "random", "fixed") for fid in table4[name]
    ]
    assert len(quoted("Table 5")) == 3


@pytest.mark.parametrize("panel", ["cifar10", "celeba", "imagenet100", "afhqv2"])
def test_scale_paper_is_table_6(panel: str) -> None:
    told, scale = paper_numbers()["table6"][panel], SCALES["paper"].on(panel)
    method = scale.method
    assert method.denoiser.channels == told["channels"]
    assert method.training.batch == told["batch"]
    assert method.training.images == told["duration_mimg"] * 1_000_000
    assert method.training.learning_rate == told["lr"]
    assert method.training.final_fraction == 1.0
    assert scale.k_max == told["k_max"]
    assert scale.samples == 50_000
    assert scale.part(ScheduleSweep(sweep_length=2.0)).sweep_length == 1.0
    assert scale.part(HybridTable5(hybrid_length=2.0)).hybrid_length == 1.0


@pytest.mark.parametrize("name", SCALES)
def test_every_scale_has_a_rissole_of_the_name_and_budget_that_plans_list(name: str) -> None:
    for panel in SCALES[name].panels or ("",):
        scale = SCALES[name].on(panel)
        systems = scale.part(OtherSystems())
        made = systems.rissole_system
        assert made is not None
        assert systems.choices() == systems.replace(rissole=made).choices()
        made.method.check(scale.dataset.resolution)


@pytest.mark.parametrize("scale", SCALES)
def test_every_row_of_every_scale_ends_its_ramp_up_well_before_its_training(scale: str, tmp_path: Path) -> None:
    """Rows that train for longer or shorter too, and controls: all reach the learning rate that they say."""
    plans = planned(tmp_path, *TABLES, scale=scale, controls=True)
    methods = {str(cell.training.address): cell.training.method for plan in plans for cell in plan.cells}
    trained = {address: method.training for address, method in methods.items() if hasattr(method, "training")}
    assert len(trained) > 10
    for training in trained.values():
        assert training.rampup_images <= 0.4 * training.images


def test_every_claim_has_its_pairs_and_says_what_differs(paper: list[Plan]) -> None:
    claims = {claim.id: claim for plan in paper for claim in plan.document.claims}
    limit = claims.pop("no-copies").limit
    assert (limit.metric, limit.most, {side.row for side in limit.sides}) == (
        "copied_query",
        2.0,
        {"prism"},
    )
    sizes = {name: len(claim.pairs) for name, claim in claims.items()}
    assert sizes == {
        "fewer-images": 3,
        "better-than-rissole": 1,
        "components-help": 3,
        "decreasing-best": 18,
        "k-sample-one-best": 5,
        "retrieval-helps-hybrid": 2,
    }
    first, second, third = (list(pair.factors) for pair in claims["components-help"].pairs)
    assert set(first) == {"aggregator", "training_set"}, "PatchD is trained on X, RAG on X_train: two causes"
    assert (second, set(third)) == (["aggregator"], {"schedule", "k_sample"})
    assert all(pair.factors == ("schedule",) for pair in claims["decreasing-best"].pairs)
    assert all(pair.factors == ("k_sample",) for pair in claims["k-sample-one-best"].pairs)


def test_claims_name_their_outcomes_before_anything_runs(paper: list[Plan], tmp_path: Path) -> None:
    claims = [claim for plan in paper for claim in plan.document.claims]
    for claim in claims:
        named = [(outcome.of, outcome.metric) for outcome in claim.outcomes]
        both = [("appearance", "fid_clean"), ("global coherence", "far_dependence")]
        assert named == (both if claim.pairs else []), claim.id
    (plan,) = planned(tmp_path, "ablation-table3", scale="smoke")
    assert {outcome.metric for claim in plan.document.claims for outcome in claim.outcomes} == {
        "fd_efficientnet_lite0",
        "far_correlation",
    }
    (digits,) = planned(tmp_path, "ablation-table3", scale="smoke", dataset="digits")
    assert digits.document.claims[0].outcomes[1].metric == "far_dependence", "where no truth is known"


def test_other_outcomes_than_the_usual_change_a_plans_digest(tmp_path: Path) -> None:
    (plan,) = planned(tmp_path, "ablation-table3", scale="smoke")
    first, *others = plan.document.claims
    usual = first.outcomes
    for outcomes, same in ((usual, True), ((), True), (usual[:1], False), (usual[::-1], False)):
        claims = (first.model_copy(update={"outcomes": outcomes}), *others)
        changed = with_digest(plan.document.model_copy(update={"claims": claims}), usual=usual)
        assert (changed.plan == plan.digest) == same, outcomes


def test_controls_differ_from_their_row_in_one_factor(tmp_path: Path) -> None:
    (plan,) = planned(tmp_path, "ablation-table3", scale="smoke", controls=True)
    method = {cell.row: cell.training.method for cell in plan.cells}
    rows = {row.id: row for row in plan.document.rows}
    for control, row, factor in (
        ("patchd-x-train", "patchd", "training_set"),
        ("random-neighbours", "prism", "retrieval"),
        ("shuffled-neighbours", "prism", "retrieval"),
        ("zero-condition", "prism", "aggregator"),
        ("mean-equal-parameters", "st-rag", "aggregator"),
        ("rag-plain", "rag", "aggregator"),
    ):
        assert rows[control].control
        one, other = method[control], method[row]
        assert isinstance(one, PatchMethod)
        assert isinstance(other, PatchMethod)
        assert one != other
        assert one.replace(**{factor: getattr(other, factor)}) == other


def test_every_table_with_controls_says_how_large_a_distance_is(tmp_path: Path) -> None:
    tables = planned(tmp_path, *TABLES, scale="smoke", controls=True)
    assert len(tables) == 5
    for plan in tables:
        real = [(row.id, row.control) for row in plan.document.rows if row.id in {it.id for it in REAL}]
        assert real == [(it.id, True) for it in REAL], plan.document.experiment
    samples = {cell.samples.address for plan in tables for cell in plan.cells if cell.row == "noise-5"}
    assert len(samples) == 1, "computed once for all tables"


def test_smaller_sets_are_nested_parts_of_x_train_and_leave_d_alone(tmp_path: Path) -> None:
    (plan,) = planned(tmp_path, "table2", scale="smoke")
    parts = plan.request.parts
    used = [set(cell.training.method.training_set.ids(parts).tolist()) for cell in plan.cells]
    assert used[2] < used[1] < used[0] == set(parts.train.tolist())
    assert [len(ids) for ids in used] == [77, 38, 8]
    assert not used[0] & set(parts.retrieval.tolist())


def test_table_1_says_how_many_images_each_row_learns_from_and_retrieves_from(tmp_path: Path) -> None:
    (plan,) = planned(tmp_path, "table1", scale="smoke", controls=True)
    d, train = len(plan.request.parts.retrieval), len(plan.request.parts.train)
    sizes = {row.id: (row.train_images, row.retrieval_images) for row in plan.document.rows if row.cells}
    assert sizes["patchd"] == (d + train, 0)
    assert sizes["prism"] == (train, d)
    assert sizes["rissole"] == (d + train, d + train), "all images are its database"
    assert sizes["rissole-x-train"] == (train, d)
    (other,) = planned(tmp_path, "table3", scale="smoke")
    assert {row.train_images for row in other.document.rows} == {None}, "its plans are those of 0.4.0"


def test_rissole_is_no_claims_side_where_a_scale_has_none(tmp_path: Path) -> None:
    (plan,) = planned(tmp_path, "table1", scale="smoke")
    assert [claim.id for claim in plan.document.claims] == ["fewer-images", "better-than-rissole"]
    (without,) = planned(tmp_path, "table1", scale="smoke", settings=("rissole=null",))
    assert [claim.id for claim in without.document.claims] == ["fewer-images"]


def test_settings_become_part_of_identity_and_label(tmp_path: Path) -> None:
    (plain,) = planned(tmp_path, "table3", scale="smoke")
    (varied,) = planned(tmp_path, "table3", scale="smoke", settings=("k_max=2",))
    assert plain.digest != varied.digest
    assert trainings([plain]) & trainings([varied]), "rows without k_max stay shared"
    assert trainings([plain]) != trainings([varied])
    assert all(row.label.endswith("[k_max=2]") for row in varied.document.rows)


@pytest.mark.parametrize("name", ["table1", "table3", "table4"])
def test_k_max_is_the_base_schedules_and_reaches_every_row_made_from_it(tmp_path: Path, name: str) -> None:
    (short,), (long,) = (
        planned(tmp_path, name, scale="smoke", settings=(f"{path}=2",)) for path in ("k_max", "schedule.k_max")
    )
    assert short.stages.keys() == long.stages.keys()
    methods = {cell.row: cell.training.method for cell in long.cells}
    annealed = methods.keys() & {"prism", "decreasing", "increasing", "random"}
    assert annealed
    assert {methods[row].largest_k for row in annealed} == {2}
    assert long.document.choices["k_max (k_max)"] == 2


def test_a_tables_setting_is_refused_where_it_changes_nothing(tmp_path: Path) -> None:
    (plain,), (fewer,) = (
        planned(tmp_path, "table4", scale="smoke", settings=settings) for settings in ((), ("few_size=9",))
    )
    assert fewer.document.rows[0].label == "Decreasing [few_size=9]"
    assert not trainings([plain]) & trainings([fewer])
    with pytest.raises(InputError, match="few_size=9 changes none of the rows"):
        planned(tmp_path, "table3", scale="smoke", settings=("few_size=9",))
    with pytest.raises(InputError, match="did you mean few_size"):
        planned(tmp_path, "table3", scale="smoke", settings=("few_sizes=9",))
    (same,) = planned(tmp_path, "table1", scale="smoke", settings=("rissole.budget=equal",))
    assert same.cells, "a setting that is in force already is no mistake"


def test_the_fields_of_a_users_table_are_settings(tmp_path: Path) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Mine(Experiment, name="mine"):
        title: ClassVar[str] = "Mine"
        paper_table: ClassVar[str] = ""
        panels: ClassVar[tuple[str, ...]] = ("celeba",)
        neighbours: int = 2

        def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
            return (Row(id="prism", label="PRISM", variant=Prism(), k_sample=(self.neighbours,)),)

    try:
        (plan,) = planned(tmp_path, "mine", scale="smoke", settings=("neighbours=3",))
    finally:
        del Component.members["experiment"]["mine"]
    assert [cell.samples.k_sample for cell in plan.cells] == [3]


def test_the_sweeps_own_options_are_settings_of_its_scale(cli: Cli) -> None:
    line = f"{TINY} --k-sample 1,3 --schedules decreasing,fixed --k-max 3 --fixed-k 2 --train-size 9"
    said = cli(f"schedule-sweep {line} --dry-run")
    assert said.code == 0, said.err
    assert "4 cells · 2 trainings" in said.out
    for k in (1, 3):
        for name in ("Decreasing", "Fixed"):
            assert f"{name}, seed 0, k_sample {k}" in said.out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run tabel4", "unknown experiment 'tabel4'"),
        ("run table1 --scale paper --data faces", "--data celeba=faces"),
        ("run table1 --scale smoke --data celeba=faces", "all rows share one set; give --data PATH"),
        ("run table2 --scale paper --dataset celeba", "nothing that was asked for uses it; it uses cifar10"),
        ("schedule-sweep --scale smoke --schedules decreasin", "unknown schedule 'decreasin'"),
        ("schedule-sweep --scale smoke --k-sample 0", "k_samples must hold numbers of at least 1"),
        ("schedule-sweep --scale smoke --k-sample 1,500", "500 neighbours are asked for"),
        ("schedule-sweep --scale smoke --train-size 5000", "X_train holds 77 images"),
    ],
)
def test_what_cannot_be_is_said_at_once(cli: Cli, line: str, words: str) -> None:
    said = cli(line)
    assert said.code == 2, said
    assert words in " ".join(said.err.split())
    assert "Traceback" not in said.err


def test_all_means_the_whole_paper(tmp_path: Path) -> None:
    plans = planned(tmp_path, "all", scale="smoke")
    assert [plan.request.experiment.name for plan in plans] == list(PAPER_ORDER)
    figure4, sweep = plans[-1], plans[3]
    assert [cell.record for cell in figure4.cells] == [cell.record for cell in sweep.cells]
