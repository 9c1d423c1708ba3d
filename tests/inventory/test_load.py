"""Loading an environment: hosts, bot and policy."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from botdeploy.core.model.bot import Probe, ProbeKind, Readiness, ReadyKind, SecretsBy
from botdeploy.core.model.lease import LeaseUntil
from botdeploy.core.model.policy import Gate, OnFail, Share
from botdeploy.errors import InventoryError, UserError
from botdeploy.inventory import load, select

if TYPE_CHECKING:
    from botdeploy.core.model.bot import Bot
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.model.policy import Policy

HERE = Path(__file__).parent


def put(folder: Path, text: str, name: str = "prod.yml") -> Path:
    """Write a file below a folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str) -> Inventory:
    """Load an inventory's text as the environment prod."""
    put(folder, text)
    return load("prod", folder, os.environ)


def with_vars(folder: Path, lines: str, hosts: str = "{h1: {}}") -> Inventory:
    """Load hosts with these lines beside a bot that is complete."""
    body = "".join(f"    {line}\n" for line in lines.splitlines())
    has_bot = any(line.startswith("bot:") for line in lines.splitlines())
    bot = "" if has_bot else "    bot: {name: echobot, source: ., command: run}\n"
    return loaded(folder, f"all:\n  hosts: {hosts}\n  vars:\n{bot}{body}")


def bot_with(folder: Path, lines: str) -> Bot:
    """Load a bot with these keys beside the three that it must have."""
    body = "".join(f"\n  {line}" for line in lines.splitlines())
    given = "bot:\n  name: echobot\n  source: ./src\n  command: run"
    return with_vars(folder, given + body).hosts[0].bot


def policy_with(folder: Path, lines: str, hosts: str = "{h1: {}, h2: {}, h3: {}}") -> Policy:
    """Load a rollout with these keys."""
    body = "".join(f"\n  {line}" for line in lines.splitlines())
    return with_vars(folder, "rollout:" + body, hosts).policy


# --- the documented inventory -----------------------------------------------------------------


def test_the_documented_inventory_means_what_it_says() -> None:
    """The example of the documentation gives its hosts, its bot and its rings."""
    inventory = load("contract", HERE, os.environ)
    assert [host.name for host in inventory.hosts] == ["dev1", "b1", "w1", "w2", "w3"]
    dev1 = inventory.host("dev1")
    assert (dev1.address.hostname, dev1.address.user) == ("198.51.100.5", "deploy")
    assert dev1.groups == ("all", "internal")
    bot = dev1.bot
    assert inventory.bot_name == "echobot"
    assert bot.run_as == "echobot"
    assert bot.source == str(HERE.parent / "bots/echobot")
    assert len(bot.build) == 2
    assert bot.env == {"LOG_LEVEL": "info", "BETA_GUILDS": ""}
    assert bot.secrets == {"DISCORD_TOKEN": "env:DISCORD_TOKEN"}
    assert (bot.ready.kind, bot.ready.value) == (ReadyKind.PATTERN, "READY")
    internal, beta, canary, fleet = inventory.policy.rings
    assert (internal.hosts, internal.soak, internal.gate) == (
        ("dev1",),
        timedelta(days=2),
        Gate.NONE,
    )
    assert beta.gate is Gate.APPROVE
    assert beta.env == {"BETA_GUILDS": "111111111111111111"}
    assert (canary.selector, canary.hosts) == (Share(count=1), ("w1", "w2", "w3"))
    assert (fleet.batch, fleet.hosts) == (Share(percent=25), ("w1", "w2", "w3"))
    assert inventory.policy.lease.ttl == timedelta(seconds=90)
    assert inventory.policy.on_fail is OnFail.FLEET
    assert select(inventory, "w*:!w2") == ("w1", "w3")


def test_without_a_rollout_one_host_goes_first(tmp_path: Path) -> None:
    """With no rollout the canary is one host with a soak of 60 s, and the rest follow singly."""
    policy = with_vars(tmp_path, "", "{h1: {}, h2: {}}").policy
    canary, fleet = policy.rings
    assert (canary.name, canary.selector, canary.soak) == (
        "canary",
        Share(count=1),
        timedelta(seconds=60),
    )
    assert (fleet.name, fleet.selector, fleet.soak) == ("fleet", "all", timedelta(0))
    assert (fleet.batch, fleet.settle) == (Share(count=1), timedelta(seconds=10))
    assert policy_with(tmp_path, "on_fail: ring").rings == policy_with(tmp_path, "{}").rings


def test_one_host_is_a_fleet(tmp_path: Path) -> None:
    """An inventory of a single host loads without a rollout."""
    inventory = with_vars(tmp_path, "")
    assert [ring.hosts for ring in inventory.policy.rings] == [("h1",), ("h1",)]


# --- bot --------------------------------------------------------------------------------------


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    """A bot needs a name, a source and a command only."""
    bot = bot_with(tmp_path, "")
    assert (bot.build, bot.env, bot.secrets, bot.shared, bot.exclude) == ((), {}, {}, (), ())
    assert (bot.keep, bot.ready, bot.user, bot.unit, bot.probe) == (5, Readiness(), "", {}, None)
    assert bot.stop_timeout == timedelta(seconds=20)


