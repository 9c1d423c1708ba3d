"""Instances: hosts of an inventory that share a machine, and hosts that stand for several."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.errors import InventoryError, UserError
from botdeploy.inventory.gather import gather
from botdeploy.inventory.loading import load, select

if TYPE_CHECKING:
    from pathlib import Path

    from botdeploy.core.model.inventory import Inventory

NAMED = """
all:
  vars:
    bot:
      name: echobot
      instance: "{{ instance | default('') }}"
      source: ../echobot
      command: run --shard {{ instance_index }}/{{ instance_count }}
      env: {WHO: "{{ instance }}"}
      secrets: {TOKEN: "env:TOKEN_{{ instance | upper }}"}
      ready: {command: "test -e /run/{{ instance }}"}
      unit: {Environment: "WHO={{ instance }}"}
      probe: {command: "cat /run/{{ instance }}"}
  hosts:
    dev: {ansible_host: 192.0.2.10, instance: dev}
    main: {ansible_host: 192.0.2.10, instance: main}
"""

COUNTED = """
all:
  vars:
    bot: {name: echobot, instances: 3, source: ../echobot, command: run}
  hosts:
    w1: {ansible_host: 192.0.2.1}
    w2: {ansible_host: 192.0.2.2, ansible_port: 2222}
  children:
    beta: {hosts: {w2: }}
"""


def read(folder: Path, text: str) -> Inventory:
    """Load an inventory."""
    (folder / "prod.yml").write_text(text)
    return load("prod", folder, {})


def test_hosts_that_share_a_machine_are_its_instances(tmp_path: Path) -> None:
    """Each is named, and every template knows which one it is."""
    inventory = read(tmp_path, NAMED)
    dev, main = inventory.hosts
    assert [dev.instance, main.instance] == ["dev", "main"]
    assert inventory.machines == {"192.0.2.10:22": ("dev", "main")}
    assert [dev.unit, main.unit] == ["echobot@dev.service", "echobot@main.service"]
    assert main.bot.command == "run --shard 1/2"
    assert main.bot.env == {"WHO": "main"}
    assert main.bot.secrets == {"TOKEN": "env:TOKEN_MAIN"}
    assert main.bot.ready.value == "test -e /run/main"
    assert main.bot.unit == {"Environment": ("WHO=main",)}
    assert main.bot.probe is not None
    assert main.bot.probe.value == "cat /run/main"
    assert inventory.variables["main"]["instance"] == "main"


def test_what_is_made_with_a_number_is_known(tmp_path: Path) -> None:
    """Directly or through other variables; a number that nothing asks for is none."""
    assert [host.numbers for host in read(tmp_path, NAMED).hosts] == ["0/2", "1/2"]
    assert [host.numbers for host in read(tmp_path, COUNTED).hosts] == [""] * 6
    through = COUNTED.replace("run}", "'run {{ shard }}'}").replace(
        "    bot:", "    shard: '{{ instance_index % 2 }}'\n    bot:"
    )
    assert read(tmp_path, through).hosts[2].numbers == "2", "the count is not asked for"
    counted = COUNTED.replace("run}", "'run {{ instance_count }}'}")
    assert {host.numbers for host in read(tmp_path, counted).hosts} == {"/6"}
    own = COUNTED.replace("run}", "'run {{ instance_index }}'}").replace(
        "    bot:", "    instance_index: 7\n    bot:"
    )
    assert {host.numbers for host in read(tmp_path, own).hosts} == {""}


def test_a_host_stands_for_as_many_instances_as_it_says(tmp_path: Path) -> None:
    """W1 becomes w1/1, w1/2 and w1/3, in its groups and on its machine."""
    inventory = read(tmp_path, COUNTED)
    assert [host.name for host in inventory.hosts] == [
        f"w{machine}/{number}" for machine in (1, 2) for number in (1, 2, 3)
    ]
    assert inventory.machines == {
        "192.0.2.1:22": ("w1/1", "w1/2", "w1/3"),
        "192.0.2.2:2222": ("w2/1", "w2/2", "w2/3"),
    }
    assert inventory.groups["beta"] == ("w2/1", "w2/2", "w2/3")
    assert inventory.host("w2/2").groups == ("all", "beta")
    assert inventory.policy.rings[-1].hosts[-1] == "w2/3"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("w1", "w1/1 w1/2 w1/3"),
        ("w1/2", "w1/2"),
        ("w*/1", "w1/1 w2/1"),
        ("w1*", "w1/1 w1/2 w1/3"),
        ("all:!w1", "w2/1 w2/2 w2/3"),
        ("w1:!w1/1", "w1/2 w1/3"),
        ("beta:&w2/3", "w2/3"),
        ("w1[0]", "w1/1"),
        ("w1[1:]", "w1/2 w1/3"),
        ("~w./2", "w1/2 w2/2"),
        ("w2,w1/1", "w1/1 w2/1 w2/2 w2/3"),
    ],
)
def test_a_pattern_means_instances(tmp_path: Path, pattern: str, names: str) -> None:
    """A machine's exact name means all of its instances; wildcards match their names."""
    assert " ".join(select(read(tmp_path, COUNTED), pattern)) == names


