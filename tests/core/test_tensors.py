import torch

from latentia.core.tensors import to_bytes


def test_bytes_come_back_exactly_and_the_rest_is_rounded_and_clipped():
    """Truncation instead of rounding fails on every second level.

    Pitfall: Images truncated to bytes.
    """
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(levels.float() / 255), levels)
    assert to_bytes(torch.tensor([-0.2, 0.9999, 1.7, 0.5 / 255 + 1e-4])).tolist() == [
        0,
        255,
        255,
        1,
    ]
