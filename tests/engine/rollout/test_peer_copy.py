"""What one host gives of a release to be put on another: held against the release's digest."""

from __future__ import annotations

import io
import json
import os
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from botdeploy.core.model.address import Address
from botdeploy.core.model.bot import Bot, SecretsBy
from botdeploy.core.model.inventory import ANY_INSTANCE, Host, Inventory
from botdeploy.core.model.policy import Policy, Ring
from botdeploy.core.rollout.target import Target
from botdeploy.engine.rollout.peer_copy import Likeness, checked
from botdeploy.errors import ActFailed
from botdeploy.hosts.acts.release import Fetched
from botdeploy.sources.build import Build, build
from botdeploy.sources.host_trees import HostTrees, read_trees
from botdeploy.sources.read import read
from botdeploy.sources.upload import meta_tar_gz

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

NOW = datetime(2026, 11, 22, 21, 5, tzinfo=UTC)
BOT = Bot(
    name="echobot",
    command="python3 bot.py",
    source="/x",
    env={"LEVEL": "info"},
    secrets={"TOKEN": "env:TOKEN", "KEY": "env:KEY"},
    shared=("data",),
    build=("true",),
)
BETA = Ring("beta", "all", env={"GUILD": "1", "LEVEL": "debug"})
ENVIRON = {"TOKEN": "s3cret 'of' $the test", "KEY": "other"}
Files = dict[str, tuple[bytes, int]]


def inventory(*bots: Bot) -> Inventory:
    hosts = tuple(Host(f"h{n}", Address(f"h{n}", f"h{n}"), bot) for n, bot in enumerate(bots))
    return Inventory("prod", "/none/x.yml", hosts, Policy((BETA,)))


@pytest.fixture(params=["plain", "set", "credentials", "no secrets"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Inventory, Build]:
    """Give a release of two hosts."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src/bot.py").write_text("print('READY')")
    bot = BOT
    if request.param == "credentials":
        bot = replace(BOT, secrets_by=SecretsBy.CREDENTIAL)
    if request.param == "no secrets":
        bot = replace(BOT, secrets={})
    of = inventory(bot, bot)
    changes = {"GUILD": "7", "NEW": "a b"} if request.param == "set" else {}
    tree = read(str(tmp_path / "src"), os.environ)
    return of, build(
        of, HostTrees.same(of, tree), now=NOW, who="ada", environ=ENVIRON, set_env=changes
    )


def fetched(files: Mapping[str, tuple[bytes, int]], content: bytes = b"") -> Fetched:
    """Pack what a host gives."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz"):
        pass
    return Fetched(meta_tar_gz(files), content or out.getvalue(), 20_000, 5)


def copy(of: Inventory, it: Build, given: Fetched) -> Build:
    target = Target("r1", it.release.id, it.release.digest)
    return checked(of, target, "h0", BETA, given, None)


def test_what_was_released_goes_on(made: tuple[Inventory, Build]) -> None:
    """The other host gets what the controller that released it would have sent there."""
    of, it = made
    again = copy(of, it, fetched(it.files(of.hosts[0], BETA)))
    assert again.files(of.hosts[1], BETA) == it.files(of.hosts[1], BETA)


def test_a_host_that_is_like_others_but_for_its_secrets(tmp_path: Path) -> None:
    """Where it can't have all secrets, the mark of their values that it keeps stands for them."""
    (tmp_path / "bot.py").write_text("print('READY')")
    other = replace(BOT, secrets={"TOKEN": "env:KEY"})
    of = inventory(BOT, BOT, other)
    tree = read(str(tmp_path), os.environ)
    it = build(of, HostTrees.same(of, tree), now=NOW, who="ada", environ=ENVIRON)
    of = replace(of, hosts=(*of.hosts[:2], replace(of.hosts[2], bot=other)))
    files = it.files(of.hosts[0], BETA)
    assert copy(of, it, fetched(files)).files(of.hosts[1], BETA) == it.files(of.hosts[1], BETA)


def _changed(name: str, change: Callable[[str], str]) -> Callable[[Files], Files]:
    def tamper(files: Files) -> Files:
        if name in files:
            files[name] = (change(files[name][0].decode()).encode(), files[name][1])
        return files

    return tamper


