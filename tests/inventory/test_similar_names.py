"""A variable that is nearly ``bot`` or ``rollout`` is an error: gates would go with it."""

from __future__ import annotations

import json
import os
import re
import string
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.errors import InventoryError
from botdeploy.inventory import load
from botdeploy.inventory.located import Place, located
from botdeploy.inventory.similar_names import slips_of_connection, suspect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BOT = {"name": "echobot", "source": ".", "command": "run"}
ROLLOUT = {"rings": [{"name": "all", "hosts": "all", "gate": "approve"}]}
HERE = Place("prod.yml", 1)

SLIPS_OF_ROLLOUT = [
    *("rolout", "rollouts", "Rollout", "ROLLOUT", "rollOut", "roll_out", "roll-out", "rollout "),
    *(
        " rollout",
        "rollout:",
        "rollot",
        "rolluot",
        "rrollout",
        "rollaut",
        "r\u043ellout",
        "rolouts",
    ),
    *("rolloout", "rollout_", "Rolouts", "\uff52ollout", "rol1out"),
]
SLIPS_OF_BOT = [
    "Bot",
    "BOT",
    "bots",
    "Bots",
    "bot ",
    "bot_",
    "b-o-t",
    " bot",
    "b\u043et",
    "bto",
    "bott",
]
GOOD = [
    *("robot", "boot", "rollback_user", "rollback", "bot_name", "bot_user", "my_bot", "botnet"),
    *("rollout_user", "rollouts_dir", "prod_rollout", "rollup", "callout", "layout", "lockout"),
    *("bt", "bat", "bit", "both", "bottle", "bo", "b", "app", "bot2", "rollout2", "web_bots"),
]


def put(folder: Path, files: Mapping[str, str]) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", SLIPS_OF_ROLLOUT)
def test_slips_of_rollout_are_errors(tmp_path: Path, name: str) -> None:
    """The error names file, line and the right name."""
    put(
        tmp_path,
        {
            "prod.yml": f"all:\n  hosts: {{h1: {{}}}}\n  vars:\n    bot: {json.dumps(BOT)}\n"
            f"    {json.dumps(name)}: {json.dumps(ROLLOUT)}\n"
        },
    )
    with pytest.raises(InventoryError, match=r"nearly 'rollout'.*write 'rollout'") as caught:
        load("prod", tmp_path, os.environ)
    assert caught.value.line == 5
    assert caught.value.file == str(tmp_path / "prod.yml")


@pytest.mark.parametrize("name", SLIPS_OF_BOT)
def test_slips_of_bot_are_errors(tmp_path: Path, name: str) -> None:
    """Also where other hosts have a ``bot``: this one would be no part of the environment."""
    put(
        tmp_path,
        {
            "prod.yml": f"all:\n  hosts:\n    h1: {{bot: {json.dumps(BOT)}}}\n    h2:\n"
            f"      {json.dumps(name)}: {json.dumps(BOT)}\n"
        },
    )
    with pytest.raises(InventoryError, match=r"nearly 'bot'.*write 'bot'") as caught:
        load("prod", tmp_path, os.environ)
    assert caught.value.line == 5


LEVELS: dict[str, tuple[dict[str, str], str, int | None]] = {
    "host": (
        {"prod.yml": "all:\n  hosts:\n    h1:\n      SLIP: {}\n"},
        "prod.yml",
        4,
    ),
    "group": (
        {"prod.yml": "web:\n  hosts: {h1: {}}\n  vars:\n\n    SLIP: {}\n"},
        "prod.yml",
        5,
    ),
    "child": (
        {"prod.yml": "all:\n  children:\n    w:\n      hosts: {h1: {}}\n      vars: {SLIP: {}}\n"},
        "prod.yml",
        5,
    ),
    "group_vars": (
        {"prod.yml": "web: {hosts: {h1: {}}}\n", "group_vars/all.yml": "a: 1\nSLIP:\n  x: 1\n"},
        "group_vars/all.yml",
        2,
    ),
    "group_vars folder": (
        {"prod.yml": "web: {hosts: {h1: {}}}\n", "group_vars/web/x.yml": "\nSLIP: []\n"},
        "group_vars/web/x.yml",
        2,
    ),
    "host_vars": (
        {"prod.yml": "web: {hosts: {h1: {}}}\n", "host_vars/h1.json": '{"a": 1,\n"SLIP": {}}\n'},
        "host_vars/h1.json",
        2,
    ),
    "ini host": ({"prod.ini": "[web]\nh1 SLIP='{}'\n"}, "prod.ini", 2),
    "ini vars": ({"prod.ini": "[web]\nh1\n[all:vars]\nSLIP={}\n"}, "prod.ini", 4),
}


