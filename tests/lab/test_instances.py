"""Several instances of a bot on one real host: one store of trees, and all else apart."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.hosts.acts.actkit import BOT, Actor, release
from tests.hosts.acts.formkit import until
from tests.hosts.acts.instancekit import HOME, LIFE, STATE, TREES, Instance, entered, life, named
from tests.lab.shell import HANG_S, looks

if TYPE_CHECKING:
    from tests.lab.faults import BreakableHost
    from tests.lab.lab import Lab

DEV = f"{HOME}/instances/dev"
UNITS = "/etc/systemd/system"


@pytest.fixture
def host(lab: Lab) -> BreakableHost:
    """Give a host that has the program and no instance yet."""
    host = lab["h1"]
    assert "installed" in Actor(host).install()
    return host


def changed(number: int) -> str:
    """Give the code of the bot, changed: another tree."""
    return f"NUMBER = {number}\n{LIFE}"


def trees(host: BreakableHost) -> list[str]:
    """List what stands in the store, hidden files and all."""
    return host.root(f"ls -A {TREES}").stdout.split()


def wait_until(actor: Instance, phase: str, seconds: float = HANG_S) -> dict[str, Any]:
    """Wait for a phase of the instance's switch."""
    state: dict[str, Any] = {}
    for _ in looks(seconds):
        state = actor.state()
        if state["phase"]["phase"] == phase:
            return state
    raise AssertionError(state)


# --- one tree -------------------------------------------------------------------------------------


def test_two_instances_have_one_tree_and_each_its_own_data(host: BreakableHost) -> None:
    """The second one's tree is not sent; both find their data by their resolved path."""
    dev, main = entered(host, "dev"), entered(host, "main")
    dev.deploy(named("R1"), "run1")
    main.deploy(named("R1", "main"), "run1", base="=")
    tree = named("R1").tree_digest
    assert [one for one in trees(host) if one[0] != "."] == [tree]
    states = {one.name: one.state() for one in (dev, main)}
    for name, state in states.items():
        assert (state["current"], state["running"], state["instance"]) == ("R1", "R1", name)
        assert (state["trees"], state["releases"][0]["tree"]) == ([tree], tree)
        assert state["standing"] == [
            {"instance": "dev", "release": "R1", "environment": "prod", "took": "", "numbers": ""},
            {"instance": "main", "release": "R1", "environment": "prod", "took": "", "numbers": ""},
        ]
        assert {row[2] for row in life(host, name)} == {str(state["main_pid"])}
    assert states["dev"]["machine"] == states["main"]["machine"] != ""
    assert host.root(f"find {TREES}/{tree}/data -mindepth 1").stdout == ""
    assert "READY R1 main" in host.root(f"journalctl -q -u {BOT}@main -o cat").stdout


def test_a_release_of_an_instance_is_small_and_private(host: BreakableHost) -> None:
    """It holds what differs between instances, and its secrets are root's alone."""
    dev = entered(host, "dev")
    dev.deploy(named("R1"), "run1")
    folder = f"{DEV}/releases/R1"
    found = host.root(f"find {folder} -printf '%y %m %U %P %l\\n' | sort").stdout.splitlines()
    tree = named("R1").tree_digest
    assert found == [
        "d 755 0  ",
        "d 755 0 .botdeploy ",
        "f 600 0 .botdeploy/environment ",
        *(f"f 644 0 .botdeploy/{name} " for name in ("about", "digest", f"{BOT}@dev.service")),
        *(f"f 644 0 .botdeploy/{name} " for name in ("ready", "staged")),
        f"l 777 0 tree ../../../../trees/{tree}",
    ]
    loose = f"find {HOME} ! -type l \\( -perm /022 -o ! -user root \\) ! -path '*/shared/data*'"
    assert host.root(loose).stdout == ""


