"""Addresses of MLflow's pages, behind the address of its server."""

import json
from collections.abc import Sequence
from urllib.parse import urlencode

CURVE = "training/loss"
"""What the page of curves shows at first."""


def comparison(experiment_id: str, runs: Sequence[str]) -> str:
    """The page that compares some runs: what differs between their parameters, their numbers, their curves."""
    return _page("compare-runs", {"runs": runs, "experiments": [experiment_id]})


def curves(experiment_id: str, runs: Sequence[str], metric: str = CURVE) -> str:
    """The page of one metric of some runs over images seen, on which others can be chosen."""
    asked = {"runs": runs, "metric": metric, "experiments": [experiment_id], "plot_metric_keys": [metric]}
    return _page("metric", {**asked, "plot_layout": {"autosize": True}}, x_axis="step", show_point="true")


def experiment(experiment_id: str) -> str:
    """The page that lists an experiment's runs."""
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning"


def _page(name: str, asked: dict[str, object], **words: str) -> str:
    values = {key: json.dumps(value, separators=(",", ":")) for key, value in asked.items()}
    # Where the last is not said it opens its pages for language models.
    return f"#/{name}?{urlencode({**values, **words, 'workflowType': 'machine_learning'})}"
