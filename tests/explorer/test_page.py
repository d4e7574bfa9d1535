"""The page in a browser: every feature once, a quiet console, a server that dies and comes back."""

import base64
import math
import re
import shlex
import statistics
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from PIL import Image

pytest.importorskip("playwright", reason="playwright is not installed")
from driver import CHROMIUM, DRAG, open_page, ready, start_browser

from latentia.cli.main import main
from legible import contrast

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no Chromium at {CHROMIUM}")


CLIPBOARD = """() => Promise.race([navigator.clipboard.readText(),
  new Promise((_, lost) => setTimeout(() => lost(new Error("a silent clipboard")), 10_000))])"""


@pytest.fixture(scope="module")
def window():
    """One browser for all tests; each opens a page of its own."""
    with start_browser() as window:
        yield window


def source(page, where):
    return page.get_attribute(where, "src")


def changed(page, where, before):
    page.wait_for_function(
        "([where, before]) => { const image = document.querySelector(where);"
        " return image && image.src && image.src !== before; }",
        arg=[where, before],
    )
    return source(page, where)


def reproduced(page, figure, saver, tmp_path, monkeypatch, place):
    """The copied command, run, writes the very file that the page saves."""
    page.click(f"{figure} .copy")
    page.wait_for_function(
        "() => document.getElementById('status').textContent.startsWith('Copied')"
    )
    words = shlex.split(page.evaluate(CLIPBOARD))
    with page.expect_download() as got:
        page.click(f"{figure} {saver}")
    saved = tmp_path / "saved"
    got.value.save_as(saved)
    out = tmp_path / f"made{saver[-4:]}"
    monkeypatch.chdir(place)
    assert main([*words[1:-1], str(out)]) == 0
    assert saved.read_bytes() == out.read_bytes(), words
    return out