@pytest.mark.parametrize(
    ("pattern", "names"),
    [("w1", "w1/1 w1/2 w1/3"), ("w1,w2/1", "w1/1 w1/2 w1/3 w2/1"), ("all:&w1[3:3]", "w2/1")],
)
def test_a_machine_that_has_its_groups_name_is_meant_alone(
    tmp_path: Path, pattern: str, names: str
) -> None:
    """All of its instances, and no other machine of the group."""
    text = COUNTED.replace("beta: {hosts: {w2: }}", "w1: {hosts: {w1: , w2: }}")
    assert " ".join(select(read(tmp_path, text), pattern)) == names


def test_a_wildcard_never_means_a_machine(tmp_path: Path) -> None:
    """Only what an instance is called matches it."""
    with pytest.raises(UserError, match="matches 'w\\?'"):
        select(read(tmp_path, COUNTED), "w?")


@pytest.mark.parametrize(
    ("value", "names"),
    [("1", ["w1/1"]), ("[eu, us]", ["w1/eu", "w1/us"]), ("[7, a_b]", ["w1/7", "w1/a_b"])],
)
def test_instances_are_counted_or_listed(tmp_path: Path, value: str, names: list[str]) -> None:
    """Also a single one; left out, it is the plain form."""
    text = f"""
all:
  vars: {{bot: {{name: b, instances: {value}, source: ., command: run}}}}
  hosts: {{w1: }}
"""
    assert [host.name for host in read(tmp_path, text).hosts] == names


def test_the_plain_form_has_no_instance(tmp_path: Path) -> None:
    """Also where a template looks for a name, and a variable called instance is the user's own."""
    text = """
all:
  vars:
    bot: {name: b, source: ., command: "run {{ instance_index }} <{{ instance }}>"}
  hosts:
    w1: {instance: seven}
    w2: {instance_index: 40}
"""
    inventory = read(tmp_path, text)
    assert [host.instance for host in inventory.hosts] == [None, None]
    assert [host.bot.command for host in inventory.hosts] == ["run 0 <seven>", "run 40 <>"]
    assert inventory.hosts[0].unit == "b.service"


def test_both_forms_stand_in_one_inventory(tmp_path: Path) -> None:
    """A plain host beside one that stands for several."""
    text = """
all:
  vars:
    bot: {name: b, instances: "{{ copies | default(omit) }}", source: ., command: run}
  hosts:
    a:
    w: {copies: 2}
"""
    found = [(host.name, host.instance) for host in read(tmp_path, text).hosts]
    assert found == [("a", None), ("w/1", "1"), ("w/2", "2")]


def test_only_the_environments_instances_are_numbered(tmp_path: Path) -> None:
    """What rollout.hosts leaves out has no number, and rollout.hosts may name an instance."""
    text = COUNTED.replace("command: run}", "command: 'run {{instance_index}}'}").replace(
        "    bot:", "    rollout: {hosts: 'w1/3:w2/2'}\n    bot:"
    )
    inventory = read(tmp_path, text)
    assert [(host.name, host.bot.command) for host in inventory.hosts] == [
        ("w1/3", "run 0"),
        ("w2/2", "run 1"),
    ]
    assert inventory.left_out["w1/1"] == "rollout.hosts leaves it out"


@pytest.mark.parametrize(
    "names", ["['{{ p }}1', b]", "['{{ p }}1', '{{ \"b\" }}']", "['{{ x }}', b]"]
)
def test_names_of_instances_may_be_made_by_templates(names: str, tmp_path: Path) -> None:
    """An item of the list is worked out before it is checked, as the whole list would be."""
    text = COUNTED.replace("instances: 3", f"instances: {names}").replace(
        "    bot:", "    p: a\n    x: a1\n    bot:"
    )
    assert [host.name for host in read(tmp_path, text).hosts] == ["w1/a1", "w1/b", "w2/a1", "w2/b"]


