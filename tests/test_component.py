import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from prism_bench.prism.component import Component, diff, from_json, load, load_plugin, member, with_setting
from prism_bench.prism.conditioning.aggregators import CrossAttention, MeanPool, NoConditioning, SetTransformer
from prism_bench.prism.conditioning.schedules import Decreasing, Fixed, Increasing, Schedule, Tabulated
from prism_bench.prism.errors import InputError
from prism_bench.prism.patch_diffusion.denoiser import DDPMpp
from prism_bench.prism.patch_diffusion.diffusion import EDM
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.training.adam import Training


def test_any_field_of_a_method_changes_its_digest() -> None:
    base = PatchMethod()
    changed = {
        "aggregator": MeanPool(),
        "schedule": Increasing(k_max=16),
        "denoiser": DDPMpp(channels=32),
        "training": Training(images=1),
        "training_set": member("training_set", "X")(),
        "retrieval": base.retrieval.replace(normalise=False),
        "patches": base.patches.replace(full=0.5),
        "diffusion": base.diffusion.replace(sigma_data=0.4),
        "initial_weights": "sha256:0",
    }
    assert set(changed) == {field.name for field in fields(base)}
    digests = {base.replace(**{name: value}).digest() for name, value in changed.items()}
    assert len(digests | {base.digest()}) == len(changed) + 1


def test_a_runtime_choice_cannot_enter_a_component() -> None:
    with pytest.raises(TypeError):
        PatchMethod(device="cuda")  # type: ignore[call-arg]

    @dataclass(frozen=True, kw_only=True)
    class Located(Schedule, name="located"):
        folder: Path = Path("a")

        def k(self, progress: float, *, epoch: int = 0, seed: int = 0) -> int:
            return 1

        @property
        def largest(self) -> int:
            return 1

    try:
        with pytest.raises(TypeError, match="cannot be part of a component"):
            Located().digest()
    finally:
        del Component.members["schedule"]["located"]


def test_a_field_that_was_retired_stays_in_the_digest_and_is_read_past() -> None:
    """Digest of version 0.4.0, which had the field."""
    value = CrossAttention()
    assert value.digest() == "13632f48bf110a32b7b2426546fe8e45742eb42f131939e73e06dba3440f12df"
    assert "spent" not in {field.name for field in fields(value)}
    assert from_json(value.to_json()) == value
    with pytest.raises(InputError, match="aggregator/cross_attention has no field 'spent'"):
        from_json({**value.to_json(), "spent": 7})


def test_a_field_that_was_added_leaves_older_digests_as_they_were() -> None:
    """Digests of version 0.4.0, which took the mean over pixels and knew no such field."""
    older = EDM(loss="mean")
    assert older.digest() == "7089175d606f1156ed88c1a5c21ea005db744fa4ed755cbc525768f8cb6a9555"
    assert SetTransformer().digest() == "bad447ec842095a662702f0ad338e32a6c37ea58c6b357d8de8dec5fb1eee1f3"
    assert MeanPool().digest() == "99d2f88eea370151bbbd5ebace2b577b9c9daf46a5711bde3c8ebc289a25e9e7"
    assert "loss" not in older.to_json()
    assert older.to_json(whole=True)["loss"] == "mean"
    assert from_json(older.to_json()) == from_json(older.to_json(whole=True)) == older
    assert EDM().to_json()["loss"] == "sum"
    assert from_json(EDM().to_json()) == EDM()
    assert EDM().digest() != older.digest()
    base = PatchMethod()
    assert diff(base.replace(diffusion=older), base) == {"diffusion.loss": ("mean", "sum")}


def test_diff_names_what_changed_and_a_replaced_part_once() -> None:
    base = PatchMethod()
    assert diff(base, base) == {}
    assert diff(base, base.replace(denoiser=DDPMpp(channels=32))) == {"denoiser.channels": (64, 32)}
    assert diff(base, base.replace(schedule=Fixed(k_train=4))) == {
        "schedule": ("schedule/decreasing", "schedule/fixed")
    }


