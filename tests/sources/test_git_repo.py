"""Git repositories as a source: commits, refs, the cache, and nothing that runs."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from botdeploy.core.release.git_url import is_git_address
from botdeploy.errors import SourceError
from botdeploy.inventory.settings import absolute_source
from botdeploy.sources import git_repo
from botdeploy.sources.read import read
from botdeploy.sources.tree import File

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.programs


def git(folder: Path, *arguments: str) -> str:
    """Run real git in a folder and give what it says."""
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's own git configuration and cache out of it."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "A")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "a@example.org")
    monkeypatch.setenv("GIT_COMMITTER_NAME", "A")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "a@example.org")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """Give a repository whose tag v1 is behind its branch, with changes on disk besides."""
    folder = tmp_path / "repo"
    (folder / "bots/echo").mkdir(parents=True)
    git(tmp_path, "init", "-q", "-b", "main", str(folder))
    (folder / "bot.py").write_text("one")
    (folder / "bots/echo/run").write_text("#!/bin/sh")
    (folder / "bots/echo/run").chmod(0o755)
    (folder / "link").symlink_to("bot.py")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    git(folder, "tag", "-a", "v1", "-m", "v1")
    (folder / "bot.py").write_text("two")
    git(folder, "commit", "-q", "-a", "-m", "two")
    (folder / "bot.py").write_text("not committed")
    (folder / "new.py").write_text("not added")
    return folder


def content(source: str, path: str = "bot.py", ref: str | None = None) -> bytes:
    """Read one file of a source."""
    entry = read(source, os.environ, ref=ref)[path]
    assert isinstance(entry, File)
    return entry.read()


# --- folders ------------------------------------------------------------------------------------


def test_a_ref_means_the_commit_and_not_the_disk(repo: Path) -> None:
    """With a ref, what was changed or added since does not count."""
    made = read(str(repo), os.environ, ref="v1")
    assert list(made) == ["bot.py", "bots", "bots/echo", "bots/echo/run", "link"]
    assert content(str(repo), ref="v1") == b"one"
    assert content(str(repo), ref="main") == b"two"
    assert made.commit == git(repo, "rev-parse", "v1^{commit}")
    assert made.describe == f"git commit {made.commit[:12]} (v1) of {repo}"
    assert made.files()["bots/echo/run"].mode == 0o755


def test_the_users_own_git_settings_do_not_change_what_is_released(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit means the same files on every machine: git's own word for them is the blob."""
    (repo / "run.sh").write_bytes(b"#!/bin/sh\n")
    git(repo, "add", "run.sh")
    git(repo, "commit", "-q", "-m", "three")
    home = tmp_path / "home"
    (home / ".config/git").mkdir(parents=True)
    (home / ".config/git/attributes").write_text("*.sh text eol=crlf\n")
    (home / ".gitconfig").write_text("[core]\n\tautocrlf = true\n\teol = crlf\n")
    monkeypatch.setenv("HOME", str(home))
    for name in ("GIT_CONFIG_GLOBAL", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert content(str(repo), "run.sh", "main") == b"#!/bin/sh\n"
    assert content(f"file://{repo}", "run.sh", "main") == b"#!/bin/sh\n"


@pytest.mark.parametrize("ref", [None, "main"])
def test_a_byte_order_mark_is_no_part_of_the_first_pattern(repo: Path, ref: str | None) -> None:
    """An editor wrote it; git skips it, too."""
    (repo / ".botdeployignore").write_bytes(b"\xef\xbb\xbfbot.py\nother\n")
    git(repo, "add", ".")
    git(repo, "commit", "-q", "-m", "three")
    assert "bot.py" not in read(str(repo), os.environ, ref=ref)


@pytest.mark.parametrize("ref", ["main", "HEAD", "refs/heads/main", "main~0", "SHORT", "FULL"])
def test_every_way_to_name_a_commit_works(repo: Path, ref: str) -> None:
    """Branches, full refs, relative names and commit ids, short or full."""
    head = git(repo, "rev-parse", "HEAD")
    name = {"SHORT": head[:8], "FULL": head}.get(ref, ref)
    assert read(str(repo), os.environ, ref=name).commit == head


def test_without_a_ref_a_folder_is_taken_from_disk(repo: Path) -> None:
    """What stands on disk counts, and the words say over which commit."""
    made = read(str(repo), os.environ)
    assert content(str(repo)) == b"not committed"
    assert "new.py" in made
    assert ".git" not in made
    assert made.commit is None
    assert git(repo, "rev-parse", "HEAD")[:12] in made.describe


def test_a_folder_inside_a_repository_is_that_part_of_the_commit(repo: Path) -> None:
    """A repository with many bots releases the one that is named."""
    assert list(read(str(repo / "bots/echo"), os.environ, ref="v1")) == ["run"]


def test_a_folder_that_a_commit_does_not_have_is_refused(repo: Path) -> None:
    """A folder that is newer than the commit has nothing to release."""
    (repo / "later").mkdir()
    with pytest.raises(SourceError, match="has no folder later"):
        read(str(repo / "later"), os.environ, ref="v1")


def test_patterns_and_the_source_s_own_file_hold_for_a_commit(repo: Path) -> None:
    """A commit and the same folder on disk release the same files; the commit's own file counts."""
    (repo / ".botdeployignore").write_text("bots/\n")
    (repo / "__pycache__").mkdir()
    (repo / "__pycache__/x.pyc").write_text("")
    git(repo, "add", "-f", ".")
    git(repo, "commit", "-q", "-m", "three")
    (repo / ".botdeployignore").write_text("")
    assert list(read(str(repo), os.environ, ref="main", exclude=["link"])) == ["bot.py", "new.py"]


@pytest.mark.parametrize("ref", ["", "-v1", "--output=/tmp/x", "nope", "v1\n", "a b", "v1^{tree}"])
def test_a_ref_that_names_no_commit_is_refused(repo: Path, ref: str) -> None:
    """A ref is looked up as a name; it can neither be an option nor anything but a commit."""
    with pytest.raises(SourceError, match="commit, branch or tag"):
        read(str(repo), os.environ, ref=ref)


def test_a_ref_outside_any_repository_is_refused(tmp_path: Path) -> None:
    """A plain folder has no commits, and the message says so."""
    (tmp_path / "bot.py").write_text("")
    with pytest.raises(SourceError, match="is not in a git repository, so it has no v1"):
        read(str(tmp_path), os.environ, ref="v1")


def test_a_repository_with_sha256_names_is_read(tmp_path: Path) -> None:
    """The repository's own kind of names is found out."""
    git(tmp_path, "init", "-q", "--object-format=sha256", "-b", "main", "new")
    (tmp_path / "new/bot.py").write_text("x")
    git(tmp_path / "new", "add", ".")
    git(tmp_path / "new", "commit", "-q", "-m", "x")
    assert len(read(str(tmp_path / "new"), os.environ, ref="main").commit or "") == 64


def test_a_worktree_is_read(repo: Path, tmp_path: Path) -> None:
    """A worktree's objects are those of its main repository."""
    git(repo, "worktree", "add", "-q", str(tmp_path / "tree"), "v1")
    assert content(str(tmp_path / "tree"), ref="main") == b"two"
    assert ".git" not in read(str(tmp_path / "tree"), os.environ)


def test_a_submodule_is_refused_unless_it_is_excluded(repo: Path) -> None:
    """An empty folder in the place of code would only be seen when the bot fails."""
    head = git(repo, "rev-parse", "HEAD")
    git(repo, "update-index", "--add", "--cacheinfo", f"160000,{head},vendor/lib")
    git(repo, "commit", "-q", "-m", "with a submodule")
    with pytest.raises(SourceError, match="vendor/lib is a submodule"):
        read(str(repo), os.environ, ref="main")
    assert "bot.py" in read(str(repo), os.environ, ref="main", exclude=["vendor"])


def test_a_git_lfs_pointer_is_refused(repo: Path) -> None:
    """A pointer in the place of a model would only be seen when the bot loads it."""
    (repo / "model.bin").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"
    )
    git(repo, "add", "model.bin")
    git(repo, "commit", "-q", "-m", "model")
    with pytest.raises(SourceError, match=r"model\.bin is a Git LFS pointer"):
        read(str(repo), os.environ, ref="main")


