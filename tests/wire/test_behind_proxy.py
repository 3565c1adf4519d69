"""The site behind nginx with TLS: pages, log-in, live connections and cookies, as its documentation sets it up."""

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.support.clubhouse import PASSWORD, Site, populate, prepare
from tests.support.processes import Server, free_port

PROXY: Final = "127.0.0.2"
"""Where nginx connects from, so that the tests, which come from 127.0.0.1, are strangers to the site."""

VISITOR: Final = "127.0.0.3"

_NGINX: Final = """
daemon off; pid nginx.pid; error_log stderr; worker_processes 1;
events {{}}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  server {{
    listen 127.0.0.1:{plain};
    listen 127.0.0.1:{tls} ssl;
    ssl_certificate certificate.pem; ssl_certificate_key key.pem;
    location / {{
      proxy_pass http://127.0.0.1:{site}; proxy_bind {proxy}; proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header Host {host}; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header {header} {scheme};
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Front:
    """The addresses of nginx, the site behind it, and what a browser needs to trust its certificate."""

    site: Site
    plain: str
    tls: str
    trust: ssl.SSLContext

    def visitor(self, **options: Any) -> httpx.Client:
        transport = httpx.HTTPTransport(verify=self.trust, local_address=VISITOR)
        return httpx.Client(base_url=self.tls, transport=transport, **options)


def make_certificate(folder: Path) -> ssl.SSLContext:
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    files = ("-keyout", "key.pem", "-out", "certificate.pem", "-days", "2")
    command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *subject)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return ssl.create_default_context(cafile=str(folder / "certificate.pem"))


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The proxy passes the host on and speaks in the usual headers."""
    names = {"host": "$http_host", "header": "X-Forwarded-Proto", "scheme": "$scheme"}
    yield from behind_nginx(tmp_path_factory.mktemp("documented"), names, {"CLUBHOUSE_TRUSTED_PROXIES": PROXY})


@pytest.fixture(scope="module")
def peculiar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The proxy hides the host and speaks of TLS in a header of its own; browsers come to another name."""
    folder = tmp_path_factory.mktemp("peculiar")
    variables = {
        "CLUBHOUSE_TRUSTED_PROXIES": PROXY,
        "CLUBHOUSE_PROXY_SSL_HEADER": "Front-End-Https: on",
        "CLUBHOUSE_ALLOWED_HOSTS": "backend.internal",
        "CLUBHOUSE_TRUSTED_ORIGINS": "https://127.0.0.1:{tls}",
    }
    names = {"host": "backend.internal", "header": "Front-End-Https", "scheme": "$https"}
    yield from behind_nginx(folder, names, variables)


def behind_nginx(folder: Path, names: dict[str, str], variables: dict[str, str]) -> Iterator[Front]:
    trust = make_certificate(folder)
    ports = {"plain": free_port(), "tls": free_port()}
    environment = {"CLUBHOUSE_HTTPS": "1", **{name: value.format(**ports) for name, value in variables.items()}}
    server = Server(prepare(folder / "site"), environment=environment)
    site = populate(server)
    (folder / "nginx.conf").write_text(_NGINX.format(**ports, **names, site=server.port, proxy=PROXY))
    server.start_blocking()
    nginx = subprocess.Popen(("nginx", "-p", str(folder), "-c", "nginx.conf"), stderr=subprocess.PIPE)
    try:
        answer(ports["tls"], nginx)
        yield Front(site, f"http://127.0.0.1:{ports['plain']}", f"https://127.0.0.1:{ports['tls']}", trust)
    finally:
        nginx.terminate()
        nginx.communicate(timeout=20)
        server.stop()


def answer(port: int, nginx: "subprocess.Popen[bytes]") -> None:
    """Wait until nginx listens, or fail with what it says."""
    while nginx.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            continue
        return
    raise AssertionError(nginx.communicate()[1])


def log_in(visitor: httpx.Client, origin: str, password: str = PASSWORD) -> httpx.Response:
    visitor.get("/accounts/login/").raise_for_status()
    token = visitor.cookies["__Host-csrftoken"]
    form = {"username": "alice", "password": password, "csrfmiddlewaretoken": token}
    return visitor.post(
        "/accounts/login/", data=form, headers={"Origin": origin, "Referer": f"{origin}/accounts/login/"}
    )


@pytest.mark.parametrize("name", ["documented", "peculiar"])
def test_people_log_in_and_connect_through_a_tls_proxy(name: str, request: pytest.FixtureRequest) -> None:
    front: Front = request.getfixturevalue(name)
    with front.visitor() as visitor:
        assert log_in(visitor, front.tls).status_code == 302
        assert visitor.get("/chat/").status_code == 200
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.cookies.jar)
        command = {"id": 1, "connect": {}}
        stream = visitor.stream("POST", "/connection/http_stream", json=command, headers={"Origin": front.tls})
        with stream as response:
            assert next(response.iter_lines()).startswith('{"id":1,"connect":')
    url = front.tls.replace("https", "wss") + "/connection/websocket"
    with connect(url, ssl=front.trust, origin=Origin(front.tls), additional_headers={"Cookie": cookies}) as wire:
        wire.send(json.dumps(command))
        assert json.loads(wire.recv(10))["connect"]["client"]


def test_cookies_are_bound_to_the_host_and_to_https(documented: Front) -> None:
    with documented.visitor() as visitor:
        response = log_in(visitor, documented.tls)
        page = visitor.get("/accounts/settings/")
    found = response.headers.get_list("set-cookie") + page.headers.get_list("set-cookie")
    names = {line.partition("=")[0] for line in found}
    assert names >= {"__Host-sessionid", "__Host-csrftoken", "__Host-clubhouse_browser"}
    for line in found:
        attributes = {part.strip().lower() for part in line.split(";")[1:]}
        assert attributes >= {"secure", "httponly", "path=/", "samesite=lax"}, line
        assert not any(part.startswith("domain") for part in attributes), line


def test_http_leads_to_https_and_nothing_leads_to_itself(documented: Front) -> None:
    assert httpx.get(f"{documented.plain}/chat/").headers["location"].startswith("https://")
    with documented.visitor() as visitor:
        answer = visitor.get("/")
    assert answer.status_code == 200
    assert "max-age" in answer.headers["strict-transport-security"]


def test_the_limits_count_the_visitors_address(documented: Front) -> None:
    with documented.visitor(headers={"X-Forwarded-For": "192.0.2.66"}) as visitor:
        assert log_in(visitor, documented.tls, "wrong").status_code == 200
    assert f"Log-in failed: name='alice' address='{VISITOR}'" in documented.site.server.tail()


def test_a_stranger_is_not_believed(documented: Front) -> None:
    site = documented.site.server
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.66"}
    answer = httpx.get(f"{site.url}/accounts/login/", headers=headers)
    assert answer.status_code == 301
    assert "not in HOTCLUB['TRUSTED_PROXIES']" in site.log.read_text()


def test_a_page_of_another_site_is_refused(documented: Front) -> None:
    with documented.visitor() as visitor:
        assert log_in(visitor, "https://evil.example").status_code == 403
        headers = {"Origin": "https://evil.example"}
        command = {"id": 1, "connect": {}}
        assert visitor.post("/connection/http_stream", json=command, headers=headers).status_code == 403
