"""Which host takes whose place when a bot changes its form."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.host.host_state import HostState, StandingInstance
from botdeploy.core.rollout.succession import form_of, successions
from botdeploy.core.rollout.unnamed import unnamed
from botdeploy.views import sentences
from tests.core.rollout.test_unnamed import COUNTED, NAMED, PLAIN, inventory_of

STANDING = st.lists(
    st.builds(
        StandingInstance,
        st.sampled_from(["", "1", "2", "3", "-q"]),
        st.sampled_from(["prod", "dev", ""]),
        st.sampled_from(["R1", ""]),
        st.sampled_from(["", "-", "1"]),
    ),
    max_size=6,
)


def told(inventory: object, *standing: StandingInstance, current: str = "") -> list[str]:
    """Say what changes where all hosts of an inventory see this."""
    state = HostState(current=current, standing=standing)
    states = {host.name: state for host in inventory.hosts}  # type: ignore[attr-defined]
    found = successions(inventory, states)  # type: ignore[arg-type]
    return list(sentences.changes_of_form([one.record() for one in found]))


def test_the_machines_first_host_takes_the_plain_bots_place() -> None:
    """Its data moves along, and a person is told so."""
    assert told(COUNTED, StandingInstance("", "prod", "P1")) == [
        "w1/1 takes the place of the plain bot on 192.0.2.1:22: its shared data moves along"
    ]
    assert told(NAMED, StandingInstance("", "", "P1"))[0].startswith(
        "one takes the place of the plain bot"
    )


def test_a_return_goes_to_the_instance_that_has_the_data() -> None:
    """The others are named: they stay."""
    several = (StandingInstance("1", "prod", "R1"), StandingInstance("2", "prod", "R1", "-"))
    (line,) = told(PLAIN, *several)
    assert line == (
        "w1 takes the place of instance 2 on 192.0.2.1:22: its shared data moves along; "
        "instance 1 stays until you retire it"
    )
    assert told(PLAIN, several[0], StandingInstance("3", "prod", "R1"))[0].startswith(
        "w1 takes the place of instance 1"
    )


def test_what_is_no_change_of_form() -> None:
    """Another environment's bot, one that runs nothing, or an own form that stands already."""
    assert told(COUNTED, StandingInstance("", "dev", "P1")) == []
    assert told(COUNTED, StandingInstance("", "prod", "")) == []
    assert told(COUNTED, StandingInstance("", "prod", "P1"), current="R1") == []
    assert told(COUNTED, StandingInstance("3", "prod", "R1")) == []
    assert told(PLAIN, StandingInstance("", "prod", "P1")) == []


def test_each_machine_is_asked_on_its_own() -> None:
    """One has changed already, the other begins, in one run."""
    inventory = inventory_of(("w1/1", "1", "m1:22"), ("w2/1", "1", "m2:22"), ("w2/2", "2", "m2:22"))
    plain = StandingInstance("", "prod", "P1")
    states = {
        "w1/1": HostState(current="R1", standing=(StandingInstance("1", "prod", "R1", "-"),)),
        "w2/1": HostState(standing=(plain,)),
        "w2/2": HostState(standing=(plain,)),
    }
    assert [(one.host, one.of) for one in successions(inventory, states)] == [("w2/1", "")]
    assert [form_of(inventory, name) for name in ("w1/1", "w2/2")] == ["1", "1"]
    assert form_of(PLAIN, "w1") == "-"


def test_a_person_is_never_told_to_retire_whose_place_is_to_be_taken() -> None:
    """Also while another instance runs beside it already."""
    both = (StandingInstance("", "prod", "P1"), StandingInstance("2", "prod", "R1"))
    states = {"w1/1": HostState(standing=both), "w1/2": HostState(current="R1", standing=both)}
    assert unnamed(COUNTED, states) == ()
    states["w1/1"] = replace(states["w1/1"], current="R1")
    assert [one.name for one in unnamed(COUNTED, states)] == ["w1"]


@given(st.sampled_from([COUNTED, NAMED, PLAIN]), STANDING)
def test_at_most_one_changes_on_a_machine(
    inventory: object, standing: list[StandingInstance]
) -> None:
    """And nobody is listed as left over whose place is taken."""
    state = HostState(standing=tuple(standing))
    states = {host.name: state for host in inventory.hosts}  # type: ignore[attr-defined]
    found = successions(inventory, states)  # type: ignore[arg-type]
    assert len(found) <= 1
    listed = {one.instance for one in unnamed(inventory, states)}  # type: ignore[arg-type]
    assert listed.isdisjoint(one.of for one in found)