def test_export_attributes_hold(repo: Path) -> None:
    """What a project keeps out of its archives stays out of a release."""
    (repo / ".gitattributes").write_text("bots export-ignore\n")
    git(repo, "add", ".gitattributes")
    git(repo, "commit", "-q", "-m", "attributes")
    assert "bots/echo/run" not in read(str(repo), os.environ, ref="main")


# --- nothing of the source runs -----------------------------------------------------------------


@pytest.mark.parametrize(
    "setting",
    [
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "filter.evil.smudge",
        "filter.evil.process",
        "tar.tar.command",
        "alias.archive",
        "alias.rev-parse",
        "uploadpack.packObjectsHook",
    ],
)
def test_what_a_repository_s_configuration_names_is_not_run(
    repo: Path, tmp_path: Path, setting: str
) -> None:
    """A repository that somebody sent can hold a program for nearly everything git does."""
    mark = tmp_path / "ran"
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch '{mark}'\ncat\n")
    evil.chmod(0o755)
    (repo / ".gitattributes").write_text("* filter=evil\n")
    git(repo, "add", ".gitattributes")
    git(repo, "commit", "-q", "-m", "attributes")
    command = f"!{evil}" if setting.startswith("alias.") else str(evil)
    git(repo, "config", setting, command)
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        (repo / ".git/hooks").mkdir(exist_ok=True)
        (repo / ".git/hooks" / hook).write_text(evil.read_text())
        (repo / ".git/hooks" / hook).chmod(0o755)
    read(str(repo), os.environ, ref="main")
    read(str(repo), os.environ)
    assert not mark.exists()