def test_a_tree_is_built_once_for_all_who_come_with_it(host: BreakableHost) -> None:
    """Who comes second waits for the first, also from another environment, and gets the same."""
    dev, main = entered(host, "dev"), entered(host, "main", "stage")
    build = b"pwd >where\nls -d data\nsleep 2\n"
    dev.upload(named("R1", build=build), is_held=True)
    main.upload(named("Q1", "main", build=build))
    dev.let_go()
    for one in (dev, main):
        said = one.uploaded()
        assert "staged" in said, said.records
    tree = named("R1", build=build).tree_digest
    assert host.root(f"cat {TREES}/{tree}/where").stdout.strip() == f"{TREES}/{tree}"
    builds = host.root(f"journalctl -q -u 'botdeploy-build-{BOT}@*' _PID=1 -o cat")
    assert builds.stdout.count("Started") == 1, builds.stdout
    assert trees(host).count(tree) == 1
    assert host.root(f"ls -A {DEV} {TREES}/.making").stdout.split().count(".partial") == 0
    main("switch", main.token, "run1", "Q1", 60)
    assert main.state()["running"] == "Q1"


WAITED = "/run/lab-waited"


def wait_for_the_unheard(host: BreakableHost, seconds: int) -> None:
    """Change for how long a controller is waited for without a word; who waits is noted."""
    place = program(host)
    host.root(
        f"sed -i 's/^UNHEARD_S=.*/UNHEARD_S={seconds}/;"
        f" s|^await_maker() {{|&\\necho $INSTANCE >>{WAITED}|' {place};"
        f" grep -q UNHEARD_S={seconds} {place} && grep -q {WAITED} {place}"
    )


def test_who_is_dead_is_not_waited_for(host: BreakableHost) -> None:
    """An act that was killed in the middle leaves its claim, which is worth nothing."""
    wait_for_the_unheard(host, 100_000)  # who waited for it would never come to an end
    dev, main = entered(host, "dev"), entered(host, "main", "stage")
    dev.upload(named("R1"), is_held=True)
    host.root("pkill -KILL -f 'echobot [n] stage@dev'")
    assert "staged" in main.send(named("Q1", "main"))
    dev.let_go()
    assert "staged" in dev.send(named("R1"), "=")


def test_who_is_not_heard_is_not_waited_for(host: BreakableHost) -> None:
    """A controller that went away in the middle keeps nobody else from the same tree."""
    wait_for_the_unheard(host, 3)
    dev, main = entered(host, "dev"), entered(host, "main", "stage")
    dev.upload(named("R1"), is_held=True)
    assert "staged" in main.send(named("Q1", "main")), "not waited for until all has come"
    assert host.root(f"cat {WAITED}").stdout == "main\n", "waited for, all the same"
    dev.let_go()
    assert "staged" in dev.uploaded(), "what comes late after all finds the tree and uses it"
    assert [one for one in trees(host) if one[0] != "."] == [named("R1").tree_digest]
    states = [one.state()["releases"][0]["tree"] for one in (dev, main)]
    assert len(set(states)) == 1


def test_a_base_is_a_tree_or_a_release(host: BreakableHost) -> None:
    """What a tree in the store has is copied from it; one that is not there is told."""
    dev, main = entered(host, "dev"), entered(host, "main")
    first, second = named("R1"), named("R2", code=changed(2))
    dev.deploy(first, "run1")
    third = named("R2", "main", code=changed(2))
    said = main.send(third, f"tree:{first.tree_digest}", body=second.body(first))
    assert "staged" in said, said.records
    fourth = named("R3", code=changed(3))
    assert "staged" in dev.send(fourth, "R1", body=fourth.body(first))
    assert main.send(named("R9", "main", code=changed(9)), "=").fault == "no-tree"
    ghost = named("R8", "main", code=changed(8))
    assert main.send(ghost, f"tree:{'0' * 64}").fault == "no-base"
    inodes = f"stat -c %i {TREES}/*/lib/common.txt"
    assert len(set(host.root(inodes).stdout.split())) == 3, "copied, never linked"


