"""Errors with an external cause: name resolution, networks, TLS and other services."""

from __future__ import annotations

import re
from functools import lru_cache

from botdeploy.core.lines.fingerprint import PROBE, TRACE
from botdeploy.core.lines.stack_trace import read_trace

_HEAD = 1000
"""Characters of an error that are looked at."""

# Types that only a network, or a server elsewhere, brings about.
_TYPES = re.compile(
    r"""(?x)(?<![\w$])(?:
      gaierror|NameResolutionError|LocationParseError|NewConnectionError|MaxRetryError
    | Connect(?:ion)?Timeout(?:Error|Exception)?|ConnectError|ReadTimeout(?:Error)?|ReadError
    | ConnectionError|Connection(?:Refused|Reset|Aborted)Error|RemoteDisconnected
    | RemoteProtocolError|ProxyError
    | ClientConnector(?:DNS|SSL|Certificate)?Error|ClientProxyConnectionError|ClientOSError
    | ClientConnectionResetError|Server(?:Disconnected|Timeout|Connection)Error
    | SSL(?:CertVerification|ZeroReturn|EOF|Syscall|WantRead)?Error|CertificateError
    | DiscordServerError|GatewayNotFound|RateLimited|RateLimitError|TooManyRequests(?:Error)?
    | (?:Telegram)?(?:NetworkError|RetryAfter|ServerError)|TimedOut|FloodWaitError
    | UnknownHostException|UnresolvedAddressException|(?:HttpHost)?ConnectException
    | NoRouteToHostException|(?:HttpConnect|Socket|Connect)TimeoutException|ConnectionPoolTimeout
    | SSL(?:Handshake|Peer\w*)?Exception|CertificateExpiredException|CertPathValidatorException
    | AMQPConn\w*Error|StreamLostError|ServerSelectionTimeoutError|AutoReconnect|NoBrokersAvailable
    | Mongo(?:Network|ServerSelection)\w*Error|CannotConnectNowError
    )(?![\w$])"""
)

# Names, connects and handshakes, in the words of C's library, of runtimes and of tools.
_WORDS = re.compile(
    r"""(?xi)
      \b(?:ENOTFOUND|EAI_[A-Z]+|ECONNREFUSED|ECONNRESET|ECONNABORTED|ETIMEDOUT|ESOCKETTIMEDOUT
        |EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|UND_ERR_(?:CONNECT|HEADERS|BODY)_TIMEOUT
        |UND_ERR_SOCKET|NXDOMAIN|SERVFAIL)\b
    | \bgetaddrinfo\b | \bname\sor\sservice\snot\sknown | failure\sin\sname\sresolution
    | no\saddress\sassociated\swith\shostname | nodename\snor\sservname
    | \b(?:could\snot|couldn't|cannot|can't|failed\sto|unable\sto)\s
      (?:resolve|lookup|look\sup|translate)\s(?:\w+\s){0,2}?(?:host|name|address|domain|'|"|\#)
    | \bcould\snot\scontact\sdns | \bdns\s(?:lookup|resolution|query)\s(?:\w+\s)?(?:fail|time)
    | \bdns\sserver\sreturned | \bdomain\sname\snot\sfound | \bfailed\sto\sresolve\b
    | \bfailed\sto\slookup\saddress | \bname\sresolution\sfailed | \bunknown\shost\b
    | \blookup\s\S+(?:\son\s\S+)?:\s | \bno\ssuch\shost\b
    | \bserver\smisbehaving\b
    | \bconnection\s(?:was\s)?(?:refused|reset|timed\s?out|aborted)
    | \bconnect(?:ion)?\s(?:attempt\s)?(?:timed\s?out|time-?out) | \bconnect:\s[a-z]
    | \bdial\s(?:tcp|udp|unix)\b | \bproxyconnect\b | \bi/o\stimeout
    | \bnetwork\sis\s(?:unreachable|down) | \bno\sroute\sto\shost | \bhost\sis\sdown
    | \bhost\sunreachable
    | \bread\stimed\sout\b | \boperation\stimed\sout\safter
    | \btimeout\s(?:reading\sfrom|connecting\sto|awaiting)
    | \bClient\.Timeout\b | \bsocket\shang\sup | \bfetch\sfailed\b | \bnetwork\ssocket\sdisconnected
    | \bremote\send\sclosed\sconnection | \bserver\sdisconnected\b
    | \bserver\sclosed\sthe\sconnection | \bconnection\sclosed\sby\sserver
    | \bconnection\shas\sbeen\sclosed\sunexpectedly | \bempty\sreply\sfrom\sserver
    | \bno\sclose\sframe\sreceived | \ball\sconnection\sattempts\sfailed
    | \bcannot\sconnect\sto\shost | \bcould\snot\sconnect\sto\sserver | \bfailed\sto\sconnect\sto\b
    | \bcan't\sconnect\sto\s(?:\w+\s)*?server\son | \blost\sconnection\sto\s(?:\w+\s)*?server
    | \berror\s(?:-?\d+|\#)\sconnecting\sto | \bthe\sdatabase\ssystem\sis\s(?:starting|shutting)
    | \bStatusCode\.UNAVAILABLE\b | \bcode\s=\sUnavailable\b | \b14\sUNAVAILABLE\b
    | \bcertificate[_\s]verify[_\s]failed | \bcertificate\s(?:has|is)\s(?:expired|not\syet|invalid)
    | \bself[-\s]signed\scertificate | \bSELF_SIGNED_CERT | \bUNABLE_TO_(?:VERIFY|GET_ISSUER)\w*
    | \bCERT_(?:HAS_EXPIRED|NOT_YET_VALID)\b | \bERR_TLS_\w+ | \bERR_SSL_\w+
    | \bunable\sto\s(?:get\s(?:local\s)?issuer|verify\sthe\sfirst)\scertificate
    | \bSSL\scertificate\sproblem | \b(?:tls|ssl)\w*\salert\s | \bx509:\s | \bremote\serror:\stls:
    | \btls:\s(?:handshake|failed\sto\sverify|first\srecord|bad\s) | \btls\shandshake
    | \bssl\shandshake | \bhandshake\s(?:failure|failed|timed\sout) | \bSSL_(?:connect|ERROR_\w+)\b
    | \bssl\sroutines\b | \bwrong\sversion\snumber | \bEOF\soccurred\sin\sviolation\sof\sprotocol
    | \bPKIX\spath\s | \bcurl:\s\((?:5|6|7|28|35|52|55|56|60)\)
    """
)

