"""A toy run in a second, and what a mistake on the command line prints."""

from latentia.cli import main

TRAIN = ["--latent", "3", "--hidden", "8", "--batch", "8", "--epochs", "1", "--log-every", "2"]


def error(capsys, *words):
    """The one line that is printed for a mistake; exit code 2, no traceback."""
    capsys.readouterr()
    assert main([str(w) for w in words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.count("\n") == 1, err
    return err.strip()
