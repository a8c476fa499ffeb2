"""`--set path=value`: where each path leads."""

from dataclasses import fields

from prism_bench.prism.component import with_setting
from prism_bench.prism.conditioning.retrieval import Retrieval
from prism_bench.prism.errors import InputError, closest
from prism_bench.prism.variants.scale import Scale

ALIASES = {"k_max": "schedule.k_max"}
"""Settings that may be called by a shorter name."""


def apply_setting(scale: Scale, setting: str) -> Scale:
    """The scale with one `path=value` applied; a path starts at the scale, at its method, or at one of its parts.

    Raises:
        InputError: it is malformed, unknown (with the closest names) or of the wrong type.
    """
    path, equals, text = setting.partition("=")
    if not equals:
        raise InputError(f"--set {setting!r} is not of the form path=value, for example training.images=600000")
    first, *rest = path.split(".")
    path = ".".join([ALIASES.get(first, first), *rest])
    head, said = path.partition(".")[0], f"--set {setting}"
    of_scale = {field.name for field in fields(scale)} - {"parts"}
    of_method = {field.name for field in fields(scale.method)}
    if head in of_scale:
        return _sized(with_setting(scale, path, text, said=said), scale)
    if head in of_method:
        return _sized(with_setting(scale, f"method.{path}", text, said=said), scale)
    of_parts = {field.name: part for part in scale.parts for field in fields(part)}
    if head in of_parts:
        return scale.with_part(of_parts[head].with_setting(path, text, said=said))
    raise InputError(
        f"{said}: there is nothing called {head!r}; {closest(head, {*of_scale, *of_method, *of_parts, *ALIASES})}"
    )


def _sized(changed: Scale, scale: Scale) -> Scale:
    """A schedule of another kind has the sizes of the scale's own, a retrieval what all of them have."""
    before, method = scale.method, changed.method
    if type(method.schedule) is not type(before.schedule):
        method = method.replace(schedule=scale.schedule(method.schedule.name))
    if type(method.retrieval) is not type(before.retrieval):
        kept = {field.name: getattr(before.retrieval, field.name) for field in fields(Retrieval)}
        method = method.replace(retrieval=method.retrieval.replace(**kept))
    return changed.replace(method=method)