def test_a_release_can_be_read_and_copied(host: BreakableHost) -> None:
    """What a release says of itself is as it was sent, also where other hosts are to get it."""
    dev = entered(host, "dev")
    made = named("R1", files={"data.txt": b"x"})
    dev.deploy(made, "run1")
    for what in ("R1", f"tree:{made.tree_digest}"):
        packed = base64.b64decode(dev("manifest", what)["manifest"])
        assert gzip.decompress(packed).decode() == f"{made.sums}\n{made.tree}"
    assert base64.b64decode(dev("about", "R1")["unit"]).decode() == made.unit
    done = dev.host.root(
        f"$(ls /usr/local/lib/botdeploy/*/{BOT}) n fetch@dev {dev.token} R1"
    ).stdout.splitlines()
    rows = [row for row in done if not row.startswith("@@")]
    cut = len(done) - 1 - done[::-1].index('@@n {"part": "files"}')
    meta = base64.b64decode("".join(row for row in done[:cut] if row in rows))
    with tarfile.open(fileobj=io.BytesIO(meta)) as tar:
        names = {one.removeprefix("./") for one in tar.getnames()}
    assert {"sums", "tree", "shared", "digest", "environment", f"{BOT}@dev.service"} <= names
    assert "staged" not in names


# --- data -----------------------------------------------------------------------------------------

ODD_NAMES = ("data", "my notes", "a/b: 50% done", "limits.json", "a/seed.json")


def test_shared_data_is_folders_and_files_of_any_name(host: BreakableHost) -> None:
    """A file begins as the release's; names with blanks, colons and percent signs are mounted."""
    code = LIFE.replace(
        'note("start")',
        'note("start")\n'
        'for name in ("my notes/x", "a/b: 50% done/x", "limits.json", "a/seed.json"):\n'
        '    open(HERE / name, "a").write(NAME)\n',
    )
    files = {"limits.json": b"{}", "a/seed.json": b"[]"}
    dev, main = entered(host, "dev"), entered(host, "main")
    host.root(f"mkdir -p {DEV}/shared; echo old >{DEV}/shared/limits.json")
    dev.deploy(named("R1", code=code, files=files, shared=ODD_NAMES), "run1")
    main.deploy(named("R1", "main", code=code, files=files, shared=ODD_NAMES), "run1", base="=")
    for name, limits in (("dev", "old\nR1"), ("main", "{}R1")):
        shared = f"{HOME}/instances/{name}/shared"
        read = f"cat {shared}/limits.json; echo; cat {shared}/a/seed.json '{shared}/my notes/x'"
        assert host.root(f"{read} '{shared}/a/b: 50% done/x'").stdout == f"{limits}\n[]R1R1R1"
        owners = f"stat -c '%U %n' {shared} {shared}/a {shared}/data {shared}/a/seed.json"
        assert [row.split()[0] for row in host.root(owners).stdout.splitlines()] == [
            *("root", "root"),
            *(BOT, BOT),
        ]
    tree = named("R1", code=code, files=files, shared=ODD_NAMES).tree_digest
    assert host.root(f"cat {TREES}/{tree}/limits.json").stdout == "{}"


def test_readiness_and_probes_see_the_data_of_the_instance(host: BreakableHost) -> None:
    """Where the bot has it, and its HOME is the instance's shared folder."""
    ready = "kind=command\nvalue=grep -q start data/life && test -w data\ntimeout=20\n"
    dev, main = entered(host, "dev"), entered(host, "main")
    dev.deploy(named("R1", ready=ready), "run1")
    main.deploy(named("R1", "main", ready=ready), "run1", base="=")
    host.root(f"echo mine >{DEV}/shared/data/mark")
    asked = b"cat data/mark; echo $HOME; id -un; pwd"
    said = dev("probe", "command", 5, stdin=asked)["probe"]
    tree = named("R1").tree_digest
    told = base64.b64decode(said["body"]).decode().split()
    assert told == ["mine", f"{DEV}/shared", BOT, f"{TREES}/{tree}"]
    assert b"mine" not in base64.b64decode(
        main("probe", "command", 5, stdin=asked)["probe"]["body"]
    )
    assert host.root(f"grep -c {TREES} /proc/mounts", check=False).stdout.strip() == "0"


