"""Every route of the explorer, every refusal; each picture is the one its command makes."""

import asyncio
import base64
import io
import json
import shlex
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

import latentia
from latentia.cli.main import main
from latentia.explorer import summary
from latentia.explorer.server import open_sessions
from latentia.explorer.session import RunSession
from latentia.explorer.worker import Worker
from latentia.latents.traversal import interval_probabilities, mixture_quantiles
from latentia.runs.folder import RunFolder

JSON = {"content-type": "application/json"}


def pixels(address):
    """Of an image in an answer, uint8."""
    content = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)))


def file(size=(20, 30), kind="png", mode="L"):
    image = Image.effect_noise(size, 60).convert(mode)
    out = io.BytesIO()
    image.save(out, kind)
    return {"file": base64.b64encode(out.getvalue()).decode(), "name": "mine.png"}


def post(client, path, status=200, /, **body):
    answer = client.post(f"/api/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_the_page_and_its_files_come_without_a_build_step(served):
    client = served("vae")
    for path, kind in (("/", "text/html"), ("/explorer.css", "text/css"), ("/explorer.js", "java")):
        answer = client.get(path)
        assert answer.status_code == 200
        assert kind in answer.headers["content-type"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "http://" not in answer.text.replace("http://www.w3.org", "")
        assert "https://" not in answer.text
    assert client.get("/run.json").status_code == 404
    assert client.get("/..%2fapp.py").status_code == 404
    page = client.get("/").content
    for path in ("routes.py", "explorer.js", "/etc/passwd", "../core/errors.py"):
        for name in ("name", "file", "path"):
            assert client.get("/", params={name: path}).content == page


def test_the_learned_prior_is_opened_in_place_of_its_run(place, capsys, monkeypatch):
    def list_opened(*names):
        sessions = open_sessions([str(place / name) for name in names], None, "all", Worker())
        return [session.run.path.name for session in sessions]

    assert list_opened("vae", "gan", "many") == ["prior", "gan", "many"]
    assert list_opened("vae", "prior") == ["vae", "prior"]
    monkeypatch.chdir(place)
    both = open_sessions(["vae", str(place / "prior")], None, "all", Worker())
    assert [session.run_argument for session in both] == ["vae", str(place / "prior")]
    monkeypatch.setattr("latentia.explorer.server.open_listener", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["explore", "vae", "gan"])
    assert capsys.readouterr().err == (
        "Opened prior, which has the coordinates of vae and a learned prior.\n"
    )
    weights = place / "prior" / "weights.safetensors"
    content = weights.read_bytes()
    try:
        weights.write_bytes(content[:100])  # the run itself can be opened
        assert list_opened("vae") == ["vae"]
    finally:
        weights.write_bytes(content)


def test_runs_are_told_with_their_dimensions_by_rate(served, place):
    vae, prior, gan = served("vae", "prior", "gan").get("/api/runs").json()["runs"]
    rates = [dim["rate"] for dim in vae["dims"]]
    assert rates == sorted(rates, reverse=True)
    assert {dim["dim"] for dim in vae["dims"]} == set(range(4))
    assert [dim["dead"] for dim in vae["dims"]] == [rate < 0.01 for rate in rates]
    assert all(max(dim["bars"]) == 1 and dim["low"] < dim["high"] for dim in vae["dims"])
    assert vae["columns"]["label"] == [str(k) for k in range(10)]
    assert vae["prior"]["advice"] == " For samples of a learned prior: choose the run prior"
    (vae,) = served("vae").get("/api/runs").json()["runs"]
    command = shlex.join(["latentia", "explore", str(place / "prior")])
    assert vae["prior"]["advice"] == f" For samples of a learned prior: {command}"
    assert gan["prior"] == {"learned": False, "name": "N(0, I)", "advice": ""}
    assert prior["prior"]["condition"] == "class"
    options = {each["name"]: each for each in prior["prior"]["options"]}
    assert options["sampler"]["choices"] == ["ddpm", "ddim", "euler", "heun"]
    assert options["steps"]["low"] == 1
    assert gan["latent"] is None
    assert gan["dims"] == []


def test_a_histogram_is_the_mass_of_the_aggregate_posterior():
    edges = np.linspace(-30, 30, 61)
    draw = np.random.default_rng(0)
    mean, sd = draw.normal(size=50), draw.uniform(0.1, 2, 50)
    result = interval_probabilities(mean, sd, edges)
    assert result.sum() == pytest.approx(1, abs=1e-12)
    centres = (edges[:-1] + edges[1:]) / 2
    assert (result * centres).sum() == pytest.approx(mean.mean(), abs=0.02)


def test_decoding_is_the_models_to_the_byte(served, place):
    z = [0.5, -1.25, 0.1, 2.0]
    answer = post(served("vae"), "decode", latents=[z])
    model = latentia.load(place / "vae").model
    expected = (model.decode(torch.tensor([z]))[0, 0] * 255).round().to(torch.uint8).numpy()
    np.testing.assert_array_equal(pixels(answer["images"][0]), expected)


def test_an_image_is_encoded_and_decoded_to_its_reconstruction(served, place):
    client = served("vae")
    for image in ({"index": 7}, file()):
        result = post(client, "encode", image=image)
        pair = post(client, "reconstruct", image=image)["images"]
        assert pair[0] == result["image"]
        decoded = post(client, "decode", latents=[result["latents"]])["images"]
        assert decoded[0] == pair[1]
    own = np.load(place / "order.npy")[7]
    np.testing.assert_array_equal(pixels(post(client, "encode", image={"index": 7})["image"]), own)


def test_neighbours_are_the_nearest_posterior_means(served, place):
    result = post(served("vae"), "nearest", image={"index": 7}, n=5)["near"]
    model = latentia.load(place / "vae").model
    images = torch.from_numpy(np.load(place / "order.npy")[:, None] / np.float32(255))
    mean = model.encode(images).mean
    distance = (mean - mean[7]).norm(dim=1)
    assert [each["index"] for each in result] == distance.argsort()[1:6].tolist()
    keys = RunFolder.open(place / "vae").images().split("all").keys
    assert [each["name"] for each in result] == [keys[each["index"]] for each in result]
    for each in result:
        assert each["distance"] == pytest.approx(float(distance[each["index"]]), abs=1e-4)


def test_a_place_on_the_map_lifts_to_latents_that_project_to_it(served):
    client = served("vae")
    result = post(client, "map", kind="pca", column="label")
    places, axes = np.array(result["places"]), np.array(result["axes"])
    assert len(places) == len(result["rows"]) == len(result["values"]) == 300
    lifted = np.array(result["origin"]) + places @ axes
    np.testing.assert_allclose((lifted - result["origin"]) @ axes.T, places, atol=1e-4)
    np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-5)
    z = post(client, "encode", image={"index": 7})["latents"]
    np.testing.assert_allclose((np.array(z) - result["origin"]) @ axes.T, places[7], atol=1e-3)
    two = post(client, "map", kind="dims", dims=[2, 0])
    np.testing.assert_allclose(np.array(two["places"])[7], [z[2], z[0]], atol=1e-3)


def test_every_picture_is_the_one_its_command_makes(served, place, tmp_path, monkeypatch):
    client = served("vae", "prior")
    Image.effect_noise((40, 30), 60).save(tmp_path / "mine.png")
    mine = base64.b64encode((tmp_path / "mine.png").read_bytes()).decode()
    mine = {"file": mine, "name": "C:\\photos\\mine.png"}
    options = {"sampler": "ddim", "steps": 3, "guidance": 2.0}
    monkeypatch.chdir(tmp_path)
    for path, body in (
        ("decode", {"latents": [[-0.5, 1e-7, 0.123456789, 3]]}),
        ("reconstruct", {"image": {"index": 3}}),
        ("reconstruct", {"image": mine}),
        ("nearest", {"image": {"index": 3}, "n": 4}),
        ("nearest", {"image": mine, "n": 4}),
        ("walk", {"images": [{"index": 3}, mine], "steps": 4, "spherical": True}),
        ("sample", {"n": 5, "seed": 3}),
        ("sample", {"run": 1, "n": 5, "seed": 3, "cond": "3,5", "options": options}),
        ("sample", {"run": 1, "n": 5, "seed": 3, "standard": True}),
        ("decode", {"run": 1, "latents": [[0.5, 1, 2, 3]]}),
        ("reconstruct", {"run": 1, "image": {"index": 3, "of": 0}}),
    ):
        reply = post(client, path, **body)
        for ending in (".png", ".gif"):
            if f"command{ending}" not in reply:
                assert ending == ".gif"
                continue
            words = shlex.split(reply[f"command{ending}"])
            assert words[0] == "latentia"
            assert main(words[1:]) == 0
            saved = client.post(f"/api/{path}", json={**body, "file": ending})
            assert saved.content == (tmp_path / words[-1]).read_bytes(), (path, ending)
    with Image.open(tmp_path / "interpolate.gif") as walk:
        assert walk.n_frames == 6  # pyright: ignore  (4 there, 2 back)


def test_a_run_of_many_betas_answers_for_the_one_that_is_turned_to(
    served, place, tmp_path, monkeypatch
):
    client = served("many", "vae")
    one, other = client.get("/api/runs").json()["runs"]
    assert one["betas"] == {"low": 0.1, "high": 4.0, "now": 1.0}
    assert other["betas"] is None
    image = {"image": {"index": 3}}
    before = post(client, "reconstruct", **image)
    nats = post(client, "encode", **image)["nats"]
    assert post(client, "encode", **image, beta=1.0)["nats"] == nats
    assert post(client, "encode", **image, beta=0.1)["nats"] != nats
    monkeypatch.chdir(tmp_path)
    for path, body in (("reconstruct", image), ("sample", {"n": 4}), ("walk", {"images": [
        {"index": 3}, {"index": 9}]}), ("decode", {"latents": [[0.5, 1, 2, 3]]})):  # fmt: skip
        reply = post(client, path, **body, beta=0.1)
        assert main(shlex.split(reply["command.png"])[1:]) == 0
        saved = client.post(f"/api/{path}", json={**body, "beta": 0.1, "file": ".png"})
        assert saved.content == (tmp_path / shlex.split(reply["command.png"])[-1]).read_bytes()
        if path == "reconstruct":
            assert reply["images"] != before["images"]
    betas = {"betas": '{"0": 0.2}'}
    assert client.get("/api/runs", params=betas).json()["runs"][0]["state"] == "reading"
    assert client.get("/api/runs").json()["runs"][0]["state"] == "ready"
    while (state := client.get("/api/runs", params=betas).json()["runs"][0])["state"] == "reading":
        time.sleep(0.05)
    assert state["betas"]["now"] == 0.2
    assert [dim["rate"] for dim in state["dims"]] != [dim["rate"] for dim in one["dims"]]
    assert len(post(client, "nearest", **image, beta=0.2)["near"]) == 8
    assert "--beta is 9; " in post(client, "encode", 422, **image, beta=9.0)["detail"]
    for beta in (0.0, -1.0, "x"):
        assert "beta: " in post(client, "encode", 422, **image, beta=beta)["detail"]
    refused = post(client, "encode", 422, **image, run=1, beta=0.2)["detail"]
    assert "has learned one beta alone" in refused
    for text in ("0.2", "[0.2]", '{"0": "x"}', '{"0": 9}', '{"1": 0.2}', "{"):
        assert client.get("/api/runs", params={"betas": text}).status_code == 422


def test_saved_latents_are_decoded_by_the_command(served, place, tmp_path):
    rows = [[0.5, -1.25, 0.1, 2.0], [0, 0, 0, 0]]
    reply = post(served("vae"), "decode", latents=rows)
    assert "--latents=latents.json" in reply["command.png"]
    (tmp_path / "latents.json").write_text(json.dumps({"latents": rows}))
    out = tmp_path / "p.npy"
    words = ["decode", str(place / "vae"), "--latents", str(tmp_path / "latents.json")]
    assert main([*words, "--out", str(out)]) == 0
    images = [pixels(image) for image in reply["images"]]
    np.testing.assert_array_equal((np.load(out)[:, 0] * 255).round(), images)


def test_without_its_images_sliders_and_samples_work_and_the_rest_says_why(served):
    client = served("lost")
    run = client.get("/api/runs").json()["runs"][0]
    assert run["state"] == "missing"
    assert "gone) cannot be found here; give them with --data." in run["missing"]
    assert len(run["dims"]) == 4
    assert not run["ranged"]
    post(client, "decode", latents=[[0, 0, 0, 0]])
    post(client, "sample", n=2)
    post(client, "encode", image=file())
    for path, body in (
        ("map", {}), ("nearest", {"image": file()}), ("encode", {"image": {"index": 0}}),
        ("thumbnails", {"rows": [0]}), ("find", {"text": "0"}), ("selection", {"rows": [0]}),
    ):  # fmt: skip
        assert "cannot be found here" in post(client, path, 422, **body)["detail"]


def test_while_images_are_read_the_page_is_told_to_wait(served):
    client = served("vae", read=False)
    assert client.get("/api/runs").json()["runs"][0]["state"] == "reading"
    post(client, "decode", latents=[[0, 0, 0, 0]])
    assert "still being read" in post(client, "map", 422)["detail"]


def test_data_may_be_given_and_stand_in_the_command(served, place):
    client = served("lost", data=str(place / "photos"))
    assert client.get("/api/runs").json()["runs"][0]["state"] == "ready"
    command = post(client, "reconstruct", image={"index": 3})["command.png"]
    assert f"--data {place / 'photos'}" in command


def test_a_column_that_is_not_finite_is_not_offered(served, place, tmp_path):
    """Nowhere finite: a column with some values is offered, and its others have no colour."""
    x, y = np.load(place / "order.npy")[:40], np.arange(40.0)
    np.savez(tmp_path / "all.npz", x=x, y=y)
    y[3] = np.nan
    np.savez(tmp_path / "some.npz", x=x, y=y)
    np.savez(tmp_path / "none.npz", x=x, y=y * np.nan)
    client = served("vae", data=str(tmp_path / "all.npz"))
    assert client.get("/api/runs").json()["runs"][0]["columns"]["label"] is None
    assert post(client, "map", column="label")["values"][:3] == [0, 1, 2]
    client = served("vae", data=str(tmp_path / "some.npz"))
    assert post(client, "map", column="label")["values"][:5] == [0, 1, 2, None, 4]
    client = served("vae", data=str(tmp_path / "none.npz"))
    assert "label" not in client.get("/api/runs").json()["runs"][0]["columns"]
    assert "no column label" in post(client, "map", 422, column="label")["detail"]


def test_a_prior_by_groups_of_latents_is_asked_by_number(served, place, tmp_path, monkeypatch):
    words = ["latent_prior", "--autoencoder", str(place / "vae"), "--width", "16", "--depth", "1"]
    assert main(["train", *words, "--epochs", "1", "--run", str(tmp_path / "groups")]) == 0
    client = served(tmp_path / "groups")
    reply = client.get("/api/runs").json()["runs"][0]["prior"]
    assert reply["condition"] == "class"
    assert reply["classes"][:2] == ["0", "1"]
    monkeypatch.chdir(tmp_path)
    for body in ({"n": 3}, {"n": 3, "cond": "1"}):
        command = shlex.split(post(client, "sample", **body)["command.png"])
        assert main(command[1:]) == 0
        saved = client.post("/api/sample", json={**body, "file": ".png"})
        assert saved.content == (tmp_path / command[-1]).read_bytes()


def test_runs_are_described_beside_the_loop_and_whatever_is_turned_meanwhile(
    served, place, monkeypatch
):
    run = RunSession.open(str(place / "vae"), None, "all", Worker())
    run.load_latents()
    whole = summary.describe_dimensions(run)
    run.cache.clear()

    def turned(*given):
        run.train_latents = run.map_latents = None
        return mixture_quantiles(*given)

    monkeypatch.setattr(summary, "mixture_quantiles", turned)
    assert summary.describe_dimensions(run) == whole

    def apart(run, paths):
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return {}

    monkeypatch.setattr("latentia.explorer.routes.describe_run", apart)
    assert served("vae", read=False).get("/api/runs").json()["runs"] == [{}]


def test_latents_that_are_maps_are_explored_as_vectors_are(served, place):
    small = ["--width", "4", "--latent", "2", "--factor", "8", "--epochs", "1"]
    words = ["image_autoencoder", "--data", str(place / "photos"), "--size", "32", *small]
    assert main(["train", *words, "--run", str(place / "maps")]) == 0
    client = served("maps")
    (reply,) = client.get("/api/runs").json()["runs"]
    assert reply["latent"] == len(reply["dims"]) == 2 * 4 * 4
    result = post(client, "encode", image={"index": 7})
    again = post(client, "decode", latents=[result["latents"]])["images"]
    assert again[0] == post(client, "reconstruct", image={"index": 7})["images"][1]
    assert len(post(client, "sample", n=3)["images"]) == 3


def test_a_gan_only_samples_and_says_so(served):
    client = served("gan")
    post(client, "sample", n=2)
    for path, body in (
        ("decode", {"latents": [[0, 0, 0]]}), ("encode", {"image": file()}), ("map", {}),
        ("walk", {"images": [file(), file()]}),
    ):  # fmt: skip
        assert "has no encoder: mnist_gan only draws" in post(client, path, 422, **body)["detail"]


def test_what_cannot_be_used_is_refused_in_one_sentence(served):
    client = served("vae", "prior")
    big = base64.b64encode(b"\0" * (8 * 2**20 + 1)).decode()
    for path, body, message in (
        ("decode", {"latents": [[0, 0, 0]]}, "not rows of 4 finite numbers"),
        ("decode", {"latents": [[0, 0, 0, 1e9]]}, "not rows of 4 finite numbers"),
        ("decode", {"latents": []}, "latents: "),
        ("decode", {"latents": [[0, 0, 0, 0]] * 65}, "latents: "),
        ("decode", {"latents": "zero"}, "latents: "),
        ("decode", {"latents": [[0, 0, 0, 0]], "run": 2}, "There is no run 2; there are 2"),
        ("decode", {"latents": [[0, 0, 0, 0]], "run": -1}, "run: "),
        ("decode", {"latents": [[0, 0, 0, 0]], "file": ".gif"}, "has no .gif"),
        ("decode", {"latents": [[0, 0, 0, 0]], "path": "/etc/passwd"}, "path: "),
        ("encode", {"image": {"index": 300}}, "no image 300 in split all; it has images 0 to 299"),
        ("encode", {"image": {"index": 0, "of": 5}}, "There is no run 5"),
        ("encode", {"image": {}}, "give an index or a file"),
        ("encode", {"image": {"index": 1, "file": "aaaa"}}, "give an index or a file"),
        ("encode", {"image": {"file": "!", "name": "x"}}, "x cannot be read (0 bytes)"),
        ("encode", {"image": {"file": "aaaa", "name": "x"}}, "x cannot be read"),
        ("encode", {"image": {"file": big, "name": "x"}}, "image.file: "),
        ("encode", {"image": file((8000, 5001), mode="1")}, "8000x5001 pixels; at most 40 million"),
        ("nearest", {"image": {"index": 1}, "n": 10**9}, "n: "),
        ("sample", {"n": 10**9}, "n: "),
        ("sample", {"n": 0}, "n: "),
        ("sample", {"seed": -1}, "seed: "),
        ("sample", {"cond": "3"}, "has no condition"),
        ("sample", {"run": 1, "cond": "/etc/passwd"}, "the classes are"),
        ("sample", {"run": 1, "options": {"sampler": "magic"}}, "--sampler is 'magic'"),
        ("sample", {"run": 1, "options": {"steps": 10**9}}, "options.steps: "),
        ("walk", {"images": [{"index": 1}]}, "images: "),
        ("walk", {"images": [{"index": 1}] * 2, "steps": 1}, "steps: "),
        ("map", {"kind": "tsne"}, "kind: "),
        ("map", {"kind": "dims", "dims": [0, 4]}, "There is no dimension 4; there are 4"),
        ("map", {"column": "colour"}, "The data have no column colour of finite numbers."),
        ("thumbnails", {"rows": [300]}, "There is no image 300; there are images 0 to 299."),
        ("thumbnails", {"rows": [0] * 65}, "rows: "),
        ("thumbnails", {"rows": []}, "rows: "),
        ("thumbnails", {"rows": [-1]}, "rows.0: "),
        ("thumbnails", {"rows": [0], "path": "/etc/passwd"}, "path: "),
        ("find", {"text": ""}, "text: "),
        ("find", {"text": "x" * 201}, "text: "),
        ("selection", {"rows": [3, 300]}, "Image 300 is not on the map; select images that are."),
        ("selection", {"rows": [0] * 20_001}, "rows: "),
        ("selection", {"rows": ["/etc/passwd"]}, "rows.0: "),
    ):  # fmt: skip
        detail = post(client, path, 422, **body)["detail"]
        assert message in detail, (path, detail)
        assert "\n" not in detail
        assert detail.endswith(".")
    for text in (b"{", b"", b"[]", b'{"latents": [[NaN, 0, 0, 0]]}',
                 b'{"latents": [[Infinity, 0, 0, 0]]}', b'{"latents": [[1e999, 0, 0, 0]]}',
                 b"\xff\xfe"):  # fmt: skip
        answer = client.post("/api/decode", content=text, headers=JSON)
        assert 400 <= answer.status_code < 500
        assert isinstance(answer.json()["detail"], str)
    assert client.get("/api/decode").status_code == 405


def test_umap_is_offered_or_its_absence_explained(served, monkeypatch):
    for module in ("projection", "summary"):
        monkeypatch.setattr(f"latentia.explorer.{module}.find_spec", lambda name: None)
    client = served("vae")
    assert client.get("/api/runs").json()["runs"][0]["umap"] is False
    message = post(client, "map", 422, kind="umap")["detail"]
    assert (
        message == "UMAP is not installed; pip install umap-learn, then start the explorer again."
    )


def test_other_hosts_and_other_pages_are_refused_on_loopback(served):
    client = served("vae")
    assert client.get("/", headers={"host": "localhost:8000"}).status_code == 200
    for headers, status in (
        ({"host": "evil.example:8000"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "[::1"}, 403),
        ({"host": ""}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:8000"}, 200),
    ):
        for path in ("/", "/explorer.js", "/api/runs"):
            answer = client.get(path, headers=headers)
            assert answer.status_code == status, (headers, path)
            if status != 200:
                assert answer.json()["detail"].endswith(".")


def test_what_is_posted_must_be_json_of_a_known_length(served):
    client = served("vae")
    answer = client.post("/api/decode", content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 415
    assert client.post("/api/decode", content=iter([b"{}"]), headers=JSON).status_code == 411
    long = {**JSON, "content-length": str(13 * 2**20)}
    assert client.post("/api/decode", content=b"{}", headers=long).status_code == 413


def test_served_to_others_every_request_needs_the_token(served):
    client = served("vae", host="192.0.2.1", token="secret")
    for path in ("/", "/explorer.js", "/explorer.css", "/api/runs", "/?token=wrong", "/?token="):
        answer = client.get(path)
        assert answer.status_code == 401
        assert "open the address" in answer.json()["detail"]
    assert client.post("/api/sample", json={}).status_code == 401
    first = client.get("/?token=secret")
    assert first.status_code == 200
    assert "HttpOnly; SameSite=Strict" in first.headers["set-cookie"]
    assert client.get("/api/runs").status_code == 200  # by the cookie
    client.cookies.clear()
    assert client.get("/api/runs", headers={"cookie": "latentia-8000=other"}).status_code == 401


def test_mistakes_on_the_command_line(place, capsys, monkeypatch):
    monkeypatch.setattr("latentia.explorer.server.find_learned_prior", lambda run: None)

    def error(*words):
        assert main(["explore", *map(str, words)]) == 2
        return capsys.readouterr().err.strip()

    assert error() == (
        "No run was named; give one or more folders: latentia explore RUN [RUN ...]."
    )
    assert "There is no run at" in error(place / "none")
    assert "none; give a folder" in error(place / "vae", place / "none")  # nothing is served
    for port in ("99999", "-1"):
        text = f"127.0.0.1:{port} cannot be served on (ports are 0 to 65535)"
        assert text in error(place / "vae", "--port", port)
    message = error(place / "vae", "--host", "192.0.2.1")  # nobody's: RFC 5737
    assert message.startswith("192.0.2.1 cannot be served on (")
    assert "is not a split" in error(place / "vae", "--split", "dev")
    assert "none.csv does not exist" in error(place / "vae", "--labels", "none.csv")
    assert "cannot be found here" in error(place / "lost", "--labels", "none.csv")
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert error(place / "vae") == (
        'latentia explore needs the web extra: pip install "latentia[web]".'
    )


def test_mistakes_in_latents_that_are_given(place, tmp_path, capsys):
    def error(*words):
        assert main([str(word) for word in words]) == 2
        return capsys.readouterr().err.strip()

    vae = place / "vae"
    for text, given in (("1,2,3", ", but of 3"), ("1,2,3,nan", ""), ("1,2,3,x", "")):
        assert error("decode", vae, f"--latents={text}") == (
            f"--latents is not rows of 4 finite numbers each, one a latent dimension{given}; give "
            "such rows, or a file (.csv, .tsv, .parquet, .npy, .npz, .json) that latentia encode "
            "wrote."
        )
    assert "none.json cannot be read" in error("decode", vae, "--latents", "none.json")
    for content in ('{"latents": [1, 2]}', "[]", "3", '{"z": []}', '[[1, 2, 3, "4x"]]'):
        (tmp_path / "z.json").write_text(content)
        text = error("decode", vae, "--latents", tmp_path / "z.json")
        assert "z.json is not rows of 4 finite numbers each" in text
    assert "-n is 0; it must be at least 1." in error("nearest", vae, "3", "-n", "0")


def test_help_comes_without_torch_or_fastapi():
    code = (
        "import sys; from latentia.cli.main import main; main(['--help']); "
        "assert not {'torch', 'fastapi', 'uvicorn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
