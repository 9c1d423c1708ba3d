"""An address: where a host is reached, as whom, and by which keys."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, replace
from functools import cache

from botdeploy.errors import UserError

#: Options that change how we connect.
_HONOURED = frozenset(
    {
        "addressfamily",
        "bindaddress",
        "canonicaldomains",
        "canonicalizefallbacklocal",
        "canonicalizehostname",
        "canonicalizemaxdots",
        "canonicalizepermittedcnames",
        "certificatefile",
        "connecttimeout",
        "globalknownhostsfile",
        "hostkeyalias",
        "hostname",
        "identitiesonly",
        "identityagent",
        "proxycommand",
        "revokedhostkeys",
        "tag",
    }
)

#: Options that change where we connect, whom we trust or what runs, and that can't be followed.
REFUSED = {
    "bindinterface": "use BindAddress",
    "localcommand": "botdeploy runs no local command",
    "knownhostscommand": "list the host's key in a known_hosts file",
    "pkcs11provider": "add the key to an agent: ssh-add -s PROVIDER",
    "proxyusefdpass": "use a ProxyCommand that carries the connection itself",
    "remotecommand": "botdeploy sends its own commands",
    "remoteforward": "botdeploy forwards nothing",
    "sessiontype": "botdeploy sends its own commands",
    "tunnel": "botdeploy forwards nothing",
}
OFF = frozenset({"none", "no", "false"})

#: Options whose value is a list of words, and is kept as it is written.
LISTS = frozenset(
    {
        "canonicaldomains",
        "canonicalizepermittedcnames",
        "globalknownhostsfile",
        "userknownhostsfile",
    }
)

#: Options that may stand in a shared inventory and mean nothing here: our own transport already
#: multiplexes, keeps alive, picks algorithms, forwards nothing and never asks.
#: StrictHostKeyChecking is among them because host keys are always checked strictly.
_WITHOUT_MEANING_TEXT = """
    addkeystoagent afstokenpassing batchmode casignaturealgorithms
    challengeresponseauthentication channeltimeout checkhostip cipher ciphers
    clearallforwardings compression compressionlevel connectionattempts controlmaster
    controlpath controlpersist dsaauthentication dynamicforward enableescapecommandline
    enablesshkeysign escapechar exitonforwardfailure fallbacktorsh fingerprinthash
    forkafterauthentication forwardagent forwardx11 forwardx11timeout forwardx11trusted
    gatewayports globalknownhostsfile2 gssapiauthentication gssapiclientidentity
    gssapidelegatecredentials gssapikexalgorithms gssapikeyexchange gssapirenewalforcesrekey
    gssapiserveridentity gssapitrustdns hashknownhosts hostbasedacceptedalgorithms
    hostbasedauthentication hostbasedkeytypes hostkeyalgorithms ignoreunknown ipqos
    kbdinteractiveauthentication kbdinteractivedevices kexalgorithms keepalive localforward
    loglevel logverbose macs nohostauthenticationforlocalhost numberofpasswordprompts
    obscurekeystroketiming passwordauthentication permitlocalcommand permitremoteopen
    preferredauthentications protocol pubkeyacceptedalgorithms pubkeyacceptedkeytypes
    pubkeyauthentication refuseconnection rekeylimit requesttty requiredrsasize
    rhostsauthentication rhostsrsaauthentication rsaauthentication rsaminsize
    securitykeyprovider sendenv serveralivecountmax serveraliveinterval setenv
    skeyauthentication smartcarddevice stdinnull streamlocalbindmask streamlocalbindunlink
    stricthostkeychecking syslogfacility tcpkeepalive tisauthentication tunneldevice
    updatehostkeys useblacklistedkeys usekeychain useprivilegedport useroaming usersh
    userknownhostsfile2 verifyhostkeydns versionaddendum visualhostkey warnweakcrypto
    xauthlocation
