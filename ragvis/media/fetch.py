"""Pictures from URLs, fetched by us: only http(s), only public addresses, bounded in size and time.

The address that was checked is the one that is connected to, so a name that resolves anew
between check and use (DNS rebinding) gains nothing; every redirect is checked again.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from ragvis import config
from ragvis.errors import FetchRefused

MAX_BYTES = 32 * 1024 * 1024
MAX_SECONDS = 30.0
MAX_REDIRECTS = 4
_CHUNK = 64 * 1024
_ALLOW = "RAGVIS_ALLOW_PRIVATE_URLS"


# Ranges whose addresses carry an IPv4 address to somewhere that nobody checked.
_TUNNELS = [
    ipaddress.IPv6Network(n)
    for n in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
]


def is_url(text: str) -> bool:
    """Whether the text is a URL rather than a path."""
    return text.lower().startswith(("http://", "https://"))


def fetch(url: str, allow_private: bool | None = None) -> bytes:
    """The bytes behind a URL.

    Args:
        url: http or https.
        allow_private: also open private and local addresses; None asks
            ``RAGVIS_ALLOW_PRIVATE_URLS``.

    Raises:
        FetchRefused: offline, another scheme, an address that is not public, an answer that is
            not 200, too large or too slow.
    """
    if config.offline():
        raise FetchRefused(f"offline: {url} was not opened", "Give a file, or go online.")
    if allow_private is None:
        allow_private = os.environ.get(_ALLOW, "") == "1"
    deadline = time.monotonic() + MAX_SECONDS
    for _ in range(MAX_REDIRECTS + 1):
        answer = _get(_Target.of(url, allow_private), deadline)
        if isinstance(answer, bytes):
            return answer
        try:
            url = urljoin(url, answer)
        except ValueError as error:
            raise FetchRefused(f"{url} redirects to no URL: {error}") from error
    raise FetchRefused(f"{url}: more than {MAX_REDIRECTS} redirects")


@dataclass(frozen=True)
class _Target:
    """A URL and the vetted address to connect to."""

    url: SplitResult
    address: str
    port: int

    @classmethod
    def of(cls, url: str, allow_private: bool) -> _Target:
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise FetchRefused(f"{url!r} is not a URL: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise FetchRefused(f"{url!r} is not an http(s) URL")
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise FetchRefused(f"{url!r} has no valid port") from error
        return cls(parts, _public_address(parts.hostname, port, allow_private), port)


def _public_address(host: str, port: int, allow_private: bool) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchRefused(f"{host} cannot be resolved: {error}") from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not allow_private and not _is_public(address):
            raise FetchRefused(
                f"{host} is a private or local address ({address})",
                f"Set {_ALLOW}=1 if you trust it.",
            )
    return addresses[0]


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        elif any(ip in network for network in _TUNNELS):
            return False
    return ip.is_global and not ip.is_multicast


def _get(target: _Target, deadline: float) -> bytes | str:
    """The body, or the address of a redirect."""
    connection = _connect(target, deadline)
    path = quote(target.url.path or "/", safe="/%:@!$&'()*+,;=~-._")
    path += f"?{quote(target.url.query, safe='/%:@!$&()*+,;=~-._?')}" if target.url.query else ""
    # A timeout is for one read; a server that drips bytes would renew it for ever.
    stop = threading.Timer(max(0.1, deadline - time.monotonic()), _shut, [connection.sock])
    stop.start()
    try:
        connection.request("GET", path, headers={"User-Agent": "ragvis", "Accept": "image/*"})
        response = connection.getresponse()
        if response.status in (301, 302, 303, 307, 308):
            return response.getheader("Location") or ""
        if response.status != 200:
            raise FetchRefused(f"{target.url.geturl()} answered {response.status}")
        return _read(response, target, deadline)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchRefused(f"{target.url.geturl()} cannot be fetched: {error}") from error
    finally:
        stop.cancel()
        connection.close()


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # closed already: there is nothing left to stop
        sock.shutdown(socket.SHUT_RDWR)


def _connect(target: _Target, deadline: float) -> http.client.HTTPConnection:
    host = target.url.hostname or ""
    left = max(0.1, deadline - time.monotonic())
    try:
        raw = socket.create_connection((target.address, target.port), timeout=left)
        if target.url.scheme == "https":
            raw = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
    except OSError as error:
        raise FetchRefused(f"{host} cannot be reached: {error}") from error
    connection = http.client.HTTPConnection(host, target.port, timeout=left)
    connection.sock = raw
    return connection


def _read(response: http.client.HTTPResponse, target: _Target, deadline: float) -> bytes:
    body = bytearray()
    while chunk := response.read1(_CHUNK):
        body += chunk
        if len(body) > MAX_BYTES:
            raise FetchRefused(f"{target.url.geturl()} is over {MAX_BYTES // 2**20} MiB")
        if time.monotonic() > deadline:
            raise FetchRefused(f"{target.url.geturl()} took over {MAX_SECONDS:.0f} s")
    return bytes(body)