TAMPERED: dict[str, Callable[[Files], Files]] = {
    "a file's sum": _changed("sums", lambda text: "0" * 64 + text[64:]),
    "a mode": _changed("tree", lambda text: text.replace("f 644", "f 755")),
    "one more file": lambda files: _changed("tree", lambda text: text + "f 644 evil.py \n")(
        _changed("sums", lambda text: text + f"{'0' * 64}  evil.py\n")(files)
    ),
    "a link": _changed("tree", lambda text: text + "l 777 evil /etc\n"),
    "a secret": _changed("environment", lambda text: text.replace("KEY=other", "KEY=mine")),
    "a credential": _changed("credentials/KEY", lambda _text: "mine"),
    "half of it": lambda files: {"sums": files["sums"], "tree": files["tree"]},
}


@pytest.mark.parametrize("what", sorted(TAMPERED))
def test_what_was_changed_on_a_host_goes_nowhere(what: str, made: tuple[Inventory, Build]) -> None:
    """Files, modes, links, variables and secrets are those of the digest, or nothing is copied."""
    of, it = made
    files = it.files(of.hosts[0], BETA)
    before = dict(files)
    files = TAMPERED[what](files)
    if files == before:
        pytest.skip("this release has no such thing")
    with pytest.raises(ActFailed, match=r"^h0: fetch: "):
        copy(of, it, fetched(files))


def test_variables_that_a_host_adds_or_changes_are_not_used(made: tuple[Inventory, Build]) -> None:
    """They are refused, or the release's own stand in their place."""
    of, it = made
    for old, new in (("LEVEL=debug", "LEVEL=x"), ("\n", "\nLD_PRELOAD=/tmp/x.so\n")):
        files = it.files(of.hosts[0], BETA)
        text, mode = files["environment"]
        files["environment"] = (text.replace(old.encode(), new.encode(), 1), mode)
        try:
            again = copy(of, it, fetched(files))
        except ActFailed:
            continue
        assert again.files(of.hosts[1], BETA) == it.files(of.hosts[1], BETA)


@pytest.mark.parametrize("name", ["echobot.service", "build", "ready", "shared", "shown", "evil"])
def test_what_else_a_host_gives_is_not_used(name: str, made: tuple[Inventory, Build]) -> None:
    """Unit, build, readiness and shared paths are made anew, from what the digest stands for."""
    of, it = made
    files = it.files(of.hosts[0], BETA)
    files[name] = (b"touch /tmp/owned\n", 0o644)
    assert copy(of, it, fetched(files)).files(of.hosts[1], BETA) == it.files(of.hosts[1], BETA)


def test_an_inventory_that_changed_since_is_no_judge_of_it(made: tuple[Inventory, Build]) -> None:
    """What can't be told from something else is refused, with the way on."""
    of, it = made
    now = inventory(*(replace(host.bot, command="python3 other.py") for host in of.hosts))
    with pytest.raises(ActFailed, match=r"Only canary can stage it anew$"):
        copy(now, it, fetched(it.files(of.hosts[0], BETA)))


def test_files_that_fill_a_disk_are_refused(made: tuple[Inventory, Build]) -> None:
    """A package that unpacks to more than there was said to be is not sent on."""
    of, it = made
    bomb = io.BytesIO()
    with tarfile.open(fileobj=bomb, mode="w:gz") as tar:
        info = tarfile.TarInfo("big")
        info.size = 40_000_000
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(ActFailed, match="larger than it says"):
        copy(of, it, fetched(it.files(of.hosts[0], BETA), bomb.getvalue()))


def test_what_a_host_says_of_who_released_it_is_plain_text(made: tuple[Inventory, Build]) -> None:
    """Who and why are no part of a digest: they are told on, as text on one line."""
    of, it = made
    files = it.files(of.hosts[0], BETA)
    about = {**json.loads(files["about"][0]), "who": "eve\x1b[31m\nall passed"}
    files["about"] = (json.dumps(about).encode(), 0o644)
    again = copy(of, it, fetched(files)).files(of.hosts[1], BETA)
    assert json.loads(again["about"][0])["who"] == "eve [31m all passed"


# --- hosts of several kinds -------------------------------------------------------------------