@pytest.mark.parametrize("slip", ["rolout", "Rollouts", "Bot", "bots"])
@pytest.mark.parametrize("level", LEVELS)
def test_slips_are_found_at_every_level(tmp_path: Path, level: str, slip: str) -> None:
    """Wherever Ansible lets a variable stand, the error names the line of its name."""
    files, file, line = LEVELS[level]
    put(tmp_path, {name: text.replace("SLIP", slip) for name, text in files.items()})
    with pytest.raises(InventoryError, match=f"{slip}: is nearly") as caught:
        load("prod", tmp_path, os.environ)
    assert (caught.value.file, caught.value.line) == (str(tmp_path / file), line)


@pytest.mark.programs
@pytest.mark.parametrize("where", ["vars", "_meta"])
def test_slips_are_found_in_what_a_program_prints(tmp_path: Path, where: str) -> None:
    """An executable inventory has no lines; it is named itself."""
    groups: dict[str, object] = {"web": {"hosts": ["h1"], "vars": {"bot": BOT}}}
    if where == "vars":
        groups["all"] = {"vars": {"rolout": ROLLOUT}}
    groups["_meta"] = {"hostvars": {"h1": {"rolout": ROLLOUT} if where == "_meta" else {}}}
    put(tmp_path, {"prod": f"#!/bin/sh\ncat <<'E'\n{json.dumps(groups)}\nE\n"})
    (tmp_path / "prod").chmod(0o755)
    with pytest.raises(InventoryError, match="prod: rolout: is nearly 'rollout'"):
        load("prod", tmp_path, os.environ)


@pytest.mark.parametrize("name", GOOD)
def test_sensible_names_are_left_alone(tmp_path: Path, name: str) -> None:
    """Words, numbers and names with more to them are a project's own, whatever they hold."""
    inventory = {
        "all": {
            "hosts": {"h1": {}},
            "vars": {"bot": BOT, "rollout": ROLLOUT, name: {"name": "x", "hosts": "all"}},
        }
    }
    put(tmp_path, {"prod.yml": json.dumps(inventory)})
    assert load("prod", tmp_path, os.environ).bot_name == "echobot"


def test_a_variable_that_a_template_uses_is_no_slip(tmp_path: Path) -> None:
    """``bots`` may hold what ``bot`` is chosen from."""
    put(
        tmp_path,
        {
            "prod.yml": "all:\n  hosts: {h1: {}}\n  vars:\n"
            f"    bots: {{one: {json.dumps(BOT)}}}\n"
            '    bot: "{{ bots.one }}"\n'
            f"    rollouts: [{json.dumps(ROLLOUT)}]\n"
            '    rollout: "{{ rollouts[0] }}"\n'
        },
    )
    inventory = load("prod", tmp_path, os.environ)
    assert inventory.policy.rings[0].name == "all"


@given(st.data())
def test_one_slip_of_the_finger_is_found(data: st.DataObject) -> None:
    """Any letter of ``rollout`` missing, doubled, swapped with the next, or another letter."""
    word = "rollout"
    at = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from(string.ascii_letters))
    slip = data.draw(
        st.sampled_from(
            [
                word[:at] + word[at + 1 :],
                word[:at] + letter + word[at:],
                word[:at] + letter + word[at + 1 :],
                word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
            ]
        )
    )
    found = suspect(slip, located(None, HERE), HERE)
    assert (found is None) == (slip == word)


@given(st.text(min_size=1, max_size=12))
def test_what_is_called_nearly_rollout_is_near_it(name: str) -> None:
    """No name is taken for ours without most of its letters."""
    found = suspect(name, located({}, HERE), HERE)
    if found is not None and found.right == "rollout":
        letters = set(re.sub(r"[\W_]", "", name.casefold()))
        assert len(letters & set("rollout")) >= 3


# --- nearly-right keys inside -------------------------------------------------------------------