def test_another_tree_needs_no_reload_of_systemd(host: BreakableHost) -> None:
    """Reading all units again would take longer than the switch; the mounts are right anyway."""
    dev = entered(host, "dev")
    dev.deploy(named("R1"), "run1")
    count = "journalctl -q _PID=1 -o cat | grep -c '^Reloading'"
    before = host.root(count).stdout
    second = named("R2", code=changed(2))
    second.unit = second.unit.replace("releases/R2", "current").replace("BOTDEPLOY_RELEASE=R2 ", "")
    first = named("R3", code=changed(3))
    first.unit = second.unit
    for made in (second, first):
        made.files = {"bot.py": made.files["bot.py"].replace(b'["BOTDEPLOY_RELEASE"]', b'["NAME"]')}
        dev.deploy(made, f"run-{made.id}")
    after = host.root(count).stdout
    assert int(after) <= int(before) + 1, "the first of the two has another unit than R1"
    assert life(host, "dev")[-1][3] == "R3"
    assert host.root(f"find {TREES}/*/data -mindepth 1").stdout == ""


# --- apart ----------------------------------------------------------------------------------------


def test_a_change_of_one_instance_does_not_touch_the_other(host: BreakableHost) -> None:
    """Pending, lapsed and returned: the other keeps its process, mark and runtime folder."""
    dev, main = entered(host, "dev"), entered(host, "main")
    dev.deploy(named("R1"), "run1")
    main.deploy(named("R1", "main"), "run1", base="=")
    assert "staged" in main.send(named("R2", "main", code=changed(2)))
    assert "staged" in dev.send(named("R2", code=changed(2)), "=")
    assert "switched" in main.switch("run2", "R2")
    before = main.state()
    assert "switched" in dev.switch("run2", "R2")
    dev.let_lapse("run2")
    assert wait_until(dev, "reverted")["running"] == "R1"
    host.root(f"systemctl stop {BOT}@dev")
    after = main.state()
    for key in ("main_pid", "invocation", "running", "restarts"):
        assert after[key] == before[key]
    assert after["phase"]["phase"] == "pending"
    folders = host.root(f"ls -d /run/{BOT}@*").stdout.split()
    assert folders == [f"/run/{BOT}@main"]
    assert "confirmed" in main("confirm", main.token, "run2")
    host.root("systemctl kill -s KILL botdeploy-guard-echobot@dev", check=False)
    assert dev.state()["releases"] != []


def test_a_fault_in_a_switch_does_not_touch_the_other(host: BreakableHost) -> None:
    """Guard and act of one are killed at any moment; the other's pending release stays as it is."""
    dev, main = entered(host, "dev"), entered(host, "main")
    dev.deploy(named("R1"), "run1")
    main.deploy(named("R1", "main"), "run1", base="=")
    assert "staged" in main.send(named("R2", "main", code=changed(2)))
    assert "staged" in dev.send(named("R2", code=changed(2)), "=")
    assert "switched" in main.switch("run2", "R2", ttl=600)
    before = main.state()
    place = program(host)
    for number, delay_s in enumerate((0.0, 0.1, 0.25, 0.45, 0.7)):
        run, release_id = f"try{number}", ("R2", "R1")[number % 2]
        host.root(
            f"{place} n switch@dev {dev.token} {run} {release_id} 60 >/dev/null 2>&1 </dev/null &"
            f" sleep {delay_s}; pkill -KILL -f 'echobot [n] switch@dev';"
            f" systemctl kill -s KILL --kill-who=all botdeploy-guard-{BOT}@dev; true",
            check=False,
        )
        said = dev.switch(run, release_id)
        assert "switched" in said, said.records
        assert "confirmed" in dev("confirm", dev.token, run)
        assert dev.state()["running"] == release_id
        assert "proven" in dev("prove", dev.token, release_id, 5, run)
    after = main.state()
    assert [after[key] for key in ("main_pid", "invocation", "running")] == [
        before[key] for key in ("main_pid", "invocation", "running")
    ]
    assert (after["phase"]["phase"], after["phase"]["run"]) == ("pending", "run2")
    lives: dict[str, tuple[int, int]] = {}
    for stamp, _, pid, _ in life(host, "dev"):
        lives[pid] = (lives.get(pid, (int(stamp), 0))[0], int(stamp))
    spans = sorted(lives.values())
    assert all(one[1] < two[0] for one, two in pairwise(spans)), spans


