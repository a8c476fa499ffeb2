"""What a study found: the best point with its interval, all trials, the picture, and the command that uses it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prism_bench.analysis.figures.tuning_figures import Tried, sensitivity
from prism_bench.analysis.formatting import decimals, fixed
from prism_bench.analysis.stats.statistics import Interval, kendall_tau, mean_interval, paired_difference
from prism_bench.experiments.options.option import command_of
from prism_bench.experiments.options.training import TuneOptions
from prism_bench.experiments.tuning.space import Point, Space, words
from prism_bench.experiments.tuning.study import KILLED, REASON, Trials, point_of
from prism_bench.prism.engine.runtime import write_bytes
from prism_bench.prism.metrics.base import Value

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

FEWEST = 4
"""Trials with both a proxy and a value from which on their rank correlation is told."""


@dataclass(frozen=True)
class Summary:
    """Lines for people, and the files behind them."""

    lines: list[str]
    files: dict[str, Path]
    best: dict[str, float]


def summarise(trials: Trials, metric: Value, options: TuneOptions, folder: Path) -> Summary:
    """Write trials.csv, sensitivity.png and summary.md, and say what was found."""
    # The best first; of equal ones the earlier.
    finished = sorted(trials.finished(), key=lambda trial: (trial.values or [])[0], reverse=metric.better == "higher")
    if not finished:
        return Summary(["No trial has a value yet; the same command goes on."], {}, {})
    best = finished[0]
    label, interval = metric.label, _interval(best)
    places = decimals([trial.values[0] for trial in finished if trial.values])
    lines = [
        f"Best of {len(finished)}: {words(point_of(best, trials.space))}: {label} {_spelled(interval, places)} "
        f"({interval.estimator})",
        *_runner_up(finished, trials.space, label, places),
        *_proxy_lines(finished),
        f"Use it: {command(point_of(best, trials.space), trials.space, options)}",
    ]
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / name for name in ("trials.csv", "sensitivity.png", "summary.md")}
    write_bytes(files["trials.csv"], _csv(trials, metric.name).encode())
    tried = [
        Tried(point=point_of(trial, trials.space), values=tuple(_by_seed(trial).values()), best=trial is best)
        for trial in finished
    ]
    sensitivity(tried, label, files["sensitivity.png"])
    write_bytes(files["summary.md"], _markdown(trials, finished, label, lines, places).encode())
    return Summary(lines, files, {metric.name: interval.mean})


def command(point: Point, space: Space, options: TuneOptions) -> str:
    """The command that runs Table 3, and the tuned variant with it, at a point, on all else that the study had."""
    schedule = point.get("schedule")
    run = replace(
        options.run,
        experiments=("ablation-table3",),
        extra=() if options.variant == "prism" else (options.variant,),
        settings=(*options.settings, *space.settings(point)),
    )
    text = command_of("run", run)
    return (
        text if schedule in {None, "decreasing"} else f"{text}   (its schedule, {schedule}, needs a variant of yours)"
    )


def spelled(trial: "FrozenTrial") -> str:
    """A trial's mean and interval."""
    interval = _interval(trial)
    return _spelled(interval, decimals([interval.mean]))


def _by_seed(trial: "FrozenTrial") -> dict[int, float]:
    return {int(seed): float(value) for seed, value in trial.user_attrs["by_seed"].items()}


def _interval(trial: "FrozenTrial") -> Interval:
    return mean_interval(list(_by_seed(trial).values()))


def _spelled(interval: Interval, places: int) -> str:
    if interval.low is None or interval.high is None:
        return fixed(interval.mean, places)
    return f"{fixed(interval.mean, places)} [{fixed(interval.low, places)}, {fixed(interval.high, places)}]"


def _runner_up(finished: Sequence["FrozenTrial"], space: Space, label: str, places: int) -> list[str]:
    """Whether the best can be told from the second best."""
    if len(finished) < 2:
        return []
    one, other = finished[:2]
    name = words(point_of(other, space))
    if len(_by_seed(one)) < 2:
        return [f"One seed: it cannot be told whether it is better than {name}; add --seeds 0-2"]
    difference = paired_difference(_by_seed(one), _by_seed(other))
    separable = "separable" if difference.excludes_zero() else "not separable"
    return [f"It is {separable} from the next, {name}: paired difference in {label} {_spelled(difference, places)}"]


def _proxy_lines(finished: Sequence["FrozenTrial"]) -> list[str]:
    """How well short trainings foretold the order; nothing where no trial had one."""
    both = [trial for trial in finished if "proxy" in trial.user_attrs]
    if not both:
        return []
    if len(both) < FEWEST:
        return [f"Proxy against final value: too few trials have both ({len(both)})"]
    tau = kendall_tau([trial.user_attrs["proxy"] for trial in both], [(trial.values or [0.0])[0] for trial in both])
    agreement = "cannot be told" if tau is None else f"{tau:.2f}"
    return [f"Proxy against final value: Kendall's tau {agreement} over {len(both)} trials"]


def _csv(trials: Trials, metric: str) -> str:
    import pandas as pd

    names = [parameter.name for parameter in trials.space.parameters]
    seeds = sorted({seed for trial in trials.finished() for seed in _by_seed(trial)})
    head = ["trial", *names, "status", metric, "low", "high", *(f"seed {seed}" for seed in seeds)]
    rows: list[dict[str, Any]] = []
    for trial in trials.every():
        attrs, status = trial.user_attrs, trial.state.name.lower()
        row: dict[str, Any] = {"trial": trial.number, **trial.params, "status": status}
        if "by_seed" in attrs and trial.values:
            interval = _interval(trial)
            row |= {metric: interval.mean, "low": interval.low, "high": interval.high}
            row |= {f"seed {seed}": value for seed, value in _by_seed(trial).items()}
        row |= {name: attrs.get(name) for name in ("proxy", "seconds")}
        reason = attrs.get(REASON, KILLED if status == "fail" else None)
        rows.append({**row, "records": " ".join(attrs.get("records", {}).values()), "reason": reason})
    # Of objects: a whole number beside an empty place stays one.
    table = pd.DataFrame(rows, columns=[*head, "proxy", "seconds", "records", "reason"], dtype=object)
    return str(table.to_csv(index=False, lineterminator="\n"))


def _markdown(trials: Trials, finished: Sequence["FrozenTrial"], label: str, lines: Sequence[str], places: int) -> str:
    names = [parameter.name for parameter in trials.space.parameters]
    rows = [f"| {' | '.join([*names, label, 'seeds'])} |", f"|{' --- |' * (len(names) + 2)}"]
    for trial in finished:
        point = [str(trial.params[name]) for name in names]
        rows.append(f"| {' | '.join([*point, _spelled(_interval(trial), places), str(len(_by_seed(trial)))])} |")
    body = "\n".join(f"- {line}" for line in lines)
    picture = "![The metric over each parameter](sensitivity.png)"
    return f"# {trials.study.study_name}\n\n{body}\n\n" + "\n".join(rows) + f"\n\n{picture}\n"
