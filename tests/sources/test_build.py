"""Builds: one release for an inventory, and what each host gets of it."""

from __future__ import annotations

import io
import json
import os
import tarfile
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.model.address import Address
from botdeploy.core.model.bot import Bot, Readiness, ReadyKind, SecretsBy
from botdeploy.core.model.inventory import ANY_NUMBER, Host, Inventory
from botdeploy.core.model.policy import Policy, Ring, Share
from botdeploy.core.release.manifest import parse_manifest
from botdeploy.core.release.tree_digest import TREE_FILES, tree_digest
from botdeploy.errors import SourceError, UserError
from botdeploy.sources import build as build_module
from botdeploy.sources.build import Build, build
from botdeploy.sources.host_trees import HostTrees
from botdeploy.sources.read import read
from botdeploy.sources.upload import delta_tar_gz

if TYPE_CHECKING:
    from pathlib import Path

    from botdeploy.sources.tree import SourceTree

NOW = datetime(2026, 11, 22, 21, 5, tzinfo=UTC)
VALUE = "s3cret-of-the-test"
BOT = Bot(
    name="echobot",
    command="python3 bot.py",
    source="/x",
    env={"LEVEL": "info"},
    secrets={"TOKEN": "env:TOKEN"},
    shared=("data",),
    build=("python3 -m venv .venv", "true"),
    ready=Readiness(ReadyKind.PATTERN, r"READY \d", timedelta(milliseconds=1500)),
)
BETA = Ring("beta", "beta", ("b1",), env={"GUILD": "1", "LEVEL": "debug"})


CHANGES: list[dict[str, Any]] = [
    {"env": {"LEVEL": "debug"}},
    {"command": "python3 lib.py"},
    {"unit": {"Nice": ("5",)}},
    {"user": "bots"},
    {"stop_timeout": timedelta(seconds=21)},
    {"secrets_by": SecretsBy.CREDENTIAL},
    {"secrets": {}},
    {"build": ()},
    {"shared": ()},
    {"ready": Readiness()},
]


def inventory(
    *bots: Bot, rings: tuple[Ring, ...] = (BETA,), path: str = "/none/x.yml"
) -> Inventory:
    """Make an inventory of one host for each bot."""
    hosts = tuple(Host(f"h{n}", Address(f"h{n}", f"h{n}"), bot) for n, bot in enumerate(bots))
    return Inventory("prod", path, hosts, Policy(rings))


HOST = inventory(BOT).hosts[0]


@pytest.fixture
def tree(tmp_path: Path) -> SourceTree:
    """Give a small source."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src/bot.py").write_text("print('READY 1')")
    (tmp_path / "src/lib.py").write_text("x = 1")
    return read(str(tmp_path / "src"), os.environ)


def made(of: Inventory, tree: SourceTree, **options: Any) -> Build:
    """Build with a fixed time and a token in the environment."""
    values: dict[str, Any] = {"now": NOW, "who": "ada", "environ": {"TOKEN": VALUE}}
    return build(of, HostTrees.same(of, tree), **(values | options))


def test_a_host_gets_what_its_program_reads(tree: SourceTree) -> None:
    """Each file of .botdeploy has the form that the acts on the host expect."""
    it = made(inventory(BOT), tree, message="fix the thing")
    host = inventory(BOT).hosts[0]
    files = it.files(host)
    manifest = tree.manifest
    texts = {name: content.decode() for name, (content, _) in files.items()}
    assert it.release.id == f"20261122T210500Z-{it.release.recipe[:8]}"
    assert texts["digest"] == f"{it.release.digest} 2 {16 + 5} {it.release.recipe}\n"
    assert texts["sums"] == manifest.sums
    assert texts["tree"] == manifest.tree
    assert parse_manifest(f"{texts['sums']}\n{texts['tree']}").files() == manifest.files()
    assert texts["ready"] == "kind=pattern\nvalue=READY \\d\ntimeout=2\n"
    assert texts["shared"] == "data\n"
    assert texts["build"] == "set -eu\npython3 -m venv .venv\ntrue\n"
    assert f"TOKEN={VALUE}\n" in texts["environment"]
    assert f"BOTDEPLOY_RELEASE={it.release.id}\n" in texts["environment"]
    assert "/opt/echobot/current/" in texts["echobot.service"]
    about = json.loads(texts["about"])
    assert about["release"] == it.release.id
    assert about["digest"] == it.release.digest
    assert (about["who"], about["message"]) == ("ada", "fix the thing")
    assert about["when"] == "2026-11-22T21:05:00+00:00"
    assert files["environment"][1] == 0o600
    with tarfile.open(fileobj=io.BytesIO(it.meta(host))) as tar:
        assert set(tar.getnames()) == set(files)


def test_what_is_the_tree_s_and_what_is_the_instance_s(tree: SourceTree) -> None:
    """Each file belongs to one of them, and the tree's are those that its digest is made of."""
    it = made(inventory(BOT), tree)
    of_tree, own = it.tree_files(HOST), it.instance_files(HOST, BETA)
    assert tuple(of_tree) == TREE_FILES
    assert set(own) == {"digest", "echobot.service", "environment", "shown", "ready", "about"}
    assert it.files(HOST, BETA) == {**of_tree, **own}
    assert it.tree_digest(HOST) == tree_digest(tree.manifest, BOT.shared, BOT.build)