def test_values_of_env_and_unit_are_the_text_that_was_typed(tmp_path: Path) -> None:
    """YAML's numbers, dates and words stay as they are written."""
    bot = bot_with(
        tmp_path,
        "env: {A: 1.10, B: yes, C: 0777, D: 2026-01-02, E: '', F: 1_000, G: 1e3, H: Off}\n"
        "unit: {Nice: 05, PrivateTmp: no, Environment: [A=1, 1.10], TasksMax: null, CPUQuota: []}\n"
        "ref: 1.10",
    )
    assert bot.env == {
        "A": "1.10",
        "B": "yes",
        "C": "0777",
        "D": "2026-01-02",
        "E": "",
        "F": "1_000",
        "G": "1e3",
        "H": "Off",
    }
    assert bot.unit == {
        "Nice": ("05",),
        "PrivateTmp": ("no",),
        "Environment": ("A=1", "1.10"),
        "TasksMax": (),
        "CPUQuota": (),
    }
    assert bot.ref == "1.10"


def test_env_passed_on_by_a_template_keeps_its_text_too(tmp_path: Path) -> None:
    """A whole mapping may be shared through a variable; a template's own result is Ansible's."""
    bot = with_vars(
        tmp_path,
        "common: {A: 1.10, B: '{{ on_off }}'}\non_off: yes\n"
        "bot: {name: a, source: ., command: x, env: '{{ common }}'}",
    )
    assert bot.hosts[0].bot.env == {"A": "1.10", "B": "True"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("../bots/x", "{parent}/bots/x"),
        ("/srv/x.tar.gz", "/srv/x.tar.gz"),
        ("https://example.org/x.git", "https://example.org/x.git"),
        ("ssh://git@example.org/x", "ssh://git@example.org/x"),
        ("git+https://example.org/x", "git+https://example.org/x"),
        ("git@example.org:x/y.git", "git@example.org:x/y.git"),
        ("~/x", "{home}/x"),
    ],
)
def test_a_source_is_relative_to_its_file_or_a_url(
    source: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths become absolute; URLs stay."""
    monkeypatch.setenv("HOME", "/home/me")
    bot = with_vars(tmp_path, f"bot: {{name: a, source: '{source}', command: x}}").hosts[0].bot
    assert bot.source == expected.format(parent=tmp_path.parent, home="/home/me")


def test_paths_are_relative_to_the_file_that_states_them(tmp_path: Path) -> None:
    """Source, templates and files of secrets in group_vars/ are looked for from there."""
    put(tmp_path, "all: {hosts: {h1: {}}}\n")
    put(
        tmp_path,
        "bot:\n  name: a\n  source: src\n  command: x\n  templates: ../templates\n"
        "  secrets: {A: file:keys/a, B: env:B, C: 'command:cat x'}\n"
        "rollout: {notify: [file:hook, env:HOOK, 'json://x']}\n",
        "group_vars/all/bot.yml",
    )
    inventory = load("prod", tmp_path, os.environ)
    bot = inventory.hosts[0].bot
    folder = tmp_path / "group_vars/all"
    assert bot.source == str(folder / "src")
    assert bot.templates == str(tmp_path / "group_vars/templates")
    assert bot.secrets == {"A": f"file:{folder}/keys/a", "B": "env:B", "C": "command:cat x"}
    assert inventory.policy.notify == (f"file:{folder}/hook", "env:HOOK", "json://x")


@pytest.mark.parametrize(
    ("text", "ready"),
    [
        ("{pattern: '^READY [0-9]+'}", Readiness(ReadyKind.PATTERN, "^READY [0-9]+")),
        ("{notify: true}", Readiness(ReadyKind.NOTIFY)),
        (
            "{port: 8080, timeout: 1m}",
            Readiness(ReadyKind.PORT, "8080", timedelta(minutes=1)),
        ),
        ("{http: 'http://[::1]:80/x'}", Readiness(ReadyKind.HTTP, "http://[::1]:80/x")),
        ("{command: test -S x}", Readiness(ReadyKind.COMMAND, "test -S x")),
    ],
)
def test_readiness_has_five_kinds(text: str, ready: Readiness, tmp_path: Path) -> None:
    """One key says how the bot shows that it is ready, and a timeout for how long to wait."""
    assert bot_with(tmp_path, f"ready: {text}").ready == ready


def test_the_other_keys_of_a_bot(tmp_path: Path) -> None:
    """Lists may be one item; enums and durations are read."""
    bot = bot_with(
        tmp_path,
        "build: make\nshared: data/\nexclude: '*.pyc'\nsecrets_by: credential\n"
        "user: bots\nstop_timeout: 1m30s\nkeep: 0\n"
        "probe: {prometheus: 'http://[::1]/m', interval: 1m}",
    )
    assert (bot.build, bot.shared, bot.exclude) == (("make",), ("data",), ("*.pyc",))
    assert bot.secrets_by is SecretsBy.CREDENTIAL
    assert (bot.run_as, bot.keep) == ("bots", 0)
    assert bot.stop_timeout == timedelta(seconds=90)
    assert bot.probe == Probe(ProbeKind.PROMETHEUS, "http://[::1]/m", timedelta(minutes=1))


def test_the_most_specific_bot_replaces_the_others(tmp_path: Path) -> None:
    """As in Ansible, mappings are not merged; a host's own environment may differ."""
    inventory = loaded(
        tmp_path,
        "all:\n  vars:\n    base: {A: all}\n"
        "    bot: {name: a, source: ., command: x, env: '{{ base }}'}\n"
        "  hosts:\n    h1:\n    h2: {base: {B: h2}}\n"
        "    h3: {bot: {name: a, source: /x, command: y}}\n",
    )
    assert [host.bot.env for host in inventory.hosts] == [{"A": "all"}, {"B": "h2"}, {}]
    assert inventory.host("h3").bot.command == "y"


def test_hosts_that_share_a_bot_share_one_value(tmp_path: Path) -> None:
    """A bot without templates is checked once, however many hosts have it."""
    hosts = with_vars(tmp_path, "", "{'w[1:50]': {}}").hosts
    assert len({id(host.bot) for host in hosts}) == 1


# --- rollout ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("12h", 43200),
        ("2d", 172800),
        ("1w", 604800),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("0", 0),
        ("0s", 0),
        ("'0'", 0),
    ],
)
def test_durations_have_units(text: str, seconds: int, tmp_path: Path) -> None:
    """A duration is numbers with units, the largest first, or 0."""
    policy = policy_with(tmp_path, f"rings: [{{name: a, hosts: all, soak: {text}}}]")
    assert policy.rings[0].soak == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("1", Share(count=1)),
        ("'3'", Share(count=3)),
        ("25%", Share(percent=25)),
        ("33.3%", Share(percent=33.3)),
        ("100 %", Share(percent=100)),
    ],
)
def test_shares_are_counts_or_percentages(text: str, share: Share, tmp_path: Path) -> None:
    """How many hosts is a number or a percentage, also for a ring's hosts."""
    policy = policy_with(
        tmp_path,
        f"rings: [{{name: a, hosts: {text}, batch: {text}}}, {{name: b, hosts: all}}]\n"
        f"max_unreachable: {text}",
    )
    assert (policy.rings[0].selector, policy.rings[0].batch) == (share, share)
    assert policy.max_unreachable == share


