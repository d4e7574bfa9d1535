"""The explorer among clients that are silent, busy, wrong, or at another beta."""

import http.client
import json
import socket
import statistics
import threading
import time
from urllib.parse import urlsplit

import pytest

from latentia.explorer import connections, routes, worker

HALF_OPEN, BUSY = 64, 64
HEAD = b"POST /api/decode HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"


def connect(address):
    parts = urlsplit(address)
    return socket.create_connection((parts.hostname, parts.port), timeout=120)


def ask(address, method="GET", path="/", body=None, timeout=120):
    """Status, text and seconds of one request on a new connection."""
    start, parts = time.perf_counter(), urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        headers = {} if body is None else {"content-type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), time.perf_counter() - start
    finally:
        connection.close()


def wait_until(holds, seconds=120):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_connection_that_sends_nothing_is_dropped(live, monkeypatch):
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.4)
    address = live("vae")
    for begin in (b"", b"GET / HT", HEAD, HEAD + b"content-length: 100\r\n\r\n{"):
        with connect(address) as client:
            client.sendall(begin)
            start = time.perf_counter()
            try:
                rest = client.recv(100)  # it has the client's own time-out
            except ConnectionResetError:
                rest = b""
            assert rest == b""
            assert time.perf_counter() - start > 0.3
    assert ask(address)[0] == 200


def test_a_client_that_awaits_its_answer_is_not_dropped(live, monkeypatch):
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.2)
    address = live("vae")
    real = worker.Worker.run_async

    async def wait(self, *call):
        time.sleep(0.5)
        return await real(self, *call)

    monkeypatch.setattr(worker.Worker, "run_async", wait)
    assert ask(address, "POST", "/api/sample", {"n": 1})[0] == 200


def test_the_number_of_connections_is_bounded(live, monkeypatch):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 5)
    address = live("vae")
    clients = [connect(address) for _ in range(5)]
    with connect(address) as one_more:
        answer = one_more.recv(1000)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"The explorer has too many connections; try again in a minute." in answer
    for client in clients:
        client.close()
    wait_until(lambda: ask(address)[0] == 200)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\norigin: http://[\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: [\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: http://[::1\r\norigin: [::\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: 127.0.0.1:99999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: \xff\xfe\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET http://[/ HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
        b"GET /%ff%fe%00 HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
        b"GET /?token=%ff HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\ncookie: " + b"a" * 300_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\ncookie: \x01=\xff; latentia-client-1=\xe4\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 1000 + b"\r\n\r\n",
        b"POST /api/decode HTTP/9.9\r\nhost: 127.0.0.1\r\n\r\n",
        HEAD + b"content-length: " + b"9" * 19 + b"\r\n\r\n",
        HEAD + b"content-length: " + b"9" * 6000 + b"\r\n\r\n",
        HEAD + b"content-length: -1\r\n\r\n",
        HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n{}",
        HEAD + b"content-length: 100000\r\n\r\n" + b"[" * 100_000,
        HEAD + b'content-length: 200011\r\n\r\n{"latents":' + b"[" * 200_000,
        HEAD + b'content-length: 6013\r\n\r\n{"latents": ' + b"9" * 6000 + b"}",
        HEAD + b"content-length: 3\r\n\r\n\xff\xfe\xfd",
        HEAD + b'content-length: 27\r\n\r\n{"latents":[["\\ud800"]]    }',
    ],
)
@pytest.mark.parametrize("half_closed", [False, True])
def test_a_request_that_is_wrong_is_refused_and_others_are_served(
    address, request_bytes, half_closed, caplog
):
    with connect(address) as client:
        try:
            client.sendall(request_bytes)
            if half_closed:
                client.shutdown(socket.SHUT_WR)
            answer = client.recv(1000)
        except OSError:  # refused before it was read to its end, or closed before our half
            answer = b""
    assert not answer or answer[9:10] in (b"2", b"4"), answer
    assert not [record for record in caplog.records if record.exc_info]
    assert ask(address)[0] == 200


def test_each_request_has_its_own_beta(served, monkeypatch):
    """Also while others ask at other betas, and after latents of a beta were dropped."""
    monkeypatch.setattr(routes, "MAX_BETAS", 2)
    client, image = served("many", "vae"), {"index": 3}

    def encode(beta=None):
        return client.post("/api/encode", json={"image": image, "beta": beta}).json()["nats"]

    def read(beta):
        betas = json.dumps({0: beta})
        return client.get("/api/runs", params={"betas": betas}).json()["runs"][0]["state"]

    first = encode()
    wait_until(lambda: read(0.1) == "ready")
    assert encode(0.1) != first
    assert encode() == encode(1.0) == first
    assert read(0.1) == "ready"
    assert len({encode(beta) for beta in (None, 0.1, 0.5, 4.0)}) == 4
    assert read(0.1) == "reading"  # two others are newer
    wait_until(lambda: read(0.1) == "ready")
    body = {"image": image, "n": 48}
    near = [client.post("/api/nearest", json={**body, "beta": b}).json() for b in (None, 0.1)]
    assert near[0] != near[1]
    assert "--beta 0.1" in near[1]["command.png"]


def test_beside_many_clients_page_and_status_come_at_once(command):
    """64 half-open connections, 64 clients that ask without a pause: answered, or told busy."""
    process, address = command("many", "vae", "--port", "0")
    while '"reading"' in ask(address, path="/api/runs")[1]:
        time.sleep(0.2)
    silent = [connect(address) for _ in range(HALF_OPEN)]
    for k, client in enumerate(silent):
        client.sendall(HEAD[: k % len(HEAD)])
    results, stop = [], threading.Event()
    questions = [
        ("/api/sample", {"n": 16}), ("/api/decode", {"run": 1, "latents": [[0, 0, 0, 0]] * 64}),
        ("/api/nearest", {"image": {"index": 3}}), ("/api/map", {"kind": "pca"}),
        ("/api/walk", {"images": [{"index": 1}, {"index": 2}], "steps": 20}),
    ]  # fmt: skip

    def work(number):
        while not stop.is_set():
            path, body = questions[number % len(questions)]
            results.append(ask(address, "POST", path, body))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(BUSY)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    pages = []
    for _ in range(5):
        pages += [ask(address), ask(address, path="/api/runs")]
        time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join()
    for client in silent:
        client.close()
    assert {status for status, *_ in pages} == {200}
    assert {status for status, *_ in results} <= {200, 503}
    assert any(status == 200 for status, *_ in results)
    for status, text, _ in results:
        assert status == 200 or "The explorer is busy" in json.loads(text)["detail"]
    assert process.is_alive()
    seconds = {"page": [s for *_, s in pages], "answer": [s for *_, s in results]}
    print({name: (statistics.median(each), max(each)) for name, each in seconds.items()})
    assert statistics.median(seconds["page"]) < 1  # the slowest are those of other tests' load
    assert statistics.median(seconds["answer"]) < 3