# What other people's servers answer when they are in trouble, or have enough of us.
_ANSWERS = re.compile(
    r"""(?xi)
      \bbad\sgateway\b | \bservice\s(?:is\s)?(?:temporarily\s)?unavailable\b
    | \bgateway[-\s]?time-?\s?out\b | \btoo\smany\srequests\b | \bupstream\sconnect\serror
    | \bno\shealthy\supstream | \b(?:are|were|been|being)\srate[-\s]?limited\b
    | \brate\slimit\s(?:exceeded|reached|hit)\b
    | \b(?:5\d\d|429)\s(?:server|client)\serror\b | \bserver\serror\s['"]?5\d\d\b
    | \b(?:5\d\d|429),\smessage= | \binternal\sserver\serror['"]?\sfor\surl
    | \b(?:status(?:[\s_-]?code)?|http(?:/\d(?:\.\d)?)?(?:\sstatus(?:\scode)?)?
      |returned(?:\serror)?|response(?:\scode)?|responded(?:\swith)?|answered(?:\swith)?)
      ['"]?\s?[:=(]?\s?['"]?(?:5\d\d|429)\b
    """
)
_METHOD = r"\b(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)\s/"
_SERVED = re.compile(_METHOD)
"""A request for a path alone: one that the bot itself answered."""

# Faults of a program, whatever words are in what they say.
_OWN = re.compile(
    r"""(?x)(?<![\w$.])(?:\w+\.)*(?:
      KeyError|AttributeError|NameError|UnboundLocalError|IndexError|LookupError|ValueError
    | AssertionError|ZeroDivisionError|ImportError|ModuleNotFoundError|SyntaxError|RecursionError
    | IndentationError|NotImplementedError|UnicodeDecodeError|UnicodeEncodeError|JSONDecodeError
    | ReferenceError|RangeError|NullPointerException|ClassCastException|IllegalStateException
    | IllegalArgumentException|IndexOutOfBoundsException|ArrayIndexOutOfBoundsException
    | NullReferenceException|NoMethodError|TypeError(?!:?\s?(?:\S+\s)?fetch\sfailed)
    )(?=[:\s,(]|$)"""
)


def is_external(name: str, text: str = "") -> bool:
    """Tell whether an error has an external cause, and none in the bot.

    Names that don't resolve, connects that are refused, reset or time out, TLS handshakes, and
    others' 5xx and 429. ``name`` is the error's fingerprint; ``text`` its line or stack trace, as
    much as is known of it: answers of servers are told by numbers that no fingerprint has. Of a
    stack trace its last exception alone counts. What a probe asked of the bot is the bot's own.
    """
    if name.startswith(PROBE):
        return False
    return _says(_said(name, text))


def _said(name: str, text: str) -> str:
    """Give what the error comes to: of a trace the type and message, of a line itself."""
    if not name.startswith(TRACE):
        return (text or name)[:_HEAD]
    kind, _, rest = name[len(TRACE) :].partition(" ")
    _, _, masked = rest.partition(" ")
    read = read_trace(text) if text else None
    if read is not None and read.type.replace(" ", "_") == kind and read.message:
        return f"{read.type}: {read.message}"[:_HEAD]
    at = text.rfind(f"{kind.partition('<')[0]}: ") if read is None else -1
    if at >= 0:  # what was kept of it
        return text[at : at + _HEAD]
    return f"{kind}: {masked}"


@lru_cache(maxsize=4096)
def _says(said: str) -> bool:
    if _OWN.search(said):
        return False
    if _TYPES.search(said) or _WORDS.search(said):
        return True
    is_served = "://" not in said and _SERVED.search(said) is not None
    return not is_served and _ANSWERS.search(said) is not None