def test_the_other_keys_of_a_rollout(tmp_path: Path) -> None:
    """Lease, window, announcements, judge and notices are read."""
    policy = policy_with(
        tmp_path,
        "rings:\n  - name: a\n    hosts: all\n    window: Mo-Fr 09:00-17:00 Europe/Berlin\n"
        "    announce: {begin: 'now {{ release }}'}\n    env: {A: 010}\n"
        "lease: {ttl: 15m, until: verdict}\nattended_soak: 0\non_fail: host\nnotify: env:HOOK\n"
        "judge:\n  preset: careful\n  worse: 2\n  grace: 0\n  deadline: 2h\n  ignore: noise\n"
        "  same: [a+, {pattern: b+, name: bees}]\n  latency: '(?P<s>[0-9.]+)s'\n"
        "  levels: {FEHLER: error, '!!': critical}",
    )
    ring = policy.rings[0]
    assert str(ring.window) == "Mo-Fr 09:00-17:00 Europe/Berlin"
    assert ring.announce == {"begin": "now {{ release }}"}
    assert ring.env == {"A": "010"}
    assert (policy.lease.ttl, policy.lease.until) == (timedelta(minutes=15), LeaseUntil.VERDICT)
    assert (policy.attended_soak, policy.on_fail) == (timedelta(0), OnFail.HOST)
    assert policy.notify == ("env:HOOK",)
    assert policy.judge == {
        "preset": "careful",
        "worse": 2.0,
        "grace": timedelta(0),
        "deadline": timedelta(hours=2),
        "ignore": ("noise",),
        "same": ({"pattern": "a+", "name": "a+"}, {"pattern": "b+", "name": "bees"}),
        "latency": "(?P<s>[0-9.]+)s",
        "levels": {"FEHLER": "error", "!!": "critical"},
    }


def test_a_host_belongs_to_the_first_ring_that_names_it(tmp_path: Path) -> None:
    """Later patterns leave out what earlier ones have; a count may choose from all that is left."""
    policy = policy_with(
        tmp_path,
        "rings:\n  - {name: a, hosts: [h2, 'w[1:2]', h9]}\n  - {name: b, hosts: 1}\n"
        "  - {name: c, hosts: 'h*'}\n  - {name: d, hosts: all}",
        "{h1: {}, h2: {}, h3: {}}",
    )
    assert [ring.hosts for ring in policy.rings] == [
        ("h2",),
        ("h1", "h3"),
        ("h1", "h3"),
        (),
    ]


