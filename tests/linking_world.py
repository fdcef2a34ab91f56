"""An amoCRM with OAuth and a product whose web side it reaches, for tests of several packages.

The web server stands before the product does, because amoCRM must know the address of the redirect.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests
from kopilka_testing import ACCOUNT_ID, CRM_TOKEN, ROOT, SUBDOMAIN, programme_with_token, start_simulator
from werkzeug.serving import make_server

from flows.runtime import Runtime
from webhooks.app import create_app

CLIENT_ID = "11111111-2222-4333-8444-555555555555"
CLIENT_SECRET = "tests-client-secret"


@dataclass
class Stage:
    """amoCRM at `crm_url`, the product's web side at `public_url` once an `app` stands behind it. `given`: the
    product's environment."""

    crm_url: str
    public_url: str
    app: list[Callable[..., Iterable[bytes]]] = field(default_factory=list)
    given: Mapping[str, str] = field(default_factory=dict)

    def open(self, rt: Runtime) -> None:
        self.app[:] = [create_app(rt)]

    def shut(self) -> None:
        self.app.clear()

    def crm(self, method: str, path: str, body: Any = None) -> Any:
        reply = requests.request(method, self.crm_url + path, json=body, timeout=10)
        assert reply.status_code < 300, f"{method} {path}: {reply.status_code} {reply.text[:300]}"
        return reply.json() if reply.content else None

    def hooks(self) -> list[dict[str, Any]]:
        return list(self.crm("GET", "/sim/hooks")["hooks"])

    def api(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {CRM_TOKEN}"}
        reply = requests.request(method, f"{self.crm_url}/api/v4{path}", json=body, headers=headers, timeout=10)
        assert reply.status_code < 300, f"{method} {path}: {reply.status_code} {reply.text[:300]}"
        return reply.json() if reply.content else None

    def allow(self, grant_url: str, answer: str = "allow") -> str:
        """The owner presses a button of the grant page; the address to which his browser is sent."""
        state = dict(parse_qsl(urlsplit(grant_url).query))["state"]
        form = {"state": state, "answer": answer}
        reply = requests.post(f"{self.crm_url}/oauth", data=form, allow_redirects=False, timeout=10)
        assert reply.status_code == 302
        return reply.headers["Location"]


@contextmanager
def stage_at(folder: Path) -> Iterator[Stage]:
    """Both servers; nothing of ours stands behind the web server yet."""
    stage = Stage("", "")

    def serve(environ: Any, start_response: Any) -> Iterable[bytes]:
        if not stage.app:
            start_response("502 Bad Gateway", [("Content-Length", "0")])
            return []
        return stage.app[0](environ, start_response)

    server = make_server("127.0.0.1", 0, serve, threaded=True)
    stage.public_url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    config = folder / "linking.json"
    crm = {
        "subdomain": SUBDOMAIN,
        "account_id": ACCOUNT_ID,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uri": f"{stage.public_url}/amocrm/oauth",
        "long_lived_token": CRM_TOKEN,
        "requests_per_second": 0,
    }
    config.write_text(json.dumps({"crm": crm}))
    try:
        process, stage.crm_url = start_simulator("crm", folder, config)
        try:
            yield stage
        finally:
            process.terminate()
            process.wait(10)
            assert process.stdout is not None
            process.stdout.close()
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def settings_for(
    stage: Stage, environment: Mapping[str, str], folder: Path, *, oauth: bool, **names: str
) -> dict[str, str]:
    """The environment of a product on this stage. `names` replace texts of the rules file."""
    given = {**environment, "PUBLIC_URL": stage.public_url, "AMOCRM_BASE_URL": stage.crm_url}
    given.pop("DEMO_WALLET_DIR", None)
    if oauth:
        text = (ROOT / "config" / "programme.yaml").read_text(encoding="utf-8")
        text = text.replace("https://bonus.sportgory.ru/amocrm/oauth", f"{stage.public_url}/amocrm/oauth")
        given |= {"AMOCRM_CLIENT_ID": CLIENT_ID, "AMOCRM_CLIENT_SECRET": CLIENT_SECRET}
    else:
        text = programme_with_token(folder).read_text(encoding="utf-8")
    for old, new in names.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "linking.yaml"
    path.write_text(text, encoding="utf-8")
    return {**given, "PROGRAMME": str(path)}


def with_query(url: str, **changed: str | None) -> str:
    """The address with some of its parameters changed, or taken away by None."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), **changed}
    return parts._replace(query=urlencode({name: value for name, value in query.items() if value is not None})).geturl()