INSIDE = [
    ("bot", {"redy": {"pattern": "x"}}, "redy", "ready"),
    ("bot", {"ready": {"patern": "x"}}, "ready.patern", "pattern"),
    ("bot", {"probe": {"comand": "x"}}, "probe.comand", "command"),
    ("bot", {"Secrets": {}}, "Secrets", "secrets"),
    ("bot", {"shared ": []}, "shared ", "shared"),
    ("rollout", {"ring": []}, "ring", "rings"),
    ("rollout", {"leases": "90s"}, "leases", "lease"),
    ("rollout", {"onfail": "ring"}, "onfail", "on_fail"),
    ("rollout", {"max_unreacheable": 1}, "max_unreacheable", "max_unreachable"),
    ("rollout", {"lease": {"tll": "90s"}}, "lease.tll", "ttl"),
    ("rollout", {"judge": {"presets": "quick"}}, "judge.presets", "preset"),
    ("rollout", {"judge": {"same": [{"patern": "x"}]}}, "judge.same[0].patern", "pattern"),
    ("rollout", {"rings": [{"name": "a", "hosts": "all", "gates": "approve"}]}, "gates", "gate"),
    ("rollout", {"rings": [{"name": "a", "hosts": "all", "Soak": "1h"}]}, "Soak", "soak"),
    (
        "rollout",
        {"rings": [{"name": "a", "hosts": "all", "announce": {"begins": "x"}}]},
        "rings[0].announce.begins",
        "begin",
    ),
]


@pytest.mark.parametrize(("root", "keys", "key", "right"), INSIDE)
def test_nearly_right_keys_inside_are_errors(
    tmp_path: Path, root: str, keys: dict[str, object], key: str, right: str
) -> None:
    """At every level of both variables the nearest known key is named."""
    variables: dict[str, object] = {"bot": BOT, "rollout": ROLLOUT}
    variables[root] = {**BOT, **keys} if root == "bot" else keys
    put(tmp_path, {"prod.yml": json.dumps({"all": {"hosts": {"h1": {}}, "vars": variables}})})
    with pytest.raises(InventoryError, match=re.escape(f"did you mean '{right}'?")) as caught:
        load("prod", tmp_path, os.environ)
    assert f"{key}: " in str(caught.value)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("ansible_hots", "ansible_host"),
        ("ansible_ssh_prot", "ansible_ssh_port"),
        ("ansible-user", "ansible_user"),
        ("Ansible_Port", "ansible_port"),
        ("anisble_user", "ansible_user"),
        ("ansible_becom", "ansible_become"),
        ("ansible_conection", "ansible_connection"),
        ("ansible_ssh_comon_args", "ansible_ssh_common_args"),
        ("ansible_ssh_private_keyfile", "ansible_ssh_private_key_file"),
        ("ansible_become_pasword", "ansible_become_password"),
    ],
)
def test_slips_of_a_connection_variable_are_told(tmp_path: Path, name: str, right: str) -> None:
    """With file, line and the right name, once for all hosts; it is no error."""
    put(
        tmp_path,
        {
            "prod.yml": "all:\n  hosts: {h1: {}, h2: {}}\n  vars:\n"
            f"    bot: {json.dumps(BOT)}\n    {name}: 2\n"
        },
    )
    (note,) = load("prod", tmp_path, os.environ).notes
    assert note.startswith(f"{tmp_path / 'prod.yml'}:5: {name} is nearly '{right}'")


@pytest.mark.parametrize(
    "name",
    [
        *("ansible_hostname", "ansible_host_name", "ansible_python_interpreter", "ansible_facts"),
        *(
            "ansible_ssh_pipelining",
            "ansible_ssh_retries",
            "ansible_shell_type",
            "ansible_become_exe",
        ),
        *("ansible_scp_extra_args", "ansible_sftp_extra_args", "ansible_ssh_executable", "ansible"),
        *(
            "ansible_become_flags",
            "ansible_su_pass",
            "ansible_user_id",
            "ansible_user_dir",
            "my_host",
        ),
        *("ansible_ssh_timeout", "ansible_control_path", "ansible_network_os", "ansible_os_family"),
        *("ansible_distribution", "ansible_port_base", "ansible_remote_tmp", "ansible_winrm_port"),
        *("ansible_local", "ansible_password", "ansible_ssh_pass", "ansible_connection"),
    ],
)
def test_other_variables_of_ansible_s_are_not_taken_for_slips(name: str) -> None:
    """Neither those of other plugins nor facts that somebody has put into an inventory."""
    assert not slips_of_connection([{name: located("ssh", HERE)}])


def test_a_slip_that_a_template_uses_is_none() -> None:
    """It is the inventory's own."""
    own = located({"ansible_hosts": "x", "peers": "{{ ansible_hosts }}"}, HERE).items
    assert not slips_of_connection([own])
    assert slips_of_connection([{"ansible_hosts": own["ansible_hosts"]}])
