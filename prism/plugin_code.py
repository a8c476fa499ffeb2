"""The code of the user's own files: no part of what a component is, so it is noted beside what was made by it."""

from collections.abc import Iterator, Mapping

from prism_bench.prism.component import PLUGIN, Component, Json, loaded_code


def plugins_of(value: Json) -> Iterator[str]:
    """The names of the files that declare components of a canonical JSON value."""
    if isinstance(value, dict):
        if "component" in value:
            family, _, name = str(value["component"]).partition("/")
            kind = Component.members.get(family, {}).get(name)
            if kind is not None and kind.__module__.startswith(PLUGIN):
                yield f"{kind.__module__.removeprefix(PLUGIN)}.py"
        for item in value.values():
            yield from plugins_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from plugins_of(item)


def code_of(value: Json) -> dict[str, str]:
    """The files that declare components of a canonical JSON value, with the digests of the code that was loaded."""
    loaded = loaded_code()
    return {name: loaded[name] for name in sorted(set(plugins_of(value)))}


def changed(noted: Mapping[str, str]) -> list[str]:
    """Those of the files that are loaded here with other code than was noted."""
    loaded = loaded_code()
    return [name for name, digest in noted.items() if loaded.get(name, digest) != digest]
