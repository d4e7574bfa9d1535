"""Upload of a run to the Hugging Face hub."""

from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

from latentia.core.errors import Error
from latentia.diagnostics.diagnose import diagnose_run
from latentia.export import hub
from latentia.report.model_card import format_model_card
from latentia.report.rendered_images import render_reconstructions, render_samples
from latentia.runs.hub import check_recipe_is_ours
from latentia.runs.open import open_run


def push(args: SimpleNamespace) -> None:
    name, run = hub.check_repository(args.name), open_run(args.run)
    check_recipe_is_ours(run.metadata, str(run.path))
    pictures = {"samples": render_samples(run, run.model(), 64, 0, {})}
    with suppress(Error):  # without an encoder or without its images the run has no such picture
        if args.originals:
            images = run.split("test").get_batch(slice(0, 10)).image
            pairs = render_reconstructions(run, run.autoencoder(), images, "test images")
            pictures["reconstructions"] = pairs
    report = diagnose_run(run)
    public = replace(run, metadata=hub.strip_folders(run.metadata))
    text = format_model_card(public, name, list(pictures), report.verdict, report.findings)
    files = {f"pictures/{key}.png": each.encoders[".png"]() for key, each in pictures.items()}
    files["README.md"] = hub.FOLDER_PATTERN.sub("", text).encode()
    print(hub.push_run(run, name, files, args.private))