@pytest.mark.parametrize("host", ["10.0.0.1", "1.2.3", "'::1'"])
def test_a_ring_of_one_host_that_is_named_by_numbers(host: str, tmp_path: Path) -> None:
    """An address is a pattern, and neither a count nor a percentage."""
    rings = f"rings: [{{name: a, hosts: {host}}}, {{name: b, hosts: all}}]"
    policy = policy_with(tmp_path, rings, f"{{{host}: {{}}, h2: {{}}}}")
    assert [ring.hosts for ring in policy.rings] == [(host.strip("'"),), ("h2",)]


@pytest.mark.parametrize(
    "rings",
    [
        "[{name: a, hosts: all}]",
        "[{name: a, hosts: '*'}]",
        "[{name: a, hosts: 100%}]",
        "[{name: a, hosts: 50%}, {name: b, hosts: 50%}]",
        "[{name: a, hosts: 3}]",
        "[{name: a, hosts: 1}, {name: b, hosts: 1}, {name: c, hosts: 1}]",
        "[{name: a, hosts: h1}, {name: b, hosts: 'h2,h3'}]",
        "[{name: a, hosts: h1}, {name: b, hosts: 2}]",
    ],
)
def test_rings_that_have_every_host_for_sure(rings: str, tmp_path: Path) -> None:
    """Rings are complete when their patterns name all hosts or their counts must reach them."""
    assert policy_with(tmp_path, f"rings: {rings}").rings


@pytest.mark.parametrize(
    "rings",
    [
        "[{name: a, hosts: 2}]",
        "[{name: a, hosts: 50%}]",
        "[{name: a, hosts: 1}, {name: b, hosts: h1}, {name: c, hosts: 1}]",
        "[{name: a, hosts: 1}, {name: b, hosts: 'h1,h2'}]",
    ],
)
def test_rings_that_may_leave_a_host_out(rings: str, tmp_path: Path) -> None:
    """When a host could end in no ring, whatever a count chooses, the inventory is refused."""
    with pytest.raises(InventoryError, match="no ring is sure to have"):
        policy_with(tmp_path, f"rings: {rings}")


def test_a_rollout_that_all_groups_repeat_alike_is_one(tmp_path: Path) -> None:
    """Hosts agree on a rollout by what it says, wherever it is written."""
    inventory = loaded(
        tmp_path,
        "all: {vars: {bot: {name: a, source: ., command: x}}}\n"
        "a: {hosts: {h1: {}}, vars: {rollout: {on_fail: ring}}}\n"
        "b: {hosts: {h2: {}}, vars: {rollout: {on_fail: '{{ \"ring\" }}'}}}\n",
    )
    assert inventory.policy.on_fail is OnFail.RING


# --- connection variables ---------------------------------------------------------------------


def test_connection_variables_make_the_address(tmp_path: Path) -> None:
    """Ansible's variables are followed, with their older names."""
    inventory = with_vars(
        tmp_path,
        "ansible_user: deploy\nansible_ssh_private_key_file: /k/id\nansible_become: yes\n"
        "ansible_become_user: admin\nansible_become_pass: '{{ 5 }}secret'\n"
        "ansible_ssh_common_args: -J jump -o IdentitiesOnly=yes\nansible_ssh_extra_args: -i /k/2",
        "{h1: {ansible_host: 10.0.0.1, ansible_port: '{{ 2000 + 22 }}'}, 'h2:2200': {},"
        " h3: {ansible_ssh_host: '::1', ansible_ssh_user: me, ansible_connection: smart}}",
    )
    h1, h2, h3 = (host.address for host in inventory.hosts)
    assert (h1.host, h1.hostname, h1.port, h1.user) == ("h1", "10.0.0.1", 2022, "deploy")
    assert h1.identity_files == ("/k/id", "/k/2")
    assert (h1.jumps, h1.option("IdentitiesOnly")) == (("jump",), "yes")
    assert (h1.become_user, h1.become_password) == ("admin", "5secret")
    assert (h2.hostname, h2.port) == ("h2", 2200)
    assert (h3.hostname, h3.user, h3.port, h3.local) == ("::1", "me", None, False)


def test_a_host_may_be_this_machine(tmp_path: Path) -> None:
    """ansible_connection: local needs no ssh."""
    hosts = "{here: {ansible_connection: local}, there: {ansible_connection: ansible.builtin.ssh}}"
    inventory = with_vars(tmp_path, "", hosts)
    assert [host.address.local for host in inventory.hosts] == [True, False]


def test_omitted_variables_are_not_set(tmp_path: Path) -> None:
    """default(omit) and an empty value leave ssh's own choice, as in Ansible."""
    address = (
        with_vars(tmp_path, "ansible_user: '{{ x | default(omit) }}'\nansible_port:")
        .hosts[0]
        .address
    )
    assert (address.user, address.port) == (None, None)