def test_after_a_reboot_each_instance_is_what_it_was_confirmed_to_be(host: BreakableHost) -> None:
    """One is pending and goes back, the other starts again; both with their data."""
    dev, main = entered(host, "dev"), entered(host, "main")
    dev.deploy(named("R1"), "run1")
    main.deploy(named("R1", "main"), "run1", base="=")
    assert "staged" in dev.send(named("R2", code=changed(2)))
    assert "switched" in dev.switch("run2", "R2", ttl=300)
    host.reboot()
    assert wait_until(dev, "reverted")["phase"]["cause"] == "boot"
    for one in (dev, main):
        state = until(one, "R1")
        assert life(host, one.name)[-1][2] == str(state["main_pid"])
    found = [row[3] for row in life(host, "dev") if row[1] == "start"]
    assert found == ["R1", "R2", "R1"]


def test_what_runs_is_known_without_a_note_of_it(host: BreakableHost) -> None:
    """By the folder that the process works in, which is in the store."""
    dev = entered(host, "dev")
    made = named("R1", service="")
    made.unit = made.unit.replace("BOTDEPLOY_RELEASE=R1 ", "")
    made.files = {"bot.py": LIFE.replace('os.environ["BOTDEPLOY_RELEASE"]', '"x"').encode()}
    dev.deploy(made, "run1")
    host.root(f"rm /run/botdeploy/{BOT}/instances/dev/started")
    assert dev.state()["running"] == "R1"


@pytest.mark.parametrize("bot", [BOT, "two-part_bot"])
def test_the_dead_are_looked_for_where_systemd_has_put_them(bot: str, host: BreakableHost) -> None:
    """Instances of one name are in a slice of their own; where the unit is gone, nobody says it."""
    places = resources.files("botdeploy.hosts").joinpath("shell/places.sh").read_text()
    script = f'BOT={bot} INSTANCE=dev\n{places}\nprintf %s "$GROUP"'
    group = host.root("sh", stdin=script).stdout
    host.root(f"systemd-run -q --unit={bot}@dev sleep 60")
    told = host.root(f"systemctl show -p ControlGroup --value {bot}@dev").stdout.strip()
    assert group == told


def program(host: BreakableHost) -> str:
    """Give the place of the program that is installed."""
    return host.root(f"ls /usr/local/lib/botdeploy/*/{BOT}").stdout.strip()


# --- what goes ------------------------------------------------------------------------------------


def test_trees_go_when_no_instance_lists_them(host: BreakableHost) -> None:
    """Kept are those of the releases that each instance keeps."""
    dev, main = entered(host, "dev"), entered(host, "main")
    dev.deploy(named("R1"), "run1")
    main.deploy(named("R1", "main"), "run1", base="=")
    for number in range(2, 6):
        made = named(f"R{number}", code=changed(number))
        assert "staged" in dev.send(made)
        run = f"run{number}"
        assert "switched" in dev.switch(run, made.id)
        assert "confirmed" in dev("confirm", dev.token, run)
        assert "proven" in dev("prove", dev.token, made.id, 0, "roll1")
    kept = {one["tree"] for one in dev.state()["releases"]}
    assert kept == {
        named("R5", code=changed(5)).tree_digest,
        named("R4", code=changed(4)).tree_digest,
    }
    assert {one for one in trees(host) if one[0] != "."} == kept | {named("R1").tree_digest}
    assert main.state()["running"] == "R1"


def test_a_prune_takes_nothing_from_an_upload(host: BreakableHost) -> None:
    """Neither the tree that another environment copies from, nor the one that it has staged."""
    dev, main = entered(host, "dev"), entered(host, "main", "stage")
    base, new = named("R1"), named("Q2", "main", code=changed(2))
    assert "staged" in dev.send(base)
    host.root(f"rm -rf {DEV}/releases/R1")  # nothing lists it any more
    meta_only = named("Q1", "main")
    assert "staged" in main.send(meta_only, "=")
    host.root(f"rm -rf {HOME}/instances/main/releases/Q1")
    main.upload(new, f"tree:{base.tree_digest}", is_held=True)
    dev.deploy(named("R3", code=changed(3)), "run3")
    assert base.tree_digest in trees(host)
    main.let_go()
    assert "staged" in main.uploaded()
    assert "proven" in dev("prove", dev.token, "R3", 0, "roll2")
    assert base.tree_digest not in trees(host)
    assert new.tree_digest in trees(host)
    assert "switched" in main.switch("run1", "Q2")