def test_members_are_final_and_names_are_unique() -> None:
    with pytest.raises(TypeError, match="compose or replace"):

        class Sub(Decreasing):
            pass

    with pytest.raises(InputError, match="two components call themselves schedule/fixed"):

        class Other(Schedule, name="fixed"):
            pass


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("denoser.channels", "4", "did you mean denoiser"),
        ("denoiser.chanels", "4", "did you mean channels"),
        ("denoiser.channels", "many", "expected int"),
        ("denoiser.channels.x", "4", "plain value"),
        ("denoiser.channels", "6", "multiple of 4"),
        ("schedule", "decresing", "did you mean decreasing"),
        ("patches.enlarge", "maybe", "true or false"),
        ("training.precision", "float8", "float32, bfloat16"),
    ],
)
def test_a_bad_setting_says_what_would_be_right(path: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_setting(PatchMethod(), path, text)


def test_settings_are_parsed_by_the_type_of_the_field() -> None:
    method = with_setting(PatchMethod(), "denoiser.multipliers", "1,2")
    method = with_setting(method, "aggregator", "none")
    method = with_setting(method, "training.learning_rate", "2e-4")
    method = with_setting(method, "patches.enlarge", "false")
    assert isinstance(method, PatchMethod)
    assert isinstance(method.denoiser, DDPMpp)
    assert method.denoiser.multipliers == (1, 2)
    assert method.aggregator == NoConditioning()
    assert method.training.learning_rate == 2e-4
    assert method.patches.enlarge is False


def test_a_plugin_file_adds_a_member(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import dataclass\n"
        "from prism_bench.prism.conditioning.schedules import Schedule\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Two(Schedule, name='always-two'):\n"
        "    '''Two neighbours.'''\n"
        "    def k(self, progress, *, epoch=0, seed=0):\n"
        "        return 2\n"
        "    @property\n"
        "    def largest(self):\n"
        "        return 2\n"
    )
    load_plugin(file)
    try:
        assert member("schedule", "always-two")().k(0.5) == 2  # type: ignore[attr-defined]
    finally:
        del Component.members["schedule"]["always-two"]
    with pytest.raises(InputError, match="no such file"):
        load_plugin(tmp_path / "missing.py")
    dotted = tmp_path / "my.variant.py"
    dotted.write_text("")
    with pytest.raises(InputError, match=r"no name with a dot in it; call the file my_variant\.py"):
        load_plugin(dotted)
    other = tmp_path / "other" / "mine.py"
    other.parent.mkdir()
    other.write_text("")
    with pytest.raises(InputError, match=r"mine\.py has the same name; rename one of the files"):
        load([tmp_path / "other" / "mine.py", file])
    file.write_bytes("from prism.variant import Variant\n".encode("utf-8-sig"))
    with pytest.raises(InputError, match=r"lies in one package since version 0\.5"):
        load_plugin(file)
    file.write_text("import nothing_of_that_name\n")
    with pytest.raises(InputError, match="ModuleNotFoundError"):
        load_plugin(file)


def test_values_are_checked_at_construction() -> None:
    for make, message in [
        (lambda: Decreasing(k_max=0), "k_max must be at least 1, not 0"),
        (lambda: Tabulated(values=()), "values is empty"),
        (lambda: SetTransformer(heads=0), "heads >= 1"),
        (lambda: Training(learning_rate=0), "learning_rate must be positive"),
        (lambda: Training(images=0), "images must be at least 1"),
        (lambda: DDPMpp(dropout=1.0), "dropout is a probability"),
        (lambda: Training(precision="float16"), "precision is one of float32, bfloat16, not 'float16'"),
        (lambda: EDM(loss="sums"), "loss is one of sum, mean, not 'sums'"),
    ]:
        with pytest.raises(InputError, match=message):
            make()


def test_a_member_is_called_by_its_familys_name() -> None:
    assert Schedule.called("fixed", k_train=3) == Fixed(k_train=3)
    with pytest.raises(InputError, match="unknown schedule 'fixd'; did you mean fixed"):
        Schedule.called("fixd")

    @dataclass(frozen=True, kw_only=True)
    class Stranger(Component, family="schedule", name="stranger"):
        pass

    try:
        with pytest.raises(InputError, match=r"schedule stranger does not subclass .*schedules\.Schedule"):
            Schedule.called("stranger")
    finally:
        del Component.members["schedule"]["stranger"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("member('schedule', 'fixed'); assert not loaded('encoders.clip')", ""),
        ("member('variant', 'rissole'); member('encoder', 'clip')", ""),
        ("member('metric', 'prdcc')", "unknown metric 'prdcc'; did you mean prdc"),
        ("member('shedule', 'fixed')", "unknown family 'shedule'; did you mean schedule"),
        ("load([Path('taken.py')])", "two components call themselves variant/rissole"),
    ],
)
def test_a_fresh_process_imports_what_a_name_needs_and_still_knows_all(
    tmp_path: Path, code: str, expected: str
) -> None:
    (tmp_path / "taken.py").write_text(
        "from dataclasses import dataclass\n"
        "from prism_bench.prism.variants.variant import Variant\n\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Taken(Variant, name='rissole'):\n"
        "    'A name that is taken.'\n"
    )
    script = (
        "import sys\nfrom pathlib import Path\nimport prism_bench.prism.conditioning.schedules\n"
        "from prism_bench.prism.component import load, member\n"
        "def loaded(module): return f'prism_bench.prism.{module}' in sys.modules\n"
        f"{code}\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode != 0) == bool(expected), done.stderr
    assert expected in done.stderr
