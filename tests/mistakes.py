"""What a mistake at the command line has to look like."""

from latentia.cli.main import main


def error(capsys, *words):
    """The one line that is printed for a mistake; exit code 2, no traceback."""
    capsys.readouterr()
    assert main([str(w) for w in words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.count("\n") == 1, err
    return err.strip()