def test_relative_key_files_are_looked_up_beside_the_inventory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key file is the inventory's neighbour when it, or its folder, is there; else Ansible's."""
    put(tmp_path, "", "inv/keys/id")
    put(tmp_path, "", "here/other")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", "/home/me")

    def key(text: str) -> tuple[str, ...]:
        inventory = with_vars(tmp_path / "inv", f"ansible_ssh_private_key_file: '{text}'")
        return inventory.hosts[0].address.identity_files

    assert key("keys/id") == (str(tmp_path / "inv/keys/id"),)
    assert key("keys/not-yet") == (str(tmp_path / "inv/keys/not-yet"),)
    assert key("other") == (str(tmp_path / "here/other"),)
    assert key("none-such/id") == (str(tmp_path / "here/none-such/id"),)
    assert key("~/.ssh/id") == ("/home/me/.ssh/id",)
    known = with_vars(
        tmp_path / "inv", "ansible_ssh_common_args: -o UserKnownHostsFile=keys/known_hosts"
    )
    assert known.hosts[0].address.known_hosts_files == (str(tmp_path / "inv/keys/known_hosts"),)


def test_arguments_that_cannot_be_followed_are_kept_for_their_host(tmp_path: Path) -> None:
    """The inventory loads, so that the other hosts can be worked on; file and line are kept."""
    args = "-o IPQoS=throughput -o BindInterface=x"
    hosts = f"{{a: {{ansible_ssh_common_args: {args}}}, b: {{ansible_ssh_args: -C}}}}"
    a, b = (host.address for host in with_vars(tmp_path, "", hosts).hosts)
    assert re.search(
        r"\.yml:\d+: ansible_ssh_common_args: ssh arguments: option 'bindinterface' is not "
        r"supported; use BindAddress$",
        a.refused,
    )
    assert a.passed_over == ("-o ipqos=throughput",)
    assert (b.refused, b.passed_over) == ("", ("-C",))


def test_one_address_behind_two_jumps_is_two_machines(tmp_path: Path) -> None:
    """Private addresses repeat; the way to them tells machines apart."""
    hosts = (
        "{a: {ansible_host: 10.0.0.1, ansible_ssh_common_args: -J x},"
        " b: {ansible_host: 10.0.0.1, ansible_ssh_common_args: -J y},"
        " c: {ansible_host: 10.0.0.1, ansible_port: 2222}}"
    )
    assert len(with_vars(tmp_path, "", hosts).hosts) == 3


def test_one_address_in_two_spellings_is_one_machine(tmp_path: Path) -> None:
    """Case and the standard port make no difference."""
    with pytest.raises(InventoryError, match="both"):
        with_vars(
            tmp_path,
            "",
            "{a: {ansible_host: EX.org}, b: {ansible_host: 'ex.org', ansible_port: 22}}",
        )


# --- templates and variables ------------------------------------------------------------------


def test_a_hosts_variables_are_there_for_templates(tmp_path: Path) -> None:
    """Variables are plain values; passwords and what only Ansible can work out are left out."""
    inventory = with_vars(
        tmp_path,
        "a: {b: '{{ inventory_hostname }}'}\nbroken: '{{ x | unknown_filter }}'\n"
        "ansible_become_password: hunter2\nansible_password: hunter2",
    )
    variables = inventory.variables["h1"]
    assert variables["a"] == {"b": "h1"}
    assert variables["inventory_dir"] == str(tmp_path)
    assert variables["groups"] == {"all": ["h1"], "ungrouped": ["h1"]}
    assert "broken" not in variables
    assert not {"broken", "ansible_become_password", "ansible_password"} & dict(variables).keys()
    assert len(variables) == len(dict(variables))
    with pytest.raises(InventoryError, match="unknown_filter"):
        variables["broken"]
    with pytest.raises(KeyError):
        variables["ansible_become_password"]
    assert "hunter2" not in repr(inventory)


def test_vaulted_values_may_stand_in_an_inventory(tmp_path: Path) -> None:
    """What ansible-vault encrypted is no fault until botdeploy needs it; then it is named."""
    put(tmp_path, "$ANSIBLE_VAULT;1.1;AES256\n6162\n", "group_vars/all/vault.yml")
    put(tmp_path, "a: 1\n", "group_vars/all/open.yml")
    inventory = with_vars(tmp_path, "unused: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  61")
    assert inventory.variables["h1"]["a"] == 1
    with pytest.raises(UserError, match=r"'vault_user' is undefined.*vault\.yml"):
        with_vars(tmp_path, "ansible_user: '{{ vault_user }}'")


def test_the_environment_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """lookup('env', NAME) gives the controller's variable."""
    monkeypatch.setenv("WHO", "me")
    inventory = with_vars(tmp_path, "ansible_user: \"{{ lookup('ansible.builtin.env', 'WHO') }}\"")
    assert inventory.hosts[0].address.user == "me"


def test_a_bot_may_refer_to_its_own_keys(tmp_path: Path) -> None:
    """A mapping is worked out key by key, so that one key may use another."""
    bot = bot_with(tmp_path, "env: {NAME: '{{ bot.name }}', WHERE: '{{ bot.source }}'}")
    assert bot.env == {"NAME": "echobot", "WHERE": "./src"}


# --- the other forms --------------------------------------------------------------------------

INI = """\
# comment
[internal]
dev1 ansible_host=198.51.100.5
[workers]
w[1:3]:2222 shard=1.10
[all:vars]
bot={"name": "echobot", "source": ".", "command": "run", "env": {"N": "{{ shard | default(0) }}"}}
rollout={"rings": [{"name": "internal", "hosts": "internal"}, {"name": "all", "hosts": "all"}]}
"""