@pytest.mark.parametrize("count", ["'2'", "' 2 '", "\"{{ lookup('env', 'N') }}\""])
def test_a_count_of_instances_may_be_text(count: str, tmp_path: Path) -> None:
    """What comes from the environment is text, as everywhere else."""
    (tmp_path / "prod.yml").write_text(COUNTED.replace("instances: 3", f"instances: {count}"))
    inventory = load("prod", tmp_path, {"N": "2"})
    assert [host.name for host in inventory.hosts] == ["w1/1", "w1/2", "w2/1", "w2/2"]


def bad(bot: str, hosts: str = "w1: {ansible_host: h}") -> str:
    """Write an inventory with a fault."""
    bot = f"{{name: b, source: ., command: run{bot}}}"
    return f"all:\n  vars:\n    bot: {bot}\n  hosts:\n    {hosts}\n"


TWO = "a: {ansible_host: h}\n    b: {ansible_host: H}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (bad(", instances: 0"), ":3: bot.instances: takes a count from 1 to 1000"),
        (bad(", instances: 1001"), "takes a count from 1 to 1000"),
        (bad(", instances: '0'"), ":3: bot.instances: takes a count from 1 to 1000"),
        (bad(", instances: '1001'"), "takes a count from 1 to 1000"),
        (bad(f", instances: '{'9' * 5000}'"), "takes a count, or a list of names"),
        (bad(", instances: '²'"), "takes a count, or a list of names"),
        (bad(", instances: ''"), "takes a count, or a list of names"),
        (
            bad(", instances: [\"{{ 'A' }}\"]"),
            ":3: bot.instances[0]: 'A' is not an instance's name",
        ),
        (bad(", instances: true"), "bot.instances: takes a count, or a list of names"),
        (bad(", instances: []"), "takes a count, or a list of names"),
        (bad(", instances: [a, a]"), "names 'a' twice"),
        (bad(", instances: [A]"), "'A' is not an instance's name"),
        (bad(", instances: [a/b]"), "'a/b' is not an instance's name"),
        (bad(", instances: [a-]"), "is not an instance's name"),
        (bad(f", instance: {'x' * 33}"), "is not an instance's name"),
        (bad(", instance: '../x'"), "bot.instance: '../x' is not an instance's name"),
        (bad(", instance: a, instances: 2"), "bot.instances: stands beside bot.instance"),
        (bad("", TWO), ":6: hosts 'a' and 'b' are both h:22: it would be deployed to twice"),
        (bad(", instance: x", TWO), "both are its instance 'x'"),
        (
            bad(", instance: '{{ inventory_hostname }}', user: '{{ inventory_hostname }}'", TWO),
            "bot.user is 'a' in one and 'b' in the other",
        ),
    ],
)
def test_a_bad_instance_is_refused_at_its_place(tmp_path: Path, text: str, told: str) -> None:
    """With file, line and key, before anything is connected to."""
    with pytest.raises(InventoryError) as caught:
        read(tmp_path, text)
    assert told in str(caught.value)
    assert "prod.yml:" in str(caught.value)


def test_machines_of_one_address_are_told_apart_by_the_way_there(tmp_path: Path) -> None:
    """Two private networks may use the same addresses."""
    text = """
all:
  vars: {bot: {name: b, source: ., command: run}}
  hosts:
    a: {ansible_host: 10.0.0.1, ansible_ssh_common_args: -J one.example.org}
    b: {ansible_host: 10.0.0.1, ansible_ssh_common_args: -J two.example.org}
"""
    machines = read(tmp_path, text).machines
    assert machines == {
        "10.0.0.1:22 via one.example.org": ("a",),
        "10.0.0.1:22 via two.example.org": ("b",),
    }


def test_hostname_in_ssh_arguments_names_the_machine(tmp_path: Path) -> None:
    """It is where ssh connects to; its %h is the address that the inventory states."""
    text = """
all:
  vars: {bot: {name: b, source: ., command: run}}
  hosts:
    a: {ansible_host: 192.0.2.1, ansible_ssh_common_args: -o HostName=192.0.2.99}
    b: {ansible_ssh_common_args: -p 2222 -o HostName=%h.Example.org}
"""
    machines = read(tmp_path, text).machines
    assert machines == {"192.0.2.99:22": ("a",), "b.example.org:2222": ("b",)}
    with pytest.raises(InventoryError, match=r"are both 192\.0\.2\.99:22"):
        read(tmp_path, f"{text}    c: {{ansible_host: 192.0.2.99}}\n")