def test_objects_that_are_missing_are_not_fetched_by_a_program(repo: Path, tmp_path: Path) -> None:
    """A partial clone names where to get what it lacks; that may be a program."""
    mark = tmp_path / "ran"
    for setting, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "evil",
        "remote.evil.url": f"ext::sh -c 'touch {mark}'",
        "remote.evil.promisor": "true",
        "remote.evil.uploadpack": f"touch {mark};",
        "protocol.ext.allow": "always",
    }.items():
        git(repo, "config", setting, value)
    with pytest.raises(SourceError, match="no commit"):
        read(str(repo), os.environ, ref="1" * 40)
    git(repo, "config", "remote.evil.url", str(tmp_path))
    with pytest.raises(SourceError, match="no commit"):
        read(str(repo), os.environ, ref="1" * 40)
    assert not mark.exists()


def test_a_deploy_out_of_a_git_hook_reads_the_right_repository(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook's GIT_DIR names another repository than the source."""
    git(tmp_path, "init", "-q", "--bare", "other.git")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    made = read(str(repo), os.environ, ref="main")
    assert made.files()["bot.py"].read() == b"two"


def test_a_repository_of_billions_of_files_is_refused(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten small trees can name ten billion files; the listing is ended at its bound."""
    monkeypatch.setattr(git_repo, "_MAX_LIST_BYTES", 64)
    with pytest.raises(SourceError, match="more than a release can hold"):
        read(str(repo), os.environ, ref="main")


# --- repositories elsewhere ---------------------------------------------------------------------


@pytest.fixture
def url(repo: Path) -> str:
    """Give the repository's address as one elsewhere."""
    return f"file://{repo}"


def test_a_url_without_a_ref_is_its_own_branch(repo: Path, url: str) -> None:
    """The branch that the repository names as its own, as it is now and not as it was."""
    assert content(url) == b"two"
    git(repo, "commit", "-q", "-a", "-m", "three")
    assert content(url) == b"not committed"
    git(repo, "checkout", "-q", "-b", "next")
    (repo / "bot.py").write_text("next")
    git(repo, "commit", "-q", "-a", "-m", "next")
    assert content(url) == b"next"


@pytest.mark.parametrize("ref", ["v1", "main"])
def test_a_url_with_a_ref_is_that_commit(repo: Path, url: str, ref: str) -> None:
    """Tags and branches are those of the repository elsewhere, also after a move."""
    before = read(url, os.environ, ref=ref).commit
    assert before == git(repo, "rev-parse", f"{ref}^{{commit}}")
    git(repo, "commit", "-q", "-a", "-m", "three")
    git(repo, "tag", "-f", "v1")
    after = read(url, os.environ, ref=ref).commit
    assert after == git(repo, "rev-parse", "HEAD")
    assert f"({ref}) of {url}" in read(url, os.environ, ref=ref).describe


def test_a_commit_that_only_a_pull_request_has_is_found(repo: Path, url: str) -> None:
    """Neither branch nor tag names it, but the repository gives it out."""
    git(repo, "checkout", "-q", "--detach")
    git(repo, "commit", "-q", "-a", "-m", "proposed")
    commit = git(repo, "rev-parse", "HEAD")
    git(repo, "update-ref", "refs/pull/1/head", commit)
    git(repo, "checkout", "-q", "-f", "main")
    git(repo, "config", "uploadpack.allowAnySHA1InWant", "true")
    assert read(url, os.environ, ref=commit).commit == commit
    assert read(url, os.environ, ref="refs/pull/1/head").commit == commit


def test_a_full_commit_id_in_the_cache_needs_no_network(
    repo: Path, url: str, tmp_path: Path
) -> None:
    """A deploy of a known commit works while the repository's server is down."""
    commit = read(url, os.environ).commit
    repo.rename(tmp_path / "away")
    assert read(url, os.environ, ref=commit).commit == commit
    with pytest.raises(SourceError, match="git fetch"):
        read(url, os.environ, ref="main")


def test_a_cache_that_was_cut_off_is_made_anew(url: str, tmp_path: Path) -> None:
    """A broken copy is no reason for a person to clean up."""
    read(url, os.environ)
    copies = [place for place in (tmp_path / "cache/botdeploy/git").iterdir() if place.is_dir()]
    (copies[0] / "HEAD").unlink()
    assert content(url) == b"two"


def test_a_bare_repository_on_disk_is_a_repository(repo: Path, tmp_path: Path) -> None:
    """The folder of a server's repository is never released as if it were the bot."""
    git(tmp_path, "clone", "-q", "--bare", str(repo), "bare.git")
    assert content(str(tmp_path / "bare.git")) == b"two"
    assert content(str(tmp_path / "bare.git"), ref="v1") == b"one"


def test_a_password_in_a_url_is_not_told() -> None:
    """Errors and descriptions go to logs and to history."""
    with pytest.raises(SourceError) as caught:
        read("https://deploy:hunter2@127.0.0.1:1/bot.git", os.environ)
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("https://example.org/bot.git", True),
        ("git+https://example.org/bot", True),
        ("ssh://git@example.org/bot", True),
        ("git@example.org:team/bot.git", True),
        ("git@example.org:/srv/bot.git", True),
        ("alias:org/repo.git", True),
        ("git@[2001:db8::1]:bot.git", True),
        ("[2001:db8::1]:bot.git", True),
        ("host:~/bot.git", True),
        ("file:///srv/bot.git", True),
        ("../bots/echobot", False),
        ("../bot.git", False),
        ("/srv/bots/echo:bot", False),
        ("./echo:bot", False),
        ("echo@home", False),
        ("-oProxyCommand=x:y", False),
        ("C:", False),
    ],
)
def test_addresses_are_told_from_paths(source: str, expected: bool) -> None:  # noqa: FBT001
    """What looks like an address is fetched, everything else is a place on this machine."""
    assert is_git_address(source) is expected