"""
_WITHOUT_MEANING = frozenset(_WITHOUT_MEANING_TEXT.split())

_HIGHEST_PORT = 65535
#: A name, which may be in quotes, and its setting, which may hold any signs.
_OPTION = re.compile(r'\s*"?([^\s="]+)"?(?:\s*=\s*|\s+)(.*)', re.DOTALL)
_FLAGS_WITHOUT_MEANING = frozenset("AaCgKkMnqTtvXxYy")
#: Flags with a value, and the option that each stands for; none where it means nothing here.
_FLAGS_WITH_VALUE: dict[str, str | None] = {
    "F": "configfile",
    "J": "proxyjump",
    "P": "tag",
    "b": "bindaddress",
    "i": "identityfile",
    "l": "user",
    "o": "",
    "p": "port",
    "B": "bindinterface",
    "I": "pkcs11provider",
    "R": "remoteforward",
    "w": "tunnel",
    **dict.fromkeys("DELScem"),
}
_FLAGS_REFUSED_WITH_VALUE = frozenset("OQW")


@dataclass(frozen=True, slots=True)
class Jump:
    """One hop on the way to a host: ``[user@]host[:port]``."""

    hostname: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        """Write the hop as ``ssh -J`` takes it."""
        name = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{user}{name}{port}"


@dataclass(frozen=True, slots=True)
class Address:
    """Where and how one host is reached; what is left out comes from the user's ssh config."""

    host: str
    #: The name that ssh would be given; a HostName among the options says where to connect then.
    hostname: str
    port: int | None = None
    user: str | None = None
    identity_files: tuple[str, ...] = ()
    known_hosts_files: tuple[str, ...] = ()
    jumps: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    #: Arguments of ssh that mean nothing here, as they are written.
    passed_over: tuple[str, ...] = ()
    #: Why this host can't be connected to as its arguments ask; empty when it can.
    refused: str = ""
    local: bool = False
    become_user: str | None = None
    become_password: str | None = field(default=None, repr=False)

    def option(self, name: str) -> str | None:
        """Give the first value of an ssh option by its name, whatever its case."""
        wanted = name.lower()
        return next((value for key, value in self.options if key == wanted), None)

    def with_ssh_args(self, text: str) -> Address:
        """Add what ssh's arguments ask for; what the address already says wins, as in Ansible."""
        args = parse_ssh_args(text)
        return replace(
            self,
            port=self.port or args.port,
            user=self.user or args.user,
            identity_files=self.identity_files
            + tuple(name for name in args.identity_files if name not in self.identity_files),
            known_hosts_files=self.known_hosts_files or args.known_hosts_files,
            jumps=self.jumps or args.jumps,
            options=self.options + args.options,
            passed_over=self.passed_over + args.passed_over,
            refused=self.refused or args.refused,
        )


def parse_jump(text: str) -> Jump:
    """Read one hop of a ProxyJump chain; raise UserError when it is none."""
    rest = text.strip().removeprefix("ssh://")
    user, at, place = rest.rpartition("@")
    if place.startswith("["):
        name, _, tail = place[1:].partition("]")
        port_text = tail.removeprefix(":")
    elif place.count(":") == 1:
        name, _, port_text = place.partition(":")
    else:
        name, port_text = place, ""
    is_text = rest.isprintable() and " " not in rest
    if not name or not is_text or name[0] == "-" or rest[0] == "-" or (at and not user):
        raise UserError(f"ProxyJump: {text!r} is not [user@]host[:port]")
    return Jump(name, user or None, _port(port_text, "ProxyJump") if port_text else None)


