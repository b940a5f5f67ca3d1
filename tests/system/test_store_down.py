"""One of two stores is down at start, comes back, and goes down again: the rest is served, and no restart is needed."""

from __future__ import annotations

import http.client
import json
import urllib.request
from pathlib import Path

from tests.support.footprint import eventually
from tests.support.raw_http import Api
from tests.support.service import HOST, Service, free_port
from tests.system.conftest import StartService

DATA = b"data" * 1000
TO_FAR = {"X-Image-Meta-Store": "far"}


def reasons(service: Service) -> list[str]:
    connection = http.client.HTTPConnection(HOST, service.port, timeout=20)
    try:
        connection.request("GET", "/healthcheck", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200
        return json.loads(answer.read())["reasons"]
    finally:
        connection.close()


def test_a_store_comes_and_goes(start_service: StartService, tmp_path: Path) -> None:
    metrics, far, away = free_port(), tmp_path / "far", tmp_path / "away"
    service = start_service(
        options={
            "glimpse": {"store_probe_interval": 0.2, "metrics_port": metrics},
            "DEFAULT": {"enabled_backends": "near:file,far:file"},
            "glance_store": {"default_backend": "near"},
            "near": {"filesystem_store_datadir": tmp_path / "near"},
            "far": {"filesystem_store_datadir": far},
        }
    )

    def up(store: str) -> str:
        with urllib.request.urlopen(f"http://{HOST}:{metrics}/metrics", timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        return next((line.split()[-1] for line in lines if line.startswith(f'glimpse_store_up{{store="{store}"}}')), "")

    api = Api(service.port)
    near, distant = api.new(), api.new()
    assert api.upload(near, DATA).status == 204
    assert api.upload(distant, DATA, TO_FAR).status == 204
    assert eventually(lambda: (up("near"), up("far")) == ("1.0", "1.0"), 20)
    service.stop()
    far.rename(away)

    service.start()
    assert eventually(lambda: reasons(service) == ["OK", "Store far is down"], 20)
    assert eventually(lambda: (up("near"), up("far")) == ("1.0", "0.0"), 20)
    assert api.download(near).body == DATA
    assert api.download(distant).status == 503
    assert api.upload(api.new(), DATA, TO_FAR).status == 503
    assert api.upload(api.new(), DATA).status == 204
    assert service.log.count("Store far is down: ") == 1
    far.rmdir()
    away.rename(far)
    assert eventually(lambda: reasons(service) == ["OK"], 20)
    assert service.log.count("Store far works again after ") == 1
    assert api.download(distant).body == DATA

    far.rename(away)
    assert eventually(lambda: reasons(service) == ["OK", "Store far is down"], 20)
    assert api.delete(distant).status == 204, "the copy waits for its store"
    away.rename(far)
    assert eventually(lambda: not (far / distant).exists(), 60)
    assert eventually(lambda: reasons(service) == ["OK"], 20)
    assert service.log.count("Store far is down: ") == 2