def test_every_feature_of_the_page(window, place, command, tmp_path, monkeypatch):
    process, address = command("vae", "prior", "gan")
    with open_page(window, viewport={"width": 1280, "height": 900}) as (page, messages):
        ready(page, address)

        big = "#pictures img"  # sliders: the picture follows, and is what the command makes
        before = source(page, big)
        slider = page.locator(".track input").first
        slider.focus()
        for _ in range(30):
            page.keyboard.press("ArrowRight")
        changed(page, big, before)
        page.wait_for_timeout(400)  # until the last step's picture is there
        now = source(page, big)
        out = reproduced(page, "#picture-0", ".save\\.png", tmp_path, monkeypatch, place)
        tile = np.asarray(Image.open(out).convert("L"))[2:226, 2:226]
        (tmp_path / "shown.png").write_bytes(base64.b64decode(now.split(",")[1]))
        with Image.open(tmp_path / "shown.png") as image:
            np.testing.assert_array_equal(tile[::7, ::7], np.asarray(image))
        with page.expect_download() as got:
            page.click("#picture-0 .save-latents")
        got.value.save_as(tmp_path / "latents.json")
        words = ["decode", "vae", "--latents", str(tmp_path / "latents.json")]
        assert main([*words, "--out", str(tmp_path / "again.png")]) == 0
        assert (tmp_path / "again.png").read_bytes() == out.read_bytes()
        page.click("#to-image")
        changed(page, big, now)
        page.click("#to-zero")
        page.wait_for_timeout(200)

        place_on = {"x": 150, "y": 150}  # the map: pointing decodes, a click takes
        page.hover("#canvas", position=place_on)
        page.wait_for_selector("#lens img:not([hidden])")
        assert "label" in (page.text_content("#tip") or "")
        reproduced(page, "#lens", ".save\\.png", tmp_path, monkeypatch, place)
        chosen = source(page, "#original")
        page.click("#canvas", position=place_on)
        changed(page, "#original", chosen)
        page.select_option("#plane", "dims")
        page.select_option("#dim-x", index=2)
        page.wait_for_function("() => document.getElementById('axes').textContent.includes('z ')")
        page.focus("#canvas")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        page.wait_for_timeout(300)
        if find_spec("umap"):
            page.select_option("#plane", "umap")
            page.wait_for_function(
                "() => document.getElementById('axes').textContent.includes('UMAP')",
                timeout=300_000,  # its first call is compiled
            )
        else:  # it is not offered
            assert page.locator("#plane option").all_inner_texts() == [
                "principal axes",
                "two dimensions",
            ]
        page.select_option("#plane", "pca")
        page.wait_for_function(
            "() => document.getElementById('axes').textContent.includes('princ')"
        )
        assert not page.text_content("#map-problem")

        for figure in ("#pair", "#near"):
            reproduced(page, figure, ".save\\.png", tmp_path, monkeypatch, place)
        page.click("#as-a")  # the walk
        chosen = source(page, "#original")
        page.click("#near .strip button >> nth=7")
        changed(page, "#original", chosen)
        page.click("#as-b")
        page.wait_for_selector("#path:not([hidden])")
        page.select_option("#line", "spherical")
        page.wait_for_function(
            "() => document.getElementById('path').dataset.command.includes('--spherical')"
        )
        page.focus("#scrub")
        page.keyboard.press("ArrowRight")
        assert page.get_attribute("#frame", "alt") == "step 1"
        reproduced(page, "#path", ".save\\.gif", tmp_path, monkeypatch, place)

        first = source(page, "#samples img")  # samples
        page.click("#another")
        changed(page, "#samples img", first)
        reproduced(page, "#samples", ".save\\.png", tmp_path, monkeypatch, place)

        chosen = source(page, "#original")  # an image of one's own
        monkeypatch.chdir(place)
        Image.effect_noise((40, 30), 60).save(place / "mine.png")
        page.set_input_files("#file", str(place / "mine.png"))
        changed(page, "#original", chosen)
        page.wait_for_function(
            "() => document.getElementById('about-image').textContent.includes('mine')"
        )
        page.wait_for_timeout(300)
        reproduced(page, "#pair", ".save\\.png", tmp_path, monkeypatch, place)

        page.select_option("#beside", "1")  # two runs side by side on the same input
        page.wait_for_selector("#picture-1 img:not([hidden])")
        assert source(page, "#picture-1 img").startswith("data:image/png")
        page.select_option("#run", "1")  # a learned prior, its condition and options
        page.wait_for_selector("#cond button")
        page.wait_for_function("() => document.querySelectorAll('#samples img').length === 16")
        page.select_option("#option-sampler", "ddim")
        page.fill("#option-steps", "3")
        page.click("#cond button >> nth=3")
        page.wait_for_function(
            "() => (document.getElementById('samples').dataset.command || '').includes('--cond 3')"
            " && document.getElementById('samples').dataset.command.includes('--steps 3')"
        )
        reproduced(page, "#samples", ".save\\.png", tmp_path, monkeypatch, place)
        page.select_option("#prior", "standard")
        page.wait_for_function(
            "() => document.getElementById('samples').dataset.command.includes('/autoencoder')"
        )
        page.select_option("#run", "2")  # a GAN
        page.wait_for_function(
            "() => document.getElementById('notes').textContent.includes('only draws images')"
        )
        assert page.is_hidden("#map")
        assert messages == []

        page.select_option("#run", "0")  # the server dies, and comes back
        page.wait_for_selector("#canvas")
        process.kill()
        process.join()
        page.click("#another")
        page.wait_for_selector("#down:not([hidden])")
        assert "does not answer" in (page.text_content("#down") or "")
        messages.clear()
        port = address.rsplit(":", 1)[1].strip("/")
        command("vae", "prior", "gan", "--port", port)
        page.wait_for_selector("#down", state="hidden")
        took = page.evaluate(DRAG, page.get_attribute(".track input >> nth=0", "data-dim"))
        print(f"slider to picture: median {statistics.median(took):.1f} ms, worst {took[-1]:.1f}")


