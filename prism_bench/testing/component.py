"""What holds for a member of any family."""

import json
from dataclasses import fields

from prism_bench.prism.component import BEFORE, Component, digest_of, from_json


class ComponentContract:
    """A member is a frozen value that says everything of itself in JSON; each test takes it as `member`."""

    def test_it_is_a_named_member_of_its_family(self, member: Component) -> None:
        """Its name finds its class, and its docstring says what `prism-bench list` prints."""
        assert Component.members[member.family][member.name] is type(member)
        assert member.summary().strip()

    def test_it_builds_with_no_arguments(self, member: Component) -> None:
        """Its defaults are a value of its kind, so that `--set` can put it in by name."""
        assert type(member)().family == member.family

    def test_it_is_a_frozen_value(self, member: Component) -> None:
        """Equal fields make equal values that can be keys of a dictionary."""
        again = member.replace()
        assert again == member
        assert hash(again) == hash(member), "two equal values hash differently: is the dataclass frozen?"

    def test_every_field_enters_the_digest(self, member: Component) -> None:
        """What can change a number is a field; none may be left out, but one that was added, at what went before it."""
        said = member.to_json()
        known = {field.name: field.metadata for field in fields(member)}
        left_out = known.keys() - said.keys()
        assert set(said) | left_out == {"component", *known, *member.retired}
        assert {name: known[name].get(BEFORE, "nothing") for name in left_out} == {
            name: getattr(member, name) for name in left_out
        }
        assert member.digest() == digest_of(said)

    def test_its_json_comes_back(self, member: Component) -> None:
        """As in plans, records and weight files."""
        again = from_json(json.loads(json.dumps(member.to_json(), allow_nan=False)))
        assert again == member
        assert again.digest() == member.digest()
