"""A browser on the explorer: Debian's Chromium, driven by Playwright."""

from contextlib import contextmanager
from pathlib import Path

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@contextmanager
def start_browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as drive:
        window = drive.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield window
        window.close()


@contextmanager
def open_page(window, **how):
    """A page without the cookies of another, and the list of what its console complains of."""
    context = window.new_context(accept_downloads=True, **how)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(120_000)  # of a machine with other work
    messages: list[str] = []
    page.on("console", lambda m: messages.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda problem: messages.append(str(problem)))
    yield page, messages
    context.close()


@contextmanager
def browser(**how):
    with start_browser() as window, open_page(window, **how) as page:
        yield page


def ready(page, address):
    """Opens the page and waits until the first image is chosen."""
    page.goto(address)
    page.wait_for_selector("#original:not([hidden])", timeout=120_000)
    page.wait_for_selector("#near .strip button")


DRAG = """async (dim) => {
  const slider = document.querySelector(`.track input[data-dim="${dim}"]`);
  const image = document.querySelector("#pictures img"), took = [];
  for (let k = 0; k < 40; k++) {
    const start = performance.now();
    const drawn = new Promise((done, lost) => {
      image.addEventListener("load", done, { once: true });
      setTimeout(() => lost(new Error("no picture came within 10 s")), 10_000);
    });
    slider.value = +slider.min + (slider.max - slider.min) * ((k * 7) % 40) / 40;
    slider.dispatchEvent(new Event("input"));
    await drawn;
    took.push(performance.now() - start);
    await new Promise((done) => setTimeout(done, 20));
  }
  return took.sort((a, b) => a - b);
}"""
