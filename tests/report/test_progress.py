"""Pictures through training, in the order in which they were made."""

from PIL import Image

from latentia.report.training_images import list_training_images
from latentia.runs.folder import RunFolder


def test_pictures_stand_in_the_order_of_their_epochs(tmp_path):
    (tmp_path / "progress").mkdir()
    for epoch in (2, 9999, 10000, 10001):
        Image.new("L", (2, 2)).save(tmp_path / "progress" / f"samples-{epoch:04}.png")
    found = list_training_images(RunFolder(tmp_path, {}), "samples")
    assert [epoch for epoch, _ in found] == [2, 9999, 10000, 10001]
    assert all(path.stem.endswith(f"{epoch}") for epoch, path in found)
    assert [
        e for e, _ in list_training_images(RunFolder(tmp_path, {}), "samples", max_files=2)
    ] == [2, 10001]
