"""Method of a run that maps a column of the table of latents over a large image."""

from pathlib import Path
from typing import Any

import numpy as np

from latentia.api.run_clusters import RunClusters
from latentia.core.errors import Error
from latentia.core.text import abbreviate_list
from latentia.data import Images
from latentia.data.name_matching import NameMatcher
from latentia.data.preprocess import read_whole
from latentia.data.tiles import list_corners, parse_tile_key
from latentia.latents.parsing import read_file
from latentia.report.grids import check_output
from latentia.report.rendered_images import RenderedImages
from latentia.report.tile_map import render_map


class RunMaps(RunClusters):
    """Maps over images that were read as tiles."""

    def plot_map(self, image: str | Path, column: str, *, latents: Any = None) -> RenderedImages:
        """Draw a column of the table of latents over an image that is read as tiles.

        Parameters
        ----------
        image : str or Path
            image file, or its path in the run's images
        column : str
            column of the table that `encode` returns, such as mu_0, mse, rate or a label; or
            cluster, the groups of all tiles of the run
        latents : DataFrame, str or Path, optional
            table that `encode` returned, or `latentia encode` wrote; by default the tiles of the
            image are encoded

        Returns
        -------
        RenderedImages
            picture of the image, and of the column over it; `save` writes .png or .svg. Its
            `images` are the map

        Raises
        ------
        Error
            if the run has no tiles, the table has none of the image, or no such column

        Examples
        --------
        >>> import latentia, numpy
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> Path("slides").mkdir()
        >>> for k in range(6):
        ...     noise = numpy.random.default_rng(k).integers(0, 256, (48, 64), "uint8")
        ...     Image.fromarray(noise).save(f"slides/{k}.png")
        >>> run = latentia.train("conv_vae", "slides", epochs=1, tiles=16, run="runs/slides")
        >>> run.plot_map("slides/2.png", "mse").save("map.png").name
        'map.png'
        """
        preprocessing = Images.from_metadata(self.metadata["images"]).preprocessing
        tiling, file = preprocessing.tiling, self._find_file(image)
        if tiling is None:
            raise Error(f"{self.path} reads images whole; train one with --tiles 64 for a map.")
        if latents is None and column == "cluster":
            latents = self.encode(clusters="auto")
        elif latents is None:
            latents = self.with_data(file).encode()
        if isinstance(latents, str | Path):
            check_output(latents, ".parquet", ".csv", option="--latents")
            latents = read_file(Path(latents).expanduser())
        if column not in latents:
            names = abbreviate_list([*map(str, latents)])
            raise Error(f"The table has no column {column}; it has {names}.")
        keys = [parse_tile_key(key) for key in latents["key"].astype(str)]
        files = [key for key, corner in keys if corner]
        target = NameMatcher(files).match([str(image)]).get(str(image))
        rows = [row for row, (key, _) in enumerate(keys) if key == target]
        corners = np.array([keys[row][1] for row in rows])
        pixels = read_whole(file, preprocessing)
        allowed = {*list_corners(pixels.shape[1:], tiling)}
        if not rows or not {*map(tuple, corners.tolist())} <= allowed:
            height, width = pixels.shape[1:]
            listing = abbreviate_list([*dict.fromkeys(files)]) or "none"
            raise Error(
                f"The table has no tiles of {image} ({height}x{width} pixels); it has"
                f" those of {listing}. Give the image of one, or --latents, the table that latentia"
                " encode wrote of it."
            )
        caption = f"{self.name}, {file.name}"
        return render_map(caption, pixels, latents[column].iloc[rows], corners, tiling)

    def _find_file(self, image: str | Path) -> Path:
        """Return an image file, or the file of this path in the run's images."""
        file = Path(image).expanduser()
        root = Path(str(self._data or self.metadata["images"]["source"])).expanduser()
        candidates = file, root / file, root if root.name == str(image) else file
        if found := next((path for path in candidates if path.is_file()), None):
            return found
        raise Error(f"There is no file {image}, nor one in {root}; give an image file.")