def test_an_ini_file_is_an_inventory(tmp_path: Path) -> None:
    """INI gives the same values as YAML; values are Python literals, as in Ansible."""
    put(tmp_path, INI, "prod.ini")
    inventory = load("prod", tmp_path, os.environ)
    assert [host.name for host in inventory.hosts] == ["dev1", "w1", "w2", "w3"]
    assert inventory.host("w1").address.port == 2222
    assert inventory.host("w1").bot.env == {"N": "1.1"}
    assert inventory.policy.rings[0].hosts == ("dev1",)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[a\n", 1, "range needs"),
        ("[a b]\n", 1, "not a section"),
        ("[a:things]\n", 1, "'things'"),
        ("w1 port\n", 1, "NAME=VALUE"),
        ("w1 'a\n", 1, "No closing quotation"),
        ("[a:vars]\nx\n", 2, "NAME=VALUE"),
        ("[a:vars]\nx=1\n", 1, "'a' is not declared"),
        ("[a:children]\nb\n", 2, "'b' is not declared"),
        ("[a:children]\nb c\n", 2, "not a group's name"),
        ("[a:children]\na\n", 2, "contain each other"),
        ("[a]\nh1\n[all:vars]\nbot={'name': 'X'}\n", 4, "bot.name"),
        ("---\nall:\n", 1, "---"),
    ],
)
def test_a_bad_ini_file_is_refused_at_its_line(
    text: str, line: int, message: str, tmp_path: Path
) -> None:
    """INI files have lines in their errors too."""
    put(tmp_path, text, "prod.ini")
    with pytest.raises(InventoryError) as caught:
        load("prod", tmp_path, os.environ)
    assert f"prod.ini:{line}: " in str(caught.value)
    assert message in str(caught.value)


PROGRAM = """\
#!/bin/sh
[ "$1" = --list ] || exit 9
cat <<'END'
{"_meta": {"hostvars": {"w1": {"ansible_host": "10.0.0.1"}}},
 "workers": {"hosts": ["w1", "w2"], "vars": {"bot":
 {"name": "echobot", "source": "../x", "command": "run", "env": {"A": 1.5, "B": true}}}}}
END
"""


def test_a_program_is_an_inventory(tmp_path: Path) -> None:
    """An executable prints Ansible's dynamic JSON; its paths are relative to it."""
    put(tmp_path, PROGRAM, "prod").chmod(0o755)
    inventory = load("prod", tmp_path, os.environ)
    assert [host.address.hostname for host in inventory.hosts] == ["10.0.0.1", "w2"]
    assert inventory.hosts[0].bot.source == str(tmp_path.parent / "x")
    assert inventory.hosts[0].bot.env == {"A": "1.5", "B": "true"}


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 3", "ended with 3"),
        ("echo oops >&2; exit 1", "oops"),
        ("echo hello", "did not print JSON"),
        ("echo '[]'", "mapping of groups"),
        ("printf '\\377'", "did not print JSON"),
        ("echo '{}'", "has no hosts"),
        ("echo '{\"_meta\": []}'", "_meta"),
        ('echo \'{"_meta": {"hostvars": {"a": 1}}, "g": ["a"]}\'', "_meta.hostvars.a"),
        ('echo \'{"g": {"hosts": "a"}}\'', "g.hosts"),
        ('echo \'{"g": {"hosts": ["a b"]}}\'', "'a b'"),
        ('echo \'{"g": {"vars": []}}\'', "g.vars"),
        ('echo \'{"g": {"children": ["g"]}}\'', "contain each other"),
        (
            (
                'echo \'{"_meta": {"hostvars": {}}, '
                '"g": {"hosts": ["a"], "vars": {"bot": {"name": "X"}}}}\''
            ),
            "prod: bot.name",
        ),
    ],
)
def test_a_bad_program_is_refused_by_name(script: str, message: str, tmp_path: Path) -> None:
    """A program that fails or prints something else is a user's error that names it."""
    put(tmp_path, f"#!/bin/sh\n{script}\n", "prod").chmod(0o755)
    with pytest.raises(InventoryError) as caught:
        load("prod", tmp_path, os.environ)
    assert str(tmp_path / "prod") in str(caught.value)
    assert message in str(caught.value)


def test_a_folder_mixes_forms(tmp_path: Path) -> None:
    """All inventory files of a folder make one inventory, with its group_vars and host_vars."""
    put(tmp_path, "all: {hosts: {h1: {}}}\n", "prod/01.yml")
    put(tmp_path, "[web]\nh2\n", "prod/02.ini")
    put(tmp_path, '#!/bin/sh\necho \'{"web": ["h3"]}\'\n', "prod/03.sh").chmod(0o755)
    put(tmp_path, "bot: {name: a, source: ., command: x}\n", "prod/group_vars/all.yml")
    put(tmp_path, "ansible_port: 7\n", "prod/host_vars/h2.yml")
    put(tmp_path, "ansible_port: 9\n", "group_vars/all.yml")
    # h3's variables are asked for with --host, which prints the groups again: harmless names.
    inventory = load("prod", tmp_path, os.environ)
    assert [(host.name, host.address.port) for host in inventory.hosts] == [
        ("h1", None),
        ("h2", 7),
        ("h3", None),
    ]


