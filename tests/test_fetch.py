"""URLs: fetched by us, bounded, and never from this network unless that is allowed."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest
from PIL import Image

from ragvis.errors import FetchRefused, UsageError
from ragvis.media import fetch, images
from ragvis.media.source import load_picture

PNG = images.save_png(Image.new("RGB", (2, 2), "red"))


class Handler(http.server.BaseHTTPRequestHandler):
    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.path)
        if self.path == "/loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
        elif self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://10.0.0.1/secret")
        elif self.path == "/odd":
            self.send_response(302)
            self.send_header("Location", "http://[")
        elif self.path == "/drip":
            while not self.server._BaseServer__shutdown_request:  # type: ignore[attr-defined]
                try:
                    self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                except OSError:
                    return
        elif self.path == "/missing":
            self.send_response(404)
        else:
            self.send_response(200)
        self.end_headers()
        if self.path == "/red.png":
            self.wfile.write(PNG)
        elif self.path == "/large":
            self.wfile.write(b"x" * (fetch.MAX_BYTES + 1))
        elif self.path == "/text":
            self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def test_a_picture_from_a_url_that_is_allowed(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGVIS_ALLOW_PRIVATE_URLS", "1")
    assert load_picture(f"{server}/red.png").getpixel((0, 0)) == (255, 0, 0)
    with pytest.raises(UsageError, match="cannot be opened"):
        load_picture(f"{server}/text")


@pytest.mark.parametrize("path", ["/missing", "/large", "/loop", "/odd"])
def test_what_is_not_a_picture(server: str, path: str) -> None:
    with pytest.raises(FetchRefused):
        fetch.fetch(server + path, allow_private=True)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:10.0.0.1]",
        "[fe80::1]",
        "[fc00::1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::a00:1]",
        "[::10.0.0.1]",
        "[2002:7f00:1::]",
        "224.0.0.1",
        "100.64.0.1",
    ],
)
def test_no_private_address_is_opened(server: str, host: str) -> None:
    before = len(Handler.seen)
    port = server.rsplit(":", 1)[1]
    with pytest.raises(FetchRefused, match=r"private or local|cannot be resolved"):
        fetch.fetch(f"http://{host}:{port}/red.png")
    assert len(Handler.seen) == before


def test_a_redirect_is_checked_like_the_first_address(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fetch._is_public
    monkeypatch.setattr(fetch, "_is_public", lambda ip: ip == "127.0.0.1" or real(ip))
    with pytest.raises(FetchRefused, match="private or local"):
        fetch.fetch(f"{server}/away")


def test_a_server_that_never_comes_to_the_point(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MAX_SECONDS", 0.5)
    with pytest.raises(FetchRefused):
        fetch.fetch(f"{server}/drip", allow_private=True)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://x/y",
        "http://",
        "http://a:99999/",
        "http://[::1",
        "http://ex℀m.com/",
    ],
)
def test_other_schemes(url: str) -> None:
    with pytest.raises(FetchRefused):
        fetch.fetch(url)


def test_offline_opens_nothing(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = len(Handler.seen)
    with pytest.raises(FetchRefused, match="offline"):
        fetch.fetch(f"{server}/red.png", allow_private=True)
    assert len(Handler.seen) == before


def test_a_picture_that_is_given_stays_as_it_was() -> None:
    given = Image.new("RGB", (30, 20), "red")
    given.getexif()[0x0112] = 6  # lies on its side
    loaded = load_picture(given)
    assert (loaded.size, given.size) == ((20, 30), (30, 20))
    loaded.putpixel((0, 0), (0, 0, 255))
    plain = Image.new("RGB", (30, 20), "red")
    load_picture(plain).putpixel((0, 0), (0, 0, 255))
    assert given.getpixel((0, 0)) == plain.getpixel((0, 0)) == (255, 0, 0)