def test_another_run_that_is_read_disturbs_nothing(window, live):
    address = live("vae", "prior")
    with open_page(window, viewport={"width": 1280, "height": 900}) as (page, messages):
        held = {"reading": True}

        def answer(route):
            reply = route.fetch().json()
            reply["runs"][1]["state"] = "reading" if held["reading"] else "ready"
            route.fulfill(json=reply)

        page.route("**/api/runs*", answer)
        ready(page, address)
        page.click("#as-a")
        page.select_option("#beside", "1")
        page.wait_for_selector("#picture-1 img:not([hidden])")
        page.evaluate("for (const each of document.querySelectorAll('figure')) each.mine = true")
        held["reading"] = False
        with page.expect_response(
            lambda r: "/api/runs" in r.url and r.json()["runs"][1]["state"] == "ready"
        ):
            pass
        page.wait_for_timeout(300)
        for figure in ("#picture-0", "#picture-1"):
            assert page.evaluate(f"document.querySelector('{figure}').mine")
            assert page.is_visible(f"{figure} img")
        assert page.is_visible("#end-a")
        assert page.input_value("#beside") == "1"
        assert messages == []


def test_beta_is_turned_and_the_picture_and_the_map_follow(window, live):
    address = live("many")
    with open_page(window, viewport={"width": 1280, "height": 900}) as (page, messages):
        ready(page, address)
        big = "#pictures img"
        before = source(page, big)
        assert page.locator("#beta-now").text_content() == "1"
        page.locator("#beta").focus()
        page.keyboard.press("Home")
        changed(page, big, before)
        assert page.locator("#beta-now").text_content() == "0.1"
        page.wait_for_selector("#legend li")
        assert "--beta 0.1" in page.get_attribute("#picture-0", "data-command")
        assert not messages


def draw_circle(page, share, radius):
    """A lasso with the mouse, around a point at this share of the map's width and height."""
    box = page.locator("#canvas").bounding_box()
    x, y = box["x"] + share[0] * box["width"], box["y"] + share[1] * box["height"]
    page.mouse.move(x + radius, y)
    page.mouse.down()
    for k in range(1, 33):
        angle = 2 * math.pi * k / 32
        page.mouse.move(x + radius * math.cos(angle), y + radius * math.sin(angle))
    page.mouse.up()


@pytest.mark.parametrize("width", [1200, 400])
def test_images_are_shown_found_selected_and_saved_on_the_map(window, live, tmp_path, width):
    address = live("vae")
    with open_page(window, viewport={"width": width, "height": 900}) as (page, messages):
        ready(page, address)
        page.wait_for_selector("#legend button")
        page.hover("#canvas", position={"x": 150, "y": 150})
        page.wait_for_selector("#tip img:not([hidden])")
        name = re.match(r"\d/\d{3}\.png", page.text_content("#tip") or "")
        assert name
        tip, field = (page.locator(each).bounding_box() for each in ("#tip", "#field"))
        assert tip["x"] >= field["x"]
        assert tip["x"] + tip["width"] <= field["x"] + field["width"]
        chosen = source(page, "#tip img")
        page.fill("#find", name[0][:-4])  # the key without its end
        page.wait_for_selector("#sheet button")
        assert page.text_content("#selected") == "1 of 300 images selected"
        assert source(page, "#sheet img") == chosen
        page.press("#find", "Enter")
        page.wait_for_function(
            "(name) => document.getElementById('about-image').textContent.includes(name)",
            arg=name[0],
        )
        page.wait_for_function(  # the last word of the choice, before another is made
            "(name) => document.getElementById('status').textContent.includes(name)", arg=name[0]
        )
        page.fill("#find", "nowhere")
        page.wait_for_selector("#selection", state="hidden")
        assert page.text_content("#status") == "No key contains “nowhere”."

        page.locator("#canvas").scroll_into_view_if_needed()
        before = page.text_content("#about-image")
        draw_circle(page, (0.5, 0.5), 60)
        page.wait_for_selector("#sheet button")
        assert page.input_value("#find") == ""
        count = int((page.text_content("#selected") or "").split()[0])
        assert 0 < count < 300
        assert page.text_content("#about-image") == before  # a drag is no click
        with page.expect_download() as got:
            page.click("#save-selection")
        assert got.value.suggested_filename == "vae-selection.csv"
        got.value.save_as(tmp_path / "selection.csv")
        keys = pd.read_csv(tmp_path / "selection.csv")["key"]
        assert len(keys) == count
        places = page.evaluate(
            "() => page.map.places.map((p, k) => [measureMap().to(p), page.map.called[k]])"
        )
        box = page.locator("#canvas").bounding_box()
        middle = box["width"] / 2, box["height"] / 2
        distances = {key: math.dist(point, middle) for point, key in places}
        assert {key for key, each in distances.items() if each < 58} <= {*keys}
        assert {*keys} <= {key for key, each in distances.items() if each < 61}
        page.click("#clear-selection")
        page.wait_for_selector("#selection", state="hidden")

        page.click("#legend button >> nth=3")  # a class of the legend
        page.wait_for_selector("#sheet button")
        assert "label: 3 " in (page.text_content("#about-selection") or "")
        page.focus("#canvas")
        page.keyboard.press("Escape")
        page.wait_for_selector("#selection", state="hidden")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press(" ")
        page.wait_for_selector("#sheet button")
        assert page.text_content("#selected") == "1 of 300 images selected"
        for column, legend in (("mse", "≥"), ("distance", "≤"), ("split", "validation")):
            page.select_option("#column", column)
            page.wait_for_function(
                "([column, text]) => page.map.column === column"
                " && document.getElementById('legend').textContent.includes(text)",
                arg=[column, legend],
            )
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert messages == []


