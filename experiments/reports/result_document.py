"""Results as one JSON document, for programs: what `--json` prints."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prism_bench.analysis.stats.verdicts import Judgement
    from prism_bench.analysis.table.results import Results


def finite(values: Any) -> Any:
    """Plain values with None for numbers that are not finite, which JSON does not know."""
    if isinstance(values, Mapping):
        return {name: finite(value) for name, value in values.items()}
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def results_document(parts: "Sequence[Results]", files: Iterable[Path]) -> dict[str, Any]:
    """`tables`: what each plan says, its claims with their verdicts; `rows`: the frame of all; `files`: their paths."""
    from prism_bench.analysis.frame.frame import joined
    from prism_bench.analysis.frame.frame_rows import frame_rows

    return {
        "tables": [_table(part) for part in parts],
        "rows": frame_rows(joined([part.frame for part in parts])) if parts else [],
        "files": [str(path.absolute()) for path in dict.fromkeys(files)],
    }


def _table(results: "Results") -> dict[str, Any]:
    plan = results.plan
    return {
        "experiment": plan.experiment,
        "panel": plan.panel,
        "name": plan.name,
        "title": plan.title,
        "scale": plan.scale,
        "plan": plan.plan,
        "headline": list(results.headline),
        "claims": [
            {
                "claim": result.claim.text,
                "source": result.claim.source,
                "outcomes": [_outcome(one) for one in result.judged],
            }
            for result in (results.claims if plan.kind == "table" else ())
        ],
    }


def _outcome(judged: "Judgement") -> dict[str, Any]:
    return {"of": judged.of, "metric": judged.metric, "verdict": judged.verdict, "evidence": judged.evidence}
