"""A git repository as a source: the content of one commit, through ``git archive``.

Nothing of the repository's own configuration is used when its content is read: hooks, filters,
monitors and helpers named there would be programs that the source runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from botdeploy.core.release.manifest import has_hidden_characters
from botdeploy.core.text.token_patterns import STARS
from botdeploy.errors import SourceError
from botdeploy.sources.archive import read_tar
from botdeploy.sources.ignore import DEFAULT_PATTERNS, IGNORE_FILE, Ignore
from botdeploy.sources.tree import MAX_BYTES, MAX_PATHS, TreeBuilder
from botdeploy.user_dirs import cache_folder, home_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from botdeploy.sources.tree import SourceTree

_PASSWORD = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_FULL_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_LFS = b"version https://git-lfs.github.com/spec/v1\n"
_LFS_MAX_BYTES = 1024

_REMOTE_HEAD = "refs/botdeploy/HEAD"
_OWN_HEAD = re.compile(r"(?:HEAD|@)(?=\Z|[~^:])")
_NO_REPOSITORY = "not a git repository (or any"
_NO_HEAD = "couldn't find remote ref HEAD"
_HINTS = (
    *("hint:", "warning:", "Cloning into", "Please make sure you have the correct access rights"),
    *("and the repository exists.", "remote: Enumerating", "To add an exception for this"),
)
_MOST_WORDS = 600

_CHUNK_BYTES = 1024 * 1024
_MAX_LIST_BYTES = 64 * 1024 * 1024
_MAX_TAR_BYTES = MAX_BYTES + MAX_PATHS * 1536  # headers of plain and of long names
_MAX_WORDS_BYTES = 64 * 1024

_LOCAL_TIMEOUT_S = 120.0
_NETWORK_TIMEOUT_S = 600.0

#: What git sets for its hooks: with them a deploy out of a hook would read another repository.
_OWN_VARIABLES = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a commit's content is: objects, commit, folder in it, and how errors name it."""

    objects: Path
    hash_format: str
    commit: str
    prefix: str
    """Empty, or a folder with a slash at its end."""
    source: str


def is_bare_repository(folder: Path) -> bool:
    """Tell whether a folder is a repository itself and not a folder of files."""
    return (folder / "HEAD").is_file() and all(
        (folder / part).is_dir() for part in ("objects", "refs")
    )


def read_folder_at(
    folder: Path, ref: str, source: str, environ: Mapping[str, str], exclude: Sequence[str] = ()
) -> SourceTree:
    """Read what a commit holds of a folder in a repository; raises SourceError."""
    _check_ref(ref)
    environment = _environment(environ)
    asked = ["rev-parse", "--git-common-dir", "--show-object-format"]
    code, inside, words = _run(asked, folder, environment, _LOCAL_TIMEOUT_S)
    if code != 0 and _NO_REPOSITORY in words:
        raise SourceError(f"{source} is not in a git repository, so it has no {ref}")
    if code != 0:
        raise SourceError(f"{source}: git: {words}")
    common, hash_format = inside.split("\n")[:2]
    _refuse_ambiguous(ref, folder, environment, source)
    prefix = (_git(["rev-parse", "--show-prefix"], folder, environment) or "").strip("\n")
    commit = _commit(folder, ref, environment)
    if commit is None:
        raise SourceError(f"{source} has no commit, branch or tag {ref}")
    place = _Place(folder / common / "objects", hash_format, commit, prefix, f"{source} at {ref}")
    return _archive(place, f"git commit {commit[:12]} ({ref}) of {source}", environ, exclude)


def commit_of(folder: Path, environ: Mapping[str, str]) -> str | None:
    """Give the commit that is checked out where a folder stands, or None; also without git."""
    try:
        return _commit(folder, "HEAD", _environment(environ))
    except SourceError:
        return None


def read_url(
    url: str, ref: str | None, environ: Mapping[str, str], exclude: Sequence[str] = ()
) -> SourceTree:
    """Read a commit of a repository elsewhere, by way of a bare copy in the user's cache.

    Without ``ref``, the branch that the repository names as its own. A full commit id that the
    copy has needs no network. What git may use besides (``insteadOf``, ssh's aliases) holds; of
    transports only https, http, ssh, git and file are allowed.
    """
    if ref is not None:
        _check_ref(ref)
    address = re.sub(r"\Agit\+", "", url)
    shown = _PASSWORD.sub(STARS, address)
    with _cache(address, environ) as cache:
        commit = _fetched(cache, address, ref, shown, environ)
        place = _Place(cache / "objects", "sha1", commit, "", f"{shown} at {ref or 'HEAD'}")
        return _archive(
            place, f"git commit {commit[:12]} ({ref or 'HEAD'}) of {shown}", environ, exclude
        )


def _check_ref(ref: str) -> None:
    if not ref or ref.startswith("-") or has_hidden_characters(ref) or ref != ref.strip():
        raise SourceError(f"ref: {ref!r} is not a name of a commit, branch or tag")