@given(st.text("ab.:/@[]~+", min_size=1, max_size=9).filter(lambda text: text.strip(":") == text))
@example("/://")
def test_addresses_are_told_from_paths_as_git_tells_them(source: str) -> None:
    """Git, that may use files alone, refuses another transport for just those.

    Where a slash stands before ``://`` git takes the path before it for a protocol, which is none:
    for us it is a path.
    """
    asked = subprocess.run(
        ["git", "ls-remote", "--", source],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        env={**os.environ, "GIT_ALLOW_PROTOCOL": "file", "LC_ALL": "C", "GIT_DIR": "/nowhere"},
    )
    refusals = ("' not allowed", "no path specified", "is not supported")
    is_path = "/" in source.partition("://")[0] and "is not supported" in asked.stderr
    is_elsewhere = any(words in asked.stderr for words in refusals) and not is_path
    assert is_git_address(source) is is_elsewhere, asked.stderr


def test_an_inventory_takes_a_path_with_a_colon_where_it_is_there(tmp_path: Path) -> None:
    """As ``git clone`` does; what is not there is an address."""
    (tmp_path / "bots:echo").mkdir()
    file = str(tmp_path / "prod.yml")
    assert absolute_source("bots:echo", file) == str(tmp_path / "bots:echo")
    assert absolute_source("bots:other", file) == "bots:other"
    assert absolute_source("./bots:other", file) == str(tmp_path / "bots:other")


