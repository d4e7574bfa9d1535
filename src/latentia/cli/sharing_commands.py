"""Options of the commands that show a run to others: report, export, push."""

from tyro.conf import Positional

from latentia.cli import options


def report(run: options.RunName, data: options.MovedData = None) -> None:
    """Write the run's report.html again."""


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


def push(
    run: options.RunName, name: Positional[str], private: bool = False, *, originals: bool = True
) -> None:
    """Share a run on the hub: weights, settings without paths, pictures and a model card.

    Parameters
    ----------
    name : OWNER/NAME
        repository on the Hugging Face hub; it is created if it does not exist
    private
        create a repository that only its owner can see
    originals
        include ten test images above their reconstructions, if the images are at hand
    """