def test_a_prune_takes_nothing_that_a_rollout_has_staged_for_a_later_ring(
    host: BreakableHost,
) -> None:
    """Ten days ago, and another environment has had releases come and go since."""
    dev, main = entered(host, "dev"), entered(host, "main", "stage")
    main.deploy(named("P1", "main"), "run1")
    new = named("Q2", "main", code=changed(2))
    assert "staged" in main.send(new)
    tree = f"{TREES}/{new.tree_digest}"
    staged = f"{HOME}/instances/main/releases/Q2"
    host.root(f"find {tree} {staged} -exec touch -h -d '10 days ago' {{}} +")
    for number in range(3, 8):
        dev.deploy(named(f"R{number}", code=changed(number)), f"run{number}")
        assert "proven" in dev("prove", dev.token, f"R{number}", 0, "roll1")
    assert named("R3", code=changed(3)).tree_digest not in trees(host)
    assert new.tree_digest in trees(host)
    assert "switched" in main.switch("run2", "Q2")
    assert main.state()["running"] == "Q2"


# --- forms, and what is somebody else's -----------------------------------------------------------


def plain(host: BreakableHost, environment: str) -> Actor:
    """Deploy the plain form for an environment."""
    actor = Actor(host)
    said = actor("enter", actor.token, 60, "rollout", BOT, "tester", "why", environment)
    assert "state" in said, said.records
    assert not actor.stage(release("P1")).fault
    assert "switched" in actor.switch("run1", "P1")
    assert "confirmed" in actor("confirm", actor.token, "run1")
    return actor


def test_one_environment_has_one_form_on_a_machine(host: BreakableHost) -> None:
    """A named instance beside the same environment's plain bot would be a second copy."""
    plain(host, "prod")
    said = Instance(host, "dev", environment="prod").enter()
    assert (said.fault, f"{BOT}.service" in said["message"]) == ("form", True)
    assert host.root(f"ls {HOME}/instances", check=False).stdout == ""
    assert "state" in Instance(host, "dev", environment="stage").enter()


def test_a_plain_bot_does_not_enter_beside_its_instances(host: BreakableHost) -> None:
    """Told with what stands here; another environment's plain bot is welcome."""
    entered(host, "dev").deploy(named("R1"), "run1")
    actor = Actor(host)
    about = (60, "rollout", BOT, "tester", "why")
    said = actor("enter", actor.token, *about, "prod")
    assert (said.fault, f"{BOT}@dev.service" in said["message"]) == ("form", True)
    state = plain(host, "stage").state()
    assert (state["running"], state["instance"]) == ("P1", "")
    assert state["standing"] == [
        {"instance": "", "release": "P1", "environment": "stage", "took": "", "numbers": ""},
        {"instance": "dev", "release": "R1", "environment": "prod", "took": "", "numbers": ""},
    ]


def test_a_template_of_somebody_else_is_foreign(host: BreakableHost) -> None:
    """Our link would hide it; a check says so, too."""
    host.root(f"printf '[Service]\\nExecStart=/bin/true\\n' >{UNITS}/{BOT}@.service")
    dev = Instance(host, "dev", environment="prod")
    said = dev.enter()
    assert (said.fault, f"{UNITS}/{BOT}@.service" in said["message"]) == ("foreign-unit", True)
    items = {one["check"]["name"]: one["check"] for one in dev("check").records if "check" in one}
    assert items["unit"]["ok"] is False
    assert items["unit"]["mend"]


def test_all_instances_have_one_user(host: BreakableHost) -> None:
    """Another one is refused while others stand."""
    entered(host, "dev").deploy(named("R1"), "run1")
    main = Instance(host, "main", environment="prod")
    said = main("enter", main.token, 60, "rollout", "other", "tester", "why", "prod")
    assert (said.fault, "dev" in said["message"]) == ("other-user", True)
    assert host.root("id other", check=False).stdout == ""