# --- selection --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "names"),
    [
        ("['web:!w3', db]", "w1 w2 d1"),
        ("[db, 'web:!w3']", "w1 w2 d1"),
        ("['web:!w3']", "w1 w2"),
        ("['web:&old', '!w3']", "w2"),
        ("['web[0:1]', d1]", "w1 w2 d1"),
        ("['web[1:]', 'db']", "w2 w3 d1"),
        ("['web,d1', '!w1:!w2']", "w3 d1"),
        ("['::1', 'w1:d1']", "w1 d1 ::1"),
        ("[all, '!::1', '!web']", "d1"),
        ("['::*', d1]", "d1 ::1"),
        ("['~w[12]:db', w3]", "w1 w2 w3 d1"),
    ],
)
def test_a_list_of_patterns_means_what_its_items_mean(
    hosts: str, names: str, tmp_path: Path
) -> None:
    """Each item is read as it would be alone: colons separate in it, save in an address."""
    text = (
        "all:\n  vars:\n    bot: {name: a, source: ., command: x}\n    rollout: {hosts: HOSTS}\n"
        "  children:\n    web: {hosts: {w1: , w2: , w3: }}\n    db: {hosts: {d1: }}\n"
        "    old: {hosts: {w2: , w3: }}\n  hosts: {'::1': }\n"
    )
    inventory = loaded(tmp_path, text.replace("HOSTS", hosts))
    assert sorted(host.name for host in inventory.hosts) == sorted(names.split())
    ring = f"{{rings: [{{name: a, hosts: {hosts}}}, {{name: b, hosts: all}}]}}"
    inventory = loaded(tmp_path, text.replace("{hosts: HOSTS}", ring))
    assert sorted(inventory.policy.rings[0].hosts) == sorted(names.split())


@pytest.mark.parametrize(
    "pattern", ["workers:!w3,b1", "b1,w1:w2", "b1, w1 w2", "b1,!w1:!w2", "b1,w1:", "w[1,w1"]
)
def test_a_pattern_that_separates_in_two_ways_is_refused(pattern: str) -> None:
    """Between commas Ansible takes it for one name, which no host has."""
    inventory = load("contract", HERE, os.environ)
    with pytest.raises(UserError, match="write ',' between all names"):
        select(inventory, pattern)


@pytest.mark.parametrize("pattern", ["b1,~(?:w1|w2)", "b1,w[1:2],w1,w2", "::1,fd00::*,!fd00::1,b1"])
def test_colons_of_one_name_are_no_second_way(pattern: str) -> None:
    """Regular expressions, subscripts and addresses may hold colons between commas."""
    assert "b1" in select(load("contract", HERE, os.environ), pattern)


@pytest.mark.parametrize(
    "pattern",
    ["workers[1-2]", "w[1-2]", "w[1-]", "w*[0-9]", "b1,w[01-02]", "all:!w[1-2]", "all:&w[1-2]"],
)
def test_a_range_with_a_dash_is_refused(pattern: str) -> None:
    """Ansible counts the members of a group with it; a wildcard would mean other hosts."""
    inventory = load("contract", HERE, os.environ)
    with pytest.raises(UserError, match=r"write .*\[.*:.*\] for .* or .*'~.*\[.*\]\$' for names"):
        select(inventory, pattern)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [("~w[1-2]$", "w1 w2"), ("w[1-2]*", "w1 w2"), ("[v-w][!a-z]", "w1 w2 w3"), ("w*[-2]", "w2")],
)
def test_a_dash_elsewhere_is_no_range(pattern: str, names: str) -> None:
    """Ansible reads these as here."""
    assert select(load("contract", HERE, os.environ), pattern) == tuple(names.split())


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("web", "web"),
        ("web,w2", "web w2"),
        ("w2:web", "web w2"),
        ("web[0:1]", "web w2"),
        ("web*", "web w2 w3"),
        ("all:!web", "x"),
        ("all:&web", "web w2 w3"),
        ("all", "web w2 w3 x"),
    ],
)
def test_a_host_that_has_its_groups_name_is_meant_alone(
    pattern: str, names: str, tmp_path: Path
) -> None:
    """As in Ansible: behind '!' and '&', and with a subscript, the name is the group's."""
    text = (
        "all:\n  vars:\n    bot: {name: a, source: ., command: x}\n    rollout: {rings: RINGS}\n"
        "  hosts: {x: }\n  children: {web: {hosts: {web: , w2: , w3: }}}\n"
    )
    rings = f"[{{name: a, hosts: '{pattern}'}}, {{name: b, hosts: all}}]"
    inventory = loaded(tmp_path, text.replace("RINGS", rings))
    assert sorted(select(inventory, pattern)) == sorted(names.split())
    assert sorted(inventory.policy.rings[0].hosts) == sorted(names.split())
    inventory = loaded(tmp_path, text.replace("rings: RINGS", f"hosts: '{pattern}'"))
    assert sorted(host.name for host in inventory.hosts) == sorted(names.split())