@pytest.fixture
def of_kinds(tmp_path: Path) -> tuple[Inventory, Build]:
    """Give a release of two kinds: hosts 0 and 2, hosts 1 and 3."""
    bots = []
    for kind in ("amd64", "arm64"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "bot.py").write_text(f"print('READY on {kind}')")
        bots.append(replace(BOT, source=str(tmp_path / kind), env={"LEVEL": "info"}))
    of = inventory(*bots, *bots)
    return of, build(of, read_trees(of, os.environ), now=NOW, who="ada", environ=ENVIRON)


def test_a_host_gets_a_copy_from_one_of_its_own_kind(of_kinds: tuple[Inventory, Build]) -> None:
    """Only those of that kind, for what else there is can't be told from its files."""
    of, it = of_kinds
    rings = {host.name: BETA for host in of.hosts}
    likeness = Likeness(of, rings, None)
    assert likeness.source_for("h2", ["h1", "h3", "h0"]) == "h0"
    assert likeness.source_for("h3", ["h0", "h2"]) is None
    again = copy(of, it, fetched(it.files(of.hosts[0], BETA)))
    assert [host in again.trees for host in of.hosts] == [True, False, True, False]
    assert again.files(of.hosts[2], BETA) == it.files(of.hosts[2], BETA)


def test_the_files_of_another_kind_are_refused(of_kinds: tuple[Inventory, Build]) -> None:
    """Also where a host says that it was of that kind all along."""
    of, it = of_kinds
    lies = [it.files(of.hosts[1], BETA)]
    about = json.loads(lies[0]["about"][0])
    amd64, arm64 = sorted(about["trees"], key=lambda one: "h0" not in about["trees"][one])
    assert about["trees"] == {amd64: ["h0", "h2"], arm64: ["h1", "h3"]}
    for trees in (
        {amd64: ["h1", "h3"], arm64: ["h0", "h2"]},
        {arm64: ["h0", "h1", "h2", "h3"]},
        {},
        {"x": 1},
        "x",
    ):
        said = json.dumps({**about, "trees": trees}).encode()
        lies.append({**lies[0], "about": (said, 0o644)})
    for files in lies:
        with pytest.raises(ActFailed, match=r"^h0: fetch: "):
            copy(of, it, fetched(files))


def test_a_host_that_is_new_since_is_of_the_kind_that_its_source_names(
    of_kinds: tuple[Inventory, Build],
) -> None:
    """One that was there keeps the kind that it had, whatever the inventory names by now."""
    of, it = of_kinds
    amd64, arm64 = (host.bot for host in of.hosts[:2])
    hosts = (
        *of.hosts[:3],
        replace(of.hosts[3], bot=amd64),
        Host("new", Address("n", "n"), amd64),
        Host("newer", Address("o", "o"), arm64),
    )
    now = replace(of, hosts=hosts)
    again = copy(now, it, fetched(it.files(of.hosts[0], BETA)))
    assert [host.name for host in now.hosts if host in again.trees] == ["h0", "h2", "new"]
    assert again.manifest(hosts[4]).files() == it.manifest(of.hosts[0]).files()


def test_an_instance_gets_a_copy_from_another_one(made: tuple[Inventory, Build]) -> None:
    """On whatever machine; it gets its own name. One with a secret of its own gets none."""
    bot = made[0].hosts[0].bot
    hosts = []
    for name, references in (("1", bot.secrets), ("2", bot.secrets), ("3", {"TOKEN": "env:KEY"})):
        own = replace(bot, env={"NAME": name}, secrets=references)
        alike = replace(own, env={"NAME": ANY_INSTANCE})
        address = Address("w1", "w1")
        hosts.append(Host(f"w1/{name}", address, own, instance=name, alike=alike))
    of = replace(made[0], hosts=tuple(hosts))
    likeness = Likeness(of, {host.name: BETA for host in hosts}, None)
    assert likeness.source_for("w1/2", ["w1/3", "w1/1"]) == "w1/1"
    assert likeness.source_for("w1/3", ["w1/2", "w1/1"]) is None
    it = build(
        of, made[1].trees.same(of, made[1].trees.distinct[0]), now=NOW, who="ada", environ=ENVIRON
    )
    target = Target("r1", it.release.id, it.release.digest)
    given = fetched(it.files(hosts[0], BETA))
    again = checked(of, target, "w1/1", BETA, given, None)
    assert again.files(hosts[1], BETA) == it.files(hosts[1], BETA)
    assert b"NAME=2" in again.files(hosts[1], BETA)["environment"][0]