def test_a_machine_is_checked_once(host: BreakableHost) -> None:
    """A second instance is asked for what is its own."""
    dev = entered(host, "dev")
    whole, own = (
        {one["check"]["name"] for one in dev("check", BOT, "", *words).records if "check" in one}
        for words in ((), ("instance",))
    )
    assert {"root", "systemd", "tools", "journal", "clock", "unit", "user"} <= whole
    assert own == {"rate-limit", "unit", "machine", "user"}


# --- retire ---------------------------------------------------------------------------------------


def test_an_instance_is_retired_and_leaves_its_data(host: BreakableHost) -> None:
    """The other one runs on; a second time finds nothing; what comes back finds its data."""
    dev, main = entered(host, "dev"), entered(host, "main")
    dev.deploy(named("R1", code=changed(1)), "run1")
    main.deploy(named("R1", "main"), "run1")
    pid = dev.state()["main_pid"]
    assert dev("retire", "ann").fault == "locked"
    dev("leave", dev.token)
    said = dev("retire", "ann")["retired"]
    assert said == {"release": "R1", "data": f"{DEV}/shared"}
    assert not host.root(f"test -d /proc/{pid}", check=False).ok
    found = host.root(
        f"find {DEV} {STATE}/instances/dev {UNITS} -name '*dev*' -o -path '*/instances/dev/*'"
    ).stdout.split()
    assert {one for one in found if "/shared/" not in one} == {
        DEV,
        f"{DEV}/shared",
        f"{STATE}/instances/dev",
        f"{STATE}/instances/dev/audit.jsonl",
    }
    assert [one for one in trees(host) if one[0] != "."] == [named("R1", "main").tree_digest]
    assert dev("retire", "ann")["retired"] == {"release": "", "data": f"{DEV}/shared"}
    acts = [one["audit"]["act"] for one in dev("audit").records if "audit" in one]
    assert acts[-1] == "retire"
    assert acts.count("retire") == 1
    state = main.state()
    assert (state["running"], state["standing"]) == (
        "R1",
        [{"instance": "main", "release": "R1", "environment": "prod", "took": "", "numbers": ""}],
    )
    before = len(life(host, "dev"))
    dev = entered(host, "dev")
    dev.deploy(named("R1", code=changed(1)), "run9")
    assert len(life(host, "dev")) > before > 0
    dev("leave", dev.token)
    assert dev("retire", "ann", "delete-data")["retired"] == {"release": "R1", "data": ""}
    assert not host.root(f"ls {DEV}", check=False).ok


def test_nothing_is_retired_in_the_middle_of_a_switch(host: BreakableHost) -> None:
    """Also when the lock has lapsed: what is open is ended first."""
    dev = entered(host, "dev")
    assert "staged" in dev.send(named("R1"))
    assert "switched" in dev.switch("run1", "R1", ttl=300)
    dev("leave", dev.token)
    assert dev("retire", "ann").fault == "busy"
    assert dev.state()["running"] == "R1"


def test_the_plain_form_is_retired_and_instances_stay(host: BreakableHost) -> None:
    """And the bot can be deployed again, in either form."""
    actor = plain(host, "prod")
    entered(host, "dev", "stage").deploy(named("R1"), "run1")
    actor("leave", actor.token)
    assert actor("retire", "ann")["retired"] == {"release": "P1", "data": f"{HOME}/shared"}
    names = host.root(f"ls {HOME} {STATE}").stdout.split()
    assert set(names) == {
        *(f"{HOME}:", "instances", "shared", "trees"),
        *(f"{STATE}:", "audit.jsonl", "user"),
    }
    assert "state" in Instance(host, "main", environment="prod").enter()
    assert actor.state()["standing"] == [
        {"instance": "dev", "release": "R1", "environment": "stage", "took": "", "numbers": ""}
    ]
    host.root(f"rm -rf {HOME}/instances/main {STATE}/instances/main")
    assert plain(host, "prod").state()["running"] == "P1"
