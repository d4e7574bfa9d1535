"""`latentia push`: a run on the hub."""

from dataclasses import replace
from typing import Annotated

from typing_extensions import Doc
from tyro.conf import Positional

from latentia.commands.flags import RunFolder
from latentia.core.errors import Error


def push(
    run: RunFolder,
    name: Annotated[Positional[str], Doc("OWNER/NAME on the hub; made if it is not there")],
    private: Annotated[bool, Doc("a new one is seen by its owner alone")] = False,
    originals: Annotated[
        bool, Doc("with ten test images above their reconstructions, where they are at hand")
    ] = True,
) -> None:
    """Share a run: weights, settings without paths, pictures and a card made from the run."""
    from latentia.diagnostics.diagnose import examine
    from latentia.export import hub
    from latentia.report.model_card import card
    from latentia.report.rendered_images import reconstructed, sampled
    from latentia.runs.hub import check_recipe_is_ours
    from latentia.runs.open import open_run

    name, opened = hub.allowed(name), open_run(run)
    check_recipe_is_ours(opened.metadata, str(opened.path))
    sheets = {"samples": sampled(opened, opened.model(), 64, 0, {})}
    try:
        if originals:
            images = opened.split("test").batch(slice(0, 10)).image
            pairs = reconstructed(opened, opened.autoencoder(), images, "test images")
            sheets["reconstructions"] = pairs
    except Error:  # no encoder, or images that are not here: then without that picture
        pass
    report = examine(opened)
    told = replace(opened, about=hub.shared(opened.metadata))
    text = card(told, name, list(sheets), report.verdict, report.findings)
    shown = {f"pictures/{key}.png": sheet.kinds[".png"]() for key, sheet in sheets.items()}
    shown["README.md"] = hub.FOLDERS.sub("", text).encode()
    print(hub.push(opened, name, shown, private))
