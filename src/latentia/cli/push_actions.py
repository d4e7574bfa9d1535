"""Upload of a run, behind `latentia push`."""

from contextlib import suppress
from dataclasses import replace

from latentia.core.errors import Error
from latentia.diagnostics.diagnose import diagnose_run
from latentia.export import hub
from latentia.report.model_card import format_model_card
from latentia.report.rendered_images import render_reconstructions, render_samples
from latentia.runs.hub import check_recipe_is_ours
from latentia.runs.open import open_run


def push_run(run: str, name: str, private: bool, originals: bool) -> None:
    name, opened = hub.check_repository(name), open_run(run)
    check_recipe_is_ours(opened.metadata, str(opened.path))
    pictures = {"samples": render_samples(opened, opened.model(), 64, 0, {})}
    with suppress(Error):  # without an encoder or without its images the run has no such picture
        if originals:
            images = opened.split("test").get_batch(slice(0, 10)).image
            pairs = render_reconstructions(opened, opened.autoencoder(), images, "test images")
            pictures["reconstructions"] = pairs
    report = diagnose_run(opened)
    public = replace(opened, metadata=hub.strip_folders(opened.metadata))
    text = format_model_card(public, name, list(pictures), report.verdict, report.findings)
    files = {f"pictures/{key}.png": each.encoders[".png"]() for key, each in pictures.items()}
    files["README.md"] = hub.FOLDER_PATTERN.sub("", text).encode()
    print(hub.push_run(opened, name, files, private))