def test_optional_files_are_left_out(tree: SourceTree) -> None:
    """A bot without build and shared data has neither file, so the host does neither step."""
    bot = replace(BOT, build=(), shared=())
    it = made(inventory(bot), tree)
    assert not {"build", "shared"} & set(it.files(inventory(bot).hosts[0]))


def test_later_layers_of_the_environment_win(tree: SourceTree) -> None:
    """The bot's own, then the ring's, then --set, then secrets."""
    it = made(inventory(BOT), tree, set_env={"GUILD": "2", "TOKEN": "typed"})
    host = inventory(BOT).hosts[0]
    plain = it.files(host)["environment"][0].decode().splitlines()[2:]
    ring = it.files(host, BETA)["environment"][0].decode().splitlines()[2:]
    assert plain == ["GUILD=2", "LEVEL=info", f"TOKEN={VALUE}"]
    assert ring == ["GUILD=2", "LEVEL=debug", f"TOKEN={VALUE}"]


def test_credentials_are_private_files_and_not_in_the_environment(tree: SourceTree) -> None:
    """With secrets_by: credential no child process inherits a secret."""
    bot = replace(BOT, secrets_by=SecretsBy.CREDENTIAL)
    it = made(inventory(bot), tree)
    files = it.files(inventory(bot).hosts[0])
    assert files["credentials/TOKEN"] == (VALUE.encode(), 0o600)
    assert all(VALUE.encode() not in files[name][0] for name in files if "cred" not in name)


def test_a_secret_s_value_is_only_where_it_must_be(tree: SourceTree) -> None:
    """No public file, no digest and nothing that is shown holds it."""
    it = made(inventory(BOT), tree)
    host = inventory(BOT).hosts[0]
    assert all(
        VALUE.encode() not in content or mode == 0o600 for content, mode in it.files(host).values()
    )
    assert VALUE not in it.unit(host) + it.masked_environment(host) + repr(it.release)
    assert "TOKEN='********'" in it.masked_environment(host)
    assert VALUE not in it.mask(f"token {VALUE}")


def test_a_rotated_token_is_another_release(tree: SourceTree) -> None:
    """Else canary said that nothing is due while every host went on with the old token."""
    first = made(inventory(BOT), tree).release.digest
    again = made(inventory(BOT), tree).release.digest
    rotated = made(inventory(BOT), tree, environ={"TOKEN": "another-value"}).release.digest
    assert again == first
    assert rotated != first


def test_what_the_digest_depends_on(tree: SourceTree, tmp_path: Path) -> None:
    """Everything that a host gets counts; who, when, why and the number of hosts do not."""
    first = made(inventory(BOT), tree).release.digest
    later = NOW + timedelta(days=1)
    assert made(inventory(BOT), tree, now=later, who="bob", message="m").release.digest == first
    assert made(inventory(BOT, BOT, BOT), tree).release.digest == first
    assert made(inventory(replace(BOT, keep=9, source="/y")), tree).release.digest == first
    (tmp_path / "t").mkdir()
    (tmp_path / "t/environment.j2").write_text("# other\n")
    (tmp_path / "src/lib.py").write_text("x = 2")
    others = [
        made(inventory(BOT), read(str(tmp_path / "src"), os.environ)),
        made(inventory(BOT), tree, set_env={"A": "1"}),
        made(inventory(BOT), tree, templates=tmp_path / "t"),
        made(inventory(BOT, rings=(replace(BETA, env={}),)), tree),
        *(made(inventory(replace(BOT, **change)), tree) for change in CHANGES),
        made(inventory(BOT, replace(BOT, env={"LEVEL": "debug"})), tree),
    ]
    digests = [one.release.digest for one in others]
    assert len({first, *digests}) == len(digests) + 1


