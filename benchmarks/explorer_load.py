"""Measure the explorer under load: lost requests and the growth of the server's memory.

python benchmarks/explorer_load.py runs/digits_vae [--clients 32] [--seconds 30]

Many clients move sliders at the same time. Each client sends its next request when the previous one
is answered. Memory is the resident set of the server, after two seconds of warm-up and at the end.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

import psutil


def main(run: str, clients: int, seconds: float) -> None:
    command = [sys.executable, "-m", "latentia", "explore", run, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        while (summary := request_json(address, "runs")["runs"][0])["state"] == "reading":
            time.sleep(0.2)
        process = psutil.Process(server.pid)
        move_sliders(address, summary["latent"], clients, 2.0)
        before = process.memory_info().rss
        times, lost = move_sliders(address, summary["latent"], clients, seconds)
        growth = (process.memory_info().rss - before) / 1e6
        print(f"{clients} clients, {seconds:g} s: {len(times):,} answered, {lost} lost")
        print(
            f"median {1000 * statistics.median(times):.0f} ms, slowest {1000 * max(times):.0f} ms"
        )
        print(f"server grew by {growth:.1f} MB")
    finally:
        server.kill()


def move_sliders(address: str, d: int, clients: int, seconds: float) -> tuple[list[float], int]:
    """Return the seconds of each request, and the number of failed requests."""
    end, times, lost = time.monotonic() + seconds, [], []

    def client() -> None:
        while (start := time.monotonic()) < end:
            try:
                request_json(
                    address, "decode", {"latents": [[random.gauss(0, 1) for _ in range(d)]]}
                )
                times.append(time.monotonic() - start)
            except OSError as problem:
                lost.append(problem)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, len(lost)


def request_json(address: str, path: str, body: dict | None = None) -> dict:
    content = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{address}api/{path}", content, headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=30.0)
    main(**vars(parser.parse_args()))
