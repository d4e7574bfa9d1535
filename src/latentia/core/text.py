"""Numbers of things, as they are said."""


def counted(n: int, noun: str, plural: str = "") -> str:
    """1 image, 2 images, 1,000 images; plural: where it is not the noun with an s."""
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"