def test_values_are_no_part_of_the_recipe(tree: SourceTree) -> None:
    """Of variables, of secrets, of rings, of --set: what they change is a rendering of one id."""
    first = made(inventory(BOT), tree).release
    others = [
        made(inventory(BOT), tree, environ={"TOKEN": "another-value"}),
        made(inventory(BOT), tree, set_env={"LEVEL": "warn"}),  # also in the ring that sets it
        made(inventory(replace(BOT, env={"LEVEL": "warn"})), tree),
        made(inventory(BOT), tree, set_env={"A": "1"}),
        made(inventory(BOT, rings=(replace(BETA, env={}),)), tree),
        made(inventory(BOT, rings=(replace(BETA, env={"GUILD": "2"}),)), tree),
        made(inventory(replace(BOT, env={"LEVEL": "debug"})), tree),
        made(inventory(BOT, replace(BOT, env={"LEVEL": "debug"})), tree),
    ]
    assert {one.release.recipe for one in others} == {first.recipe}
    assert len({first.digest, *(one.release.digest for one in others)}) == len(others) + 1


def test_an_instance_s_numbers_are_no_part_of_the_recipe(tree: SourceTree) -> None:
    """Also where a command has them; one more instance with others is the same release."""

    def of(count: int, command: str = "python3 bot.py") -> Inventory:
        hosts = tuple(
            Host(
                f"h{index}",
                Address(f"h{index}", f"h{index}"),
                replace(BOT, command=f"{command} {index} {count}"),
                instance=f"i{index}",
                unnumbered=replace(BOT, command=f"{command} {ANY_NUMBER} {ANY_NUMBER}"),
                numbers=f"{index}/{count}",
            )
            for index in range(count)
        )
        return replace(inventory(BOT), hosts=hosts)

    two, three = made(of(2), tree).release, made(of(3), tree).release
    assert two.recipe == three.recipe
    assert two.digest != three.digest
    assert made(of(2, "python3 lib.py"), tree).release.recipe != two.recipe


def test_all_else_is_a_part_of_the_recipe(tree: SourceTree, tmp_path: Path) -> None:
    """Files, unit, build, names of variables, references of secrets, templates."""
    (tmp_path / "t").mkdir()
    (tmp_path / "t/environment.j2").write_text("# other\n")
    (tmp_path / "src/lib.py").write_text("x = 2")
    others = [
        made(inventory(BOT), tree),
        made(inventory(BOT), read(str(tmp_path / "src"), os.environ)),
        made(inventory(BOT), tree, templates=tmp_path / "t"),
        made(inventory(replace(BOT, env={"LEVEL": "info", "A": ""})), tree),
        made(inventory(replace(BOT, secrets={"TOKEN": "env:OTHER"})), tree, environ={"OTHER": "x"}),
        *(made(inventory(replace(BOT, **change)), tree) for change in CHANGES[1:]),
    ]
    assert len({one.release.recipe for one in others}) == len(others)


def test_a_template_that_needs_values_has_them(tree: SourceTree, tmp_path: Path) -> None:
    """Other values make another recipe there; nothing is refused for it."""
    (tmp_path / "t").mkdir()
    text = "{{ ['', 'one', 'two'][env.LEVEL | int] }}\n"
    (tmp_path / "t/environment.j2").write_text(text)
    one, two = (
        made(inventory(replace(BOT, env={"LEVEL": level})), tree, templates=tmp_path / "t").release
        for level in "12"
    )
    assert one.recipe != two.recipe


