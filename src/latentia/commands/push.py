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
    from latentia.doctor.examine import examine
    from latentia.engine.hub import known
    from latentia.engine.run import Run
    from latentia.export import hub
    from latentia.report.card import card
    from latentia.report.sheets import reconstructed, sampled

    name, opened = hub.allowed(name), Run.open(run)
    known(opened.about, str(opened.path))
    sheets = {"samples": sampled(opened, opened.model(), 64, 0, {})}
    try:
        if originals:
            images = opened.part("test").batch(slice(0, 10)).image
            pairs = reconstructed(opened, opened.coder(), images, "test images")
            sheets["reconstructions"] = pairs
    except Error:  # no encoder, or images that are not here: then without that picture
        pass
    report = examine(opened)
    told = replace(opened, about=hub.shared(opened.about))
    text = card(told, name, list(sheets), report.verdict, report.findings)
    shown = {f"pictures/{key}.png": sheet.kinds[".png"]() for key, sheet in sheets.items()}
    shown["README.md"] = hub.FOLDERS.sub("", text).encode()
    print(hub.push(opened, name, shown, private))
