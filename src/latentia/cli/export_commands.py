"""Options of the command that writes a run in the formats of other programs."""

from latentia.cli import options


def export(
    run: options.RunName,
    to: str = "onnx",
    out: str | None = None,
    *,
    beta: options.Beta = None,
    data: options.MovedData = None,
) -> None:
    """Write a run's model for other programs, after a comparison with PyTorch.

    Parameters
    ----------
    to : {onnx,diffusers}
        format to write; diffusers takes runs of image_autoencoder
    out : DIR
        folder to write; the default is RUN-FORMAT
    """