def _refuse_ambiguous(ref: str, folder: Path, environment: Mapping[str, str], source: str) -> None:
    """Raise SourceError where a tag and a branch have the name: git would take one, silently."""
    name = re.split(r"[~^:]|@\{", ref)[0]
    full = [f"refs/tags/{name}", f"refs/heads/{name}", f"refs/remotes/{name}"]
    listed = _git(["for-each-ref", "--format=%(refname)", *full], folder, environment) or ""
    found = [one for one in listed.splitlines() if one in full]
    if len(found) > 1:
        raise SourceError(
            f"{source} has more than one {name}: {' and '.join(sorted(found))}; "
            "write the one that is meant in full"
        )


def _commit(folder: Path, ref: str, environment: Mapping[str, str]) -> str | None:
    found = _git(["rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"], folder, environment)
    return found.strip() if found else None


# --- content ------------------------------------------------------------------------------------


def _archive(
    at: _Place, describe: str, environ: Mapping[str, str], exclude: Sequence[str]
) -> SourceTree:
    """Read a commit from its objects alone, in an empty repository that has no configuration."""
    with tempfile.TemporaryDirectory(prefix="botdeploy-git-") as folder:
        empty = Path(folder)
        own_format = [f"--object-format={at.hash_format}"] if at.hash_format == "sha256" else []
        init = ["init", "--quiet", "--bare", "--template=", *own_format, folder]
        _must(init, empty, _environment(environ), at.source)
        environment = {
            **_environment(environ),
            "GIT_DIR": folder,
            "GIT_OBJECT_DIRECTORY": str(at.objects),
            # Nor has the user any for it: line ends and filters of his would change the files.
            **dict.fromkeys(("HOME", "XDG_CONFIG_HOME"), folder),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
        }
        builder = TreeBuilder(at.source, _rules(at, empty, environment, exclude))
        _refuse_submodules(builder, at, empty, environment)
        tree = f"{at.commit}:{at.prefix}" if at.prefix else at.commit
        with tempfile.TemporaryFile(prefix="botdeploy-") as tar:
            command = ["archive", "--format=tar", tree]
            _must(command, empty, environment, at.source, into=tar, limit=_MAX_TAR_BYTES)
            tar.seek(0)
            read_tar(builder, tar, at.source)
        made = builder.build(describe, at.commit)
    for path, file in made.files().items():
        if file.size <= _LFS_MAX_BYTES and file.read().startswith(_LFS):
            raise SourceError(
                f"{at.source}: {path} is a Git LFS pointer and not the file; exclude it, or run "
                "git lfs pull and deploy the folder without a ref"
            )
    return made


def _rules(
    at: _Place, folder: Path, environment: Mapping[str, str], exclude: Sequence[str]
) -> Ignore:
    blob = f"{at.commit}:{at.prefix}{IGNORE_FILE}"
    own = (_git(["cat-file", "blob", blob], folder, environment) or "").removeprefix("\ufeff")
    return Ignore([*DEFAULT_PATTERNS, IGNORE_FILE, *own.splitlines(), *exclude])


def _refuse_submodules(
    builder: TreeBuilder, at: _Place, folder: Path, environment: Mapping[str, str]
) -> None:
    command = ["ls-tree", "-r", "-z", "--full-tree", at.commit]
    listed = _must([*command, at.prefix] if at.prefix else command, folder, environment, at.source)
    if at.prefix and not listed:
        raise SourceError(f"{at.source} has no folder {at.prefix.rstrip('/')}")
    for row in listed.split("\0"):
        state, _, path = row.partition("\t")
        path = path.removeprefix(at.prefix)
        if state.startswith("160000 ") and builder.takes(path, is_folder=True):
            raise SourceError(
                f"{at.source}: {path} is a submodule, whose content is not part of the commit; "
                "exclude it, or deploy the folder without a ref"
            )


# --- the cache of repositories elsewhere --------------------------------------------------------