def test_what_is_made_with_numbers_is_known_without_them(tmp_path: Path) -> None:
    """One more instance, or another place in the order, is the same bot but for its numbers."""
    one, other = read(tmp_path, NAMED).hosts
    assert one.unnumbered is not None
    assert one.unnumbered.command == other.unnumbered.command  # type: ignore[union-attr]
    assert one.bot.command != other.bot.command
    without = NAMED.replace(" --shard {{ instance_index }}/{{ instance_count }}", "")
    assert [host.unnumbered for host in read(tmp_path, without).hosts] == [None, None]
    command = "command: run --shard {{ instance_index }}/{{ instance_count }}"
    chosen = NAMED.replace(command, "command: \"run {{ {2: 'two'}[instance_count] }}\"")
    assert chosen != NAMED
    assert [host.unnumbered for host in read(tmp_path, chosen).hosts] == [None, None]


def test_what_differs_by_name_only_is_alike(tmp_path: Path) -> None:
    """A value that merely holds the instance's name; not one that is chosen by it."""
    text = NAMED.replace(" --shard {{ instance_index }}/{{ instance_count }}", "").replace(
        " | upper", ""
    )
    assert all(host.alike is not None for host in read(tmp_path, text).hosts)
    changed = text.replace(
        '"{{ instance }}"}\n      secrets', '"{{ instance | upper }}"}\n      secrets'
    )
    assert changed != text
    assert [host.alike for host in read(tmp_path, changed).hosts] == [None, None], (
        "a release that writes the name in another way is another one"
    )
    chosen = text.replace("command: run", "command: \"{{ 'a' if instance == 'dev' else 'b' }}\"")
    first, second = read(tmp_path, chosen).hosts
    assert first.alike is None
    assert second.alike is not None
    looked_up = text.replace(
        "command: run", "command: \"{{ {'dev': 'x', 'main': 'y'}[instance] }}\""
    )
    assert [host.alike for host in read(tmp_path, looked_up).hosts] == [None, None]


def test_ansible_reads_the_same_machines(tmp_path: Path) -> None:
    """What is new stands in variables: by Ansible's reading, the hosts are the machines."""
    read(tmp_path, COUNTED)
    tree, scopes = gather(tmp_path / "prod.yml", {})
    assert list(scopes) == ["w1", "w2"]
    assert tree.hosts_of("beta") == ["w2"]


@given(
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    shares=st.lists(st.sampled_from(["1", "2", "25%", "50%"]), max_size=3),
)
@settings(deadline=None, max_examples=60)
def test_each_instance_is_in_exactly_one_ring(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], shares: list[str]
) -> None:
    """Any inventory of machines, instances and rings; 0 is a plain host."""
    folder = tmp_path_factory.mktemp("inventory")
    lines = (f"    w{n}: {{copies: {c}}}\n" if c else f"    w{n}:\n" for n, c in enumerate(counts))
    hosts = "".join(lines)
    rings = "".join(f"{{name: r{n}, hosts: w{n}}}, " for n in range(min(2, len(counts))))
    rings += "".join(f"{{name: s{n}, hosts: {share!r}}}, " for n, share in enumerate(shares))
    text = f"""
all:
  vars:
    bot: {{name: b, instances: "{{{{ copies | default(omit) }}}}", source: ., command: run}}
    rollout: {{rings: [{rings}{{name: rest, hosts: all}}]}}
  hosts:
{hosts}"""
    try:
        inventory = read(folder, text)
    except InventoryError as error:
        assert "no host is left for it" in str(error)  # noqa: PT017 (a ring of nobody is refused)
        return
    names = [host.name for host in inventory.hosts]
    assert len(names) == sum(count or 1 for count in counts)
    assert len(set(names)) == len(names)
    assert sorted(name for many in inventory.machines.values() for name in many) == sorted(names)
    patterns = [ring for ring in inventory.policy.rings if ring.name.startswith(("r", "rest"))]
    placed = [name for ring in patterns for name in ring.hosts]
    assert sorted(placed) == sorted(names)
