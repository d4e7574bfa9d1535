"""Upload of a run, behind `latentia push`."""

from dataclasses import replace

from latentia.core.errors import Error
from latentia.doctor.examine import examine
from latentia.engine.hub import known
from latentia.engine.run import Run
from latentia.export import hub
from latentia.report.card import card
from latentia.report.sheets import reconstructed, sampled


def push_run(run: str, name: str, private: bool, originals: bool) -> None:
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
    public = replace(opened, about=hub.shared(opened.about))
    text = card(public, name, list(sheets), report.verdict, report.findings)
    files = {f"pictures/{key}.png": sheet.kinds[".png"]() for key, sheet in sheets.items()}
    files["README.md"] = hub.FOLDERS.sub("", text).encode()
    print(hub.push(opened, name, files, private))
