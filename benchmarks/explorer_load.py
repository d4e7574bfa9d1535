"""Many clients dragging sliders at once: is a request lost, and does the server grow?

python benchmarks/explorer_load.py runs/digits_vae [clients 32] [seconds 30]

Each client sends its next request when the last is answered. Memory is the server's resident set,
after a warm-up of two seconds and at the end.
"""

import json
import random
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

import psutil


def main(run: str, clients: int = 32, seconds: float = 30.0) -> None:
    words = [sys.executable, "-m", "latentia", "explore", run, "--port", "0"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        while (told := asked(address, "runs")["runs"][0])["state"] == "reading":
            time.sleep(0.2)
        process = psutil.Process(server.pid)
        drag(address, told["latent"], clients, 2.0)
        before = process.memory_info().rss
        took, lost = drag(address, told["latent"], clients, seconds)
        grown = (process.memory_info().rss - before) / 1e6
        print(f"{clients} clients, {seconds:g} s: {len(took):,} answered, {lost} lost")
        print(f"median {1000 * statistics.median(took):.0f} ms, slowest {1000 * max(took):.0f} ms")
        print(f"server grew by {grown:.1f} MB")
    finally:
        server.kill()


def drag(address: str, d: int, clients: int, seconds: float) -> tuple[list[float], int]:
    """Seconds that each request took, and how many failed."""
    end, took, lost = time.monotonic() + seconds, [], []

    def client() -> None:
        while (start := time.monotonic()) < end:
            try:
                asked(address, "decode", {"latents": [[random.gauss(0, 1) for _ in range(d)]]})
                took.append(time.monotonic() - start)
            except OSError as problem:
                lost.append(problem)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return took, len(lost)


def asked(address: str, path: str, body: dict | None = None) -> dict:
    content = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{address}api/{path}", content, headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:4]))