def test_selecting_nothing_is_a_users_error() -> None:
    """A pattern that matches no host is refused, by the environment's name."""
    inventory = load("contract", HERE, os.environ)
    assert select(inventory, "internal:beta") == ("dev1", "b1")
    assert select(inventory, "workers[0:1]") == ("w1", "w2")
    for pattern in ("nobody", "all:!all", "workers:&beta", "", " ", "workers[9]", "~("):
        with pytest.raises(UserError, match=r"pattern|no host"):
            select(inventory, pattern)


# --- who is part of it --------------------------------------------------------------------------

MIXED = """\
all:
  children:
    bots:
      vars:
        bot: {name: echobot, source: ., command: run}
      hosts: {w1: {}, w2: {}, w3: {}, old1: {}}
    others:
      hosts:
        db1: {ansible_connection: winrm}
        bastion: {}
"""
ROLLOUT = """\
  vars:
    rollout:
      rings:
        - {name: half, hosts: 50%}
        - {name: rest, hosts: all}
"""


def test_hosts_without_a_bot_are_no_part_of_the_environment(tmp_path: Path) -> None:
    """They are neither counted nor connected to, whatever their variables say; they are told."""
    inventory = loaded(tmp_path, MIXED + ROLLOUT)
    assert [host.name for host in inventory.hosts] == ["w1", "w2", "w3", "old1"]
    assert inventory.policy.rings[1].hosts == ("w1", "w2", "w3", "old1")
    assert inventory.policy.rings[0].selector.of(len(inventory.hosts)) == 2  # type: ignore[union-attr]
    assert set(inventory.left_out) == {"db1", "bastion"}
    assert "no variable 'bot'" in inventory.left_out["db1"]
    assert inventory.groups["all"] == ("w1", "w2", "w3", "old1")
    assert inventory.groups["others"] == ()


@pytest.mark.parametrize("pattern", ["'w*'", "[w1, w2, w3]", "'bots:!old*'", "'all:!old1'"])
def test_a_pattern_limits_the_environment(tmp_path: Path, pattern: str) -> None:
    """``rollout.hosts`` is a pattern of Ansible's, over the whole inventory."""
    inventory = loaded(
        tmp_path, MIXED + ROLLOUT.replace("rollout:", f"rollout:\n      hosts: {pattern}")
    )
    assert [host.name for host in inventory.hosts] == ["w1", "w2", "w3"]
    assert inventory.left_out["old1"] == "rollout.hosts leaves it out"
    assert "no variable 'bot'" in inventory.left_out["bastion"]


def test_a_host_that_is_left_out_needs_no_ring(tmp_path: Path) -> None:
    """Rings have to hold the environment's hosts, and no others."""
    text = "  vars:\n    rollout: {hosts: w1, rings: [{name: one, hosts: w1}]}\n"
    inventory = loaded(tmp_path, MIXED + text)
    assert inventory.policy.rings[0].hosts == ("w1",)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("nobody", "no host is meant by 'nobody'"),
        ("db1", "no host that has the variable 'bot' is meant by 'db1'"),
        ("'bots[9]'", "out of range"),
    ],
)
def test_a_pattern_that_leaves_nobody_is_an_error(
    tmp_path: Path, pattern: str, message: str
) -> None:
    """With the place of the pattern."""
    text = f"  vars:\n    rollout:\n      hosts: {pattern}\n"
    with pytest.raises(InventoryError, match=re.escape(message)) as caught:
        loaded(tmp_path, MIXED + text)
    assert caught.value.line == 13


@pytest.mark.parametrize("who", ["db1", "others", "d*"])
def test_a_ring_of_hosts_that_are_left_out_says_why(tmp_path: Path, who: str) -> None:
    """By name, by group or by pattern: they are in the file, after all."""
    rings = f"[{{name: c, hosts: '{who}'}}, {{name: f, hosts: all}}]"
    why = "'db1' is no part of it, because it has no variable 'bot'"
    with pytest.raises(InventoryError, match=re.escape(f"no host matches '{who}': {why}")):
        loaded(tmp_path, f"{MIXED}  vars:\n    rollout:\n      rings: {rings}\n")


def test_a_limit_to_a_host_that_is_left_out_says_why(tmp_path: Path) -> None:
    """It is in the file, after all."""
    inventory = loaded(tmp_path, MIXED)
    with pytest.raises(UserError, match="'db1' is no part of it, because it has no variable 'bot'"):
        select(inventory, "db1")


def test_an_environment_is_known_by_its_name_or_its_id(tmp_path: Path) -> None:
    """``rollout.id`` stays when the file is renamed."""
    assert loaded(tmp_path, MIXED).known_as == "prod"
    inventory = loaded(tmp_path, MIXED + "  vars: {rollout: {id: echo-prod}}\n")
    assert (inventory.environment, inventory.known_as) == ("prod", "echo-prod")
