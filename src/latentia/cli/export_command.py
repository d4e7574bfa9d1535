"""The command that writes a run in the formats of other programs."""

from typing import Annotated

from typing_extensions import Doc
from tyro.conf import arg

from latentia.cli.options import Beta, Inputs, MovedData, RunName


def export(
    run: RunName,
    to: Annotated[
        str,
        arg(metavar="{onnx,diffusers}"),
        Doc("format to write; diffusers takes runs of image_autoencoder"),
    ] = "onnx",
    out: Annotated[
        str | None, arg(metavar="DIR"), Doc("folder to write; the default is RUN-FORMAT")
    ] = None,
    *,
    beta: Beta = None,
    data: MovedData = None,
) -> None:
    """Write a run's model for other programs, after a comparison with PyTorch."""
    from latentia.cli.export_actions import export_model

    export_model(Inputs(run, data, beta=beta, out=out or ""), to)