def test_a_delta_is_packed_once_for_all_hosts(
    tree: SourceTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand hosts with the same base cost one packing; threads wait for it."""
    it = made(inventory(BOT), tree)
    packed: list[frozenset[str]] = []
    go = threading.Event()

    def slow(tree: SourceTree, paths: frozenset[str]) -> bytes:
        packed.append(paths)
        go.wait(10)
        return delta_tar_gz(tree, paths)

    monkeypatch.setattr(build_module, "delta_tar_gz", slow)
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(it.delta(HOST, None))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(10)
    assert len(results) == 8
    assert len(set(results)) == 1
    assert packed == [frozenset({"bot.py", "lib.py"})]
    it.delta(HOST, tree.manifest)
    assert packed[1:] == [frozenset()]


def test_a_delta_that_fails_fails_for_every_host(tree: SourceTree, tmp_path: Path) -> None:
    """A source that changes meanwhile is told to each host and never sent in part."""
    it = made(inventory(BOT), tree)
    (tmp_path / "src/bot.py").write_text("other")
    for _ in range(2):
        with pytest.raises(SourceError, match=r"bot\.py changed"):
            it.delta(HOST, None)


@pytest.mark.parametrize(
    ("shared", "words"),
    [
        ("bot.py", "the source holds 'bot.py', which is shared data"),
        ("bot.py/x", "the source holds 'bot.py', not as a folder"),
        ("../x", "is not a path inside the release"),
        ("/data", "is not a path inside the release"),
        ("data/", "is not a path inside the release"),
        (".botdeploy", "is not a path inside the release"),
        (".botdeploy/x", "is not a path inside the release"),
        ("data/x", "lies in 'data', which is shared already"),
        ("a\nb", "is not a path inside the release"),
    ],
)
def test_shared_data_that_a_host_could_not_link_is_refused(
    tree: SourceTree, shared: str, words: str
) -> None:
    """What the host would refuse in the middle of a rollout is refused before it."""
    with pytest.raises((UserError, SourceError), match=words):
        made(inventory(replace(BOT, shared=("data", shared))), tree)


def test_a_secret_that_is_missing_is_refused_before_anything(tree: SourceTree) -> None:
    """Nothing is staged with a token to come."""
    with pytest.raises(UserError, match="secret TOKEN"):
        made(inventory(BOT), tree, environ={})


def test_secrets_are_read_once_for_all_hosts(tree: SourceTree, tmp_path: Path) -> None:
    """A password manager is asked once and not once a host; paths are beside the inventory."""
    bot = replace(BOT, secrets={"TOKEN": "command:echo x >>asked; echo value"})
    it = made(
        inventory(bot, bot, bot, path=str(tmp_path / "prod.yml")),
        tree,
        environ={"PATH": "/usr/bin:/bin"},
    )
    assert (tmp_path / "asked").read_text() == "x\n"
    assert "TOKEN=value" in it.files(inventory(bot).hosts[0])["environment"][0].decode()


def test_what_a_host_needs_is_no_less_than_what_it_gets(tree: SourceTree) -> None:
    """Space and inodes cover the files and what stands beside them."""
    it = made(inventory(BOT), tree)
    meta = sum(len(content) for content, _ in it.files(inventory(BOT).hosts[0]).values())
    size_bytes, inodes = it.need(HOST)
    assert size_bytes >= tree.manifest.size_bytes + meta  # type: ignore[operator]
    assert inodes >= len(tree) + len(it.files(inventory(BOT).hosts[0]))


def test_what_a_host_could_not_take_is_refused_before_anything(tree: SourceTree) -> None:
    """A value that only one ring or one secret has must not stop a rollout in its middle."""
    bot = replace(BOT, ready=Readiness(ReadyKind.COMMAND, "true\nkind=active"))
    with pytest.raises(UserError, match="ready: the value must be one line"):
        made(inventory(bot), tree)
    with pytest.raises(UserError, match="GUILD: the value holds a control character"):
        made(inventory(BOT, rings=(replace(BETA, env={"GUILD": "\x1b"}),)), tree)
    with pytest.raises(UserError, match="BOTDEPLOY_RELEASE is set by botdeploy"):
        made(inventory(BOT), tree, set_env={"BOTDEPLOY_RELEASE": "x"})
    with pytest.raises(UserError, match="TOKEN: the value holds") as caught:
        made(inventory(BOT), tree, environ={"TOKEN": f"{VALUE}\r\nx"})
    assert VALUE not in str(caught.value)
    credential = replace(BOT, secrets_by=SecretsBy.CREDENTIAL)
    assert made(inventory(credential), tree, environ={"TOKEN": f"{VALUE}\r\nx"})


def test_a_count_ring_has_its_environment_too(tree: SourceTree) -> None:
    """Rings that are a number of hosts carry their environment like the others."""
    ring = Ring("canary", Share(count=1), env={"CANARY": "1"})
    it = made(inventory(BOT, rings=(ring,)), tree)
    assert "CANARY=1" in it.files(inventory(BOT).hosts[0], ring)["environment"][0].decode()