def parse_ssh_args(text: str) -> Address:
    """Read ssh's own arguments (``-o X=Y -J a,b -i KEY -p 2222 -l me -F FILE``).

    What means nothing here is passed over; what could neither be followed nor safely be ignored is
    said in ``refused``. The address names no host. Raises UserError for words that are no
    arguments of ssh.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(f"ssh arguments {text!r}: {error}") from None
    options: list[tuple[str, str]] = []
    passed_over: list[str] = []
    refused = ""
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "-" or not word.startswith("-"):
            raise UserError(f"ssh arguments: {word!r} is not an option of ssh")
        for index, flag in enumerate(word[1:], start=1):
            if flag in _FLAGS_WITH_VALUE or flag in _FLAGS_REFUSED_WITH_VALUE:
                value = word[index + 1 :]
                if not value:
                    if position == len(words):
                        raise UserError(f"ssh arguments: -{flag} needs a value")
                    value = words[position]
                    position += 1
                name = _FLAGS_WITH_VALUE.get(flag)
                if flag in _FLAGS_REFUSED_WITH_VALUE:
                    refused = refused or f"ssh arguments: -{flag} is not supported"
                elif name is None:
                    passed_over.append(f"-{flag} {value}")
                else:
                    options.append((name, value) if name else _option(value))
                break
            if flag in "46":
                options.append(("addressfamily", "inet" if flag == "4" else "inet6"))
            elif flag in _FLAGS_WITHOUT_MEANING:
                passed_over.append(f"-{flag}")
            else:
                refused = refused or f"ssh arguments: -{flag} is not supported"
    args = _sort_out(options)
    return replace(
        args, passed_over=(*passed_over, *args.passed_over), refused=refused or args.refused
    )


def _option(value: str) -> tuple[str, str]:
    """Split what stands behind ``-o`` as ssh splits a line of its config."""
    found = _OPTION.fullmatch(value.rstrip())
    name, setting = (found[1].lower(), found[2]) if found else ("", "")
    if name == "proxyjump":
        setting = setting.partition("#")[0].rstrip()
    elif name != "proxycommand" and name not in _WITHOUT_MEANING:
        words = split(setting)
        if words is None:
            raise UserError(f"ssh arguments: -o {value!r}: a quote is not closed")
        if not words or not all(words):
            setting = ""
        elif name not in LISTS:
            if len(words) > 1:
                raise UserError(
                    f"ssh arguments: -o {value!r} has more behind its value; for a value with "
                    "blanks put it in double quotes"
                )
            setting = words[0]
    if not setting:
        raise UserError(f"ssh arguments: -o {value!r} is not Name=value")
    return name, setting


@cache
def split(text: str) -> tuple[str, ...] | None:
    """Split a line's value into words up to a comment; None where a quote is not closed."""
    words: list[str] = []
    position = 0
    while position < len(text):
        if text[position] in " \t":
            position += 1
            continue
        if text[position] == "#":
            break
        word: list[str] = []
        quote = ""
        while position < len(text):
            sign = text[position]
            following = text[position + 1 : position + 2]
            if (
                sign == "\\"
                and following
                and (following in "'\"\\" or (not quote and following == " "))
            ):
                word.append(following)
                position += 1
            elif not quote and sign in " \t":
                break
            elif not quote and sign in "\"'":
                quote = sign
            elif sign == quote:
                quote = ""
            else:
                word.append(sign)
            position += 1
        if quote:
            return None
        words.append("".join(word))
    return tuple(words)


def _sort_out(options: list[tuple[str, str]]) -> Address:
    """Put each option where it belongs; the first value of a name wins, as in ssh."""
    first: dict[str, str] = {}
    identities: list[str] = []
    kept: list[tuple[str, str]] = []
    passed_over: list[str] = []
    refused = ""
    for name, value in options:
        match name:
            case "identityfile":
                identities.append(value)
            case "proxyjump" if any(key == "proxycommand" for key, _ in kept):
                pass  # Of the two, the one that stands first counts.
            case "proxycommand" if "proxyjump" in first:
                pass
            case "port" | "user" | "proxyjump" | "userknownhostsfile":
                first.setdefault(name, value)
            case "configfile":
                kept.append((name, value))
            case _ if name in _HONOURED:
                kept.append((name, value))
            case _ if name in _WITHOUT_MEANING or (name in REFUSED and value.lower() in OFF):
                passed_over.append(f"-o {name}={value}")
            case _:
                advice = REFUSED.get(name, "check its spelling in ssh_config(5)")
                refused = refused or f"ssh arguments: option {name!r} is not supported; {advice}"
    jumps: tuple[str, ...] = ()
    jump_text = first.get("proxyjump")
    if jump_text is not None and jump_text.lower() == "none":
        kept.append(("proxyjump", "none"))
    elif jump_text is not None:
        jumps = tuple(str(parse_jump(hop)) for hop in jump_text.split(","))
    return Address(
        host="",
        hostname="",
        port=_port(first["port"], "Port") if "port" in first else None,
        user=first.get("user"),
        identity_files=tuple(identities),
        known_hosts_files=split(first.get("userknownhostsfile", "")) or (),
        jumps=jumps,
        options=tuple(kept),
        passed_over=tuple(passed_over),
        refused=refused,
    )


def _port(text: str, what: str) -> int:
    """Read a port number from 1 to 65535."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= _HIGHEST_PORT):
        raise UserError(f"{what}: {text!r} is not a port")
    return int(text)
