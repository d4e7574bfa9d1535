"""Options of the command that serves the explorer."""

from tyro.conf import Positional

from latentia.cli import options


def explore(
    runs: Positional[tuple[str, ...]],
    data: options.Data = None,
    split: str = "all",
    labels: str | None = None,
    label_cols: options.LabelColumns = None,
    coordinates: str | None = None,
    *,
    umap_neighbors: int = 15,
    umap_distance: float = 0.1,
    port: int | None = None,
    host: str = "127.0.0.1",
) -> None:
    """Explore runs in the browser: sliders, a map of the latents, interpolations, samples.

    Parameters
    ----------
    runs : RUN ...
        one or more run folders, or hub:OWNER/NAME to download one; in place of a run its
        learned prior is opened, if there is one, unless both are named
    split : SPLIT
        images on the map: train, validation, test or all
    labels : FILE
        table (.csv or .parquet) whose columns colour the map, joined to the images by file name
    coordinates : FILE
        own points of the images: a table (.csv or .parquet) of file names and numbers; two columns
        are the places on the map, more are vectors, which it shows on their principal axes
    umap_neighbors : N
        neighbours of each image that its place on the map of UMAP keeps, at least 2; more show the
        whole, fewer the details
    umap_distance : X
        least distance of two images on the map of UMAP, 0 to 1; 0 packs groups tightly
    port : N
        port to serve on, 0 to 65535; the default is 8765, or a free port if that is taken
    host : ADDRESS
        address to serve on; any but 127.0.0.1 is open to other machines, with the printed token
    """