@pytest.mark.parametrize("ref", ["main", "v1", "refs/heads/main"])
def test_only_the_ref_that_was_asked_for_is_needed(repo: Path, url: str, ref: str) -> None:
    """The repository's own branch may be missing: nobody asked for it."""
    git(repo, "symbolic-ref", "HEAD", "refs/heads/gone")
    assert read(url, os.environ, ref=ref).commit == git(repo, "rev-parse", f"{ref}^{{commit}}")
    with pytest.raises(SourceError, match=r"names no branch as its own \(HEAD\); say which: ref:"):
        read(url, os.environ)
    with pytest.raises(SourceError, match="names no branch as its own"):
        read(url, os.environ, ref="HEAD~1")


@pytest.mark.parametrize("ref", ["HEAD", "@", "HEAD~1", "main~1", "@^"])
def test_a_url_s_own_branch_has_all_of_git_s_forms(repo: Path, url: str, ref: str) -> None:
    """What is below the tip is found as well."""
    assert read(url, os.environ, ref=ref).commit == git(repo, "rev-parse", f"{ref}^{{commit}}")


def test_a_url_may_be_one_of_the_user_s_abbreviations(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``insteadOf`` holds as for git itself, whatever the abbreviation looks like."""
    config = tmp_path / "gitconfig"
    config.write_text(
        f'[url "file://{repo.parent}/"]\n\tinsteadOf = work:\n\tinsteadOf = my://x/\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert content("work:repo") == b"two"
    assert content("my://x/repo", ref="v1") == b"one"


@pytest.mark.parametrize("source", ["ext::touch ran", "ftp://127.0.0.1:1/bot.git", "other::x"])
def test_a_transport_that_may_run_something_is_refused(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In git's own words."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=r"transport '[a-z]+' not allowed"):
        read(source, os.environ)
    assert not (tmp_path / "ran").exists()


# --- a tag and a branch of one name -------------------------------------------------------------


@pytest.mark.parametrize("where", ["folder", "url"])
@pytest.mark.parametrize("suffix", ["", "~1", "^{commit}"])
def test_a_tag_and_a_branch_of_one_name_are_refused(
    repo: Path, url: str, where: str, suffix: str
) -> None:
    """Git would take the tag without a word; both are named in full, and each of them works."""
    source = str(repo) if where == "folder" else url
    git(repo, "tag", "release", "HEAD~1")
    git(repo, "branch", "release", "main")
    with pytest.raises(
        SourceError, match="more than one release: refs/heads/release and refs/tags/release"
    ):
        read(source, os.environ, ref=f"release{suffix}")
    assert content(source, ref="refs/tags/release") == b"one"
    assert content(source, ref="refs/heads/release") == b"two"
    assert content(source, ref="heads/release") == b"two"


# --- git's own words ----------------------------------------------------------------------------


def test_a_repository_of_another_owner_is_told_in_git_s_words(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that git tells to type."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(SourceError, match=r"dubious ownership.*git config .*safe\.directory"):
        read(str(repo), os.environ, ref="main")


def test_a_broken_worktree_is_told_in_git_s_words(repo: Path, tmp_path: Path) -> None:
    """A ``.git`` file that leads nowhere is no folder without git."""
    git(repo, "worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    (repo / ".git" / "worktrees").rename(tmp_path / "lost")
    with pytest.raises(SourceError, match=r"git: not a git repository: .*worktrees/tree"):
        read(str(tmp_path / "tree"), os.environ, ref="main")


def test_the_transport_s_own_line_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ssh client says why, git only that nothing could be read."""
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho 'deploy@h: Permission denied (publickey).' >&2\nexit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH", str(ssh))
    with pytest.raises(SourceError) as caught:
        read("deploy@h:bot.git", os.environ)
    assert "Permission denied (publickey)" in str(caught.value)
    assert "access rights" not in str(caught.value)