def test_the_latest_choice_wins_although_an_earlier_answer_comes_later(window, live):
    address = live("vae")
    with open_page(window) as (page, messages):
        ready(page, address)
        page.wait_for_selector("#legend button")
        answers = []

        def hold(route):  # the answer about mse waits for that about split
            if route.request.post_data_json["column"] == "mse":
                answers.append((route, route.fetch()))
            else:
                route.continue_()

        page.route("**/api/map", hold)
        page.select_option("#column", "mse")
        page.select_option("#column", "split")
        page.wait_for_function("() => page.map.column === 'split'")
        ((route, answer),) = answers
        with page.expect_response("**/api/map"):
            route.fulfill(response=answer)
        page.evaluate("() => new Promise((ready) => setTimeout(ready, 50))")
        assert page.evaluate("page.map.column") == page.input_value("#column") == "split"
        assert "validation" in (page.text_content("#legend") or "")
        assert messages == []


def test_nothing_is_wider_than_a_phone(window, live):
    address = live("lost")
    with open_page(window, viewport={"width": 390, "height": 800}) as (page, messages):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.goto(address)
            page.wait_for_selector("#pictures img:not([hidden])")
            assert "cannot be found here" in (page.text_content("#notes") or "")
            assert page.evaluate("document.documentElement.scrollWidth") == 390
            assert messages == []


def test_marks_on_the_map_stand_out_from_it(window, live):
    address, cards = live("vae"), set()
    with open_page(window) as (page, _):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            ready(page, address)
            page.wait_for_selector("#legend i")
            marks = page.evaluate(f"[...document.querySelectorAll('#legend i')].map({COLOUR})")
            (card,) = page.evaluate(f"[document.getElementById('field')].map({COLOUR})")
            cards.add(card[1])
            assert len({mark for mark, _ in marks}) == 10
            least = min(contrast(shares(mark), shares(card[1])) for mark, _ in marks)
            assert least > 3, scheme  # WCAG's for marks
    assert len(cards) == 2


COLOUR = "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"


def shares(colour):
    """Of rgb(255, 0, 0) or color(srgb 1 0 0)."""
    return [
        float(each) / (255 if colour.startswith("rgb") else 1)
        for each in re.findall(r"[\d.]+", colour)[:3]
    ]