@contextmanager
def _cache(address: str, environ: Mapping[str, str]) -> Iterator[Path]:
    """Give the place of the bare copy, locked: two deploys may want the same one."""
    cache = cache_folder(environ, home_of(environ))
    if cache is None:
        raise SourceError("no home folder for the cache of git: set HOME or XDG_CACHE_HOME")
    folder = cache / "git"
    name = hashlib.sha256(address.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / f"{name}.lock").open("w")
    except OSError as error:
        raise SourceError(f"the cache {folder} cannot be written: {error.strerror}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder / name


def _fetched(
    cache: Path, address: str, ref: str | None, shown: str, environ: Mapping[str, str]
) -> str:
    """Bring the copy up to date where it must be, and give the commit that the ref means."""
    # Named by GIT_DIR: nothing is looked for in folders above, where another repository may be.
    local = {**_environment(environ), "GIT_DIR": str(cache)}
    online = {**_environment(environ, network=True), "GIT_DIR": str(cache)}
    cache.mkdir(exist_ok=True)
    if _git(["rev-parse", "--git-dir"], cache, local) is None:
        shutil.rmtree(cache)  # new, or cut off while it was made
        cache.mkdir()
        _must(["init", "--quiet", "--bare", "--template=", str(cache)], cache, local, shown)
    if ref is not None and _FULL_SHA.fullmatch(ref) and (there := _commit(cache, ref, local)):
        return there
    fetch = ["fetch", "--quiet", "--prune", "--force", "--no-recurse-submodules", "--", address]
    if ref is None or _OWN_HEAD.match(ref):
        wanted = [f"+HEAD:{_REMOTE_HEAD}"]
        meant = _OWN_HEAD.sub(_REMOTE_HEAD, ref or "HEAD")
    else:
        wanted = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
        meant = ref
    code, _, words = _run([*fetch, *wanted], cache, online, _NETWORK_TIMEOUT_S)
    if code != 0 and meant != ref and _NO_HEAD in words:
        raise SourceError(f"{shown} names no branch as its own (HEAD); say which: ref: BRANCH")
    if code != 0:
        raise SourceError(f"{shown}: git fetch: {words}")
    _refuse_ambiguous(meant, cache, local, shown)
    found = _commit(cache, meant, local)
    if found is None and ref is not None:
        # Neither branch nor tag: a commit that only a pull request has, or refs/pull/1/head.
        alone = f"+{ref}:refs/botdeploy/wanted"
        if _git([*fetch, alone], cache, online, _NETWORK_TIMEOUT_S) is not None:
            found = _commit(cache, "refs/botdeploy/wanted", local)
    if found is None:
        raise SourceError(f"{shown} has no commit, branch or tag {ref or 'HEAD'}")
    return found


# --- git itself ---------------------------------------------------------------------------------


def _environment(environ: Mapping[str, str], *, network: bool = False) -> dict[str, str]:
    """Give git's environment: nobody is asked, and without need no transport may be started.

    A repository can name a command as the transport for objects that it lacks.
    """
    environment = {name: value for name, value in environ.items() if name not in _OWN_VARIABLES}
    environment |= {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file" if network else "none",
    }
    return environment


def _git(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    timeout_s: float = _LOCAL_TIMEOUT_S,
) -> str | None:
    """Run git and give its output; None when it says no."""
    code, output, _ = _run(arguments, folder, environment, timeout_s)
    return output if code == 0 else None


def _must(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    source: str,
    *,
    into: IO[bytes] | None = None,
    limit: int | None = None,
) -> str:
    """Run git and give its output; raises SourceError with git's own words when it fails."""
    code, output, words = _run(arguments, folder, environment, _LOCAL_TIMEOUT_S, into, limit)
    if code != 0:
        raise SourceError(f"{source}: git {arguments[0]}: {words}")
    return output


def _run(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    timeout_s: float,
    into: IO[bytes] | None = None,
    limit: int | None = None,
) -> tuple[int, str, str]:
    """Run git; what it prints beyond the limit ends it: a few trees can mean billions of files."""
    command = ["git", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}"]
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                [*command, *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        except FileNotFoundError as error:
            missing = folder if not folder.is_dir() else "git"
            raise SourceError(f"{missing} is not there; a git source needs it") from error
        timer = threading.Timer(timeout_s, process.kill)
        timer.start()
        try:
            with process:
                output, is_whole = _collect(process, into, limit or _MAX_LIST_BYTES)
        finally:
            timer.cancel()
        errors.seek(0)
        words = _words(errors.read(_MAX_WORDS_BYTES).decode("utf-8", "replace"))
    if not is_whole:
        return 1, "", "there is more than a release can hold"
    if process.returncode < 0 and not words:
        words = f"no answer within {timeout_s:g} s"
    return process.returncode, output, words


def _collect(
    process: subprocess.Popen[bytes], into: IO[bytes] | None, limit: int
) -> tuple[str, bool]:
    parts: list[bytes] = []
    size = 0
    out = process.stdout
    while out is not None and (chunk := out.read(_CHUNK_BYTES)):
        size += len(chunk)
        if size > limit:
            process.kill()
            return "", False
        if into is None:
            parts.append(chunk)
        else:
            into.write(chunk)
    return b"".join(parts).decode("utf-8", "surrogateescape"), True


def _words(text: str) -> str:
    """Give what git and its transport say in one line, without a password that stands in a URL.

    The transport's line comes first and says why ("Permission denied (publickey)"), git's only
    that nothing could be read. A command that git tells to type is kept.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip(" @\t")]
    told = [line for line in lines if not line.startswith(_HINTS)] or lines[-1:]
    parts = [line.removeprefix("fatal: ").removeprefix("error: ") for line in told]
    shown = "; ".join(dict.fromkeys(parts))
    if len(shown) > _MOST_WORDS:
        shown = shown[: _MOST_WORDS // 2] + " … " + shown[-_MOST_WORDS // 2 :]
    return _PASSWORD.sub(STARS, "".join(c if c.isprintable() else " " for c in shown))
