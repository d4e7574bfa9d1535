"""Method of a run that maps a column of the table of latents over a large image."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from latentia.api.run_tables import RunTables
from latentia.core.errors import Error, convert_errors
from latentia.core.label_kinds import encode_column
from latentia.core.text import abbreviate_list
from latentia.data.label_columns import encode_cells
from latentia.data.name_matching import NameMatcher
from latentia.data.preprocess import read_whole
from latentia.data.tiles import list_corners, parse_tile_key
from latentia.report.grids import check_output
from latentia.report.rendered_images import RenderedImages
from latentia.report.tile_map import render_map

UNMAPPED_COLUMNS = "key", "encoder"  # names, and one value for all images


class RunMaps(RunTables):
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
        if not isinstance(image, str | Path):
            raise Error(f"image is of type {type(image).__name__}; give the path of a file.")
        preprocessing = self.folder.stored_images.preprocessing
        root = Path(str(self._data or self.metadata["images"]["source"]))
        tiling = preprocessing.tiling
        if tiling is None:
            raise Error(f"{self.path} reads images whole; train one with --tiles 64 for a map.")
        paths = (each.expanduser() for each in (Path(image), root / image))
        file = next((path for path in paths if path.is_file()), None)
        if file is None:
            raise Error(f"There is no file {image}, nor one in {root}; give an image file.")
        advice = ""
        if latents is None and column == "cluster":
            latents = self.encode(clusters="auto")
        elif latents is None:
            latents = self.with_data(file).encode()
            advice = (
                " For a label give --latents, the table that latentia encode writes of the run."
            )
        elif isinstance(latents, str | Path):
            is_csv = check_output(latents, ".parquet", ".csv", option="--latents") == ".csv"
            with convert_errors(lambda reason: f"--latents {latents} cannot be read: {reason}."):
                latents = (pd.read_csv if is_csv else pd.read_parquet)(latents)
        if not isinstance(latents, pd.DataFrame) or "key" not in latents:
            raise Error("--latents has no column key; give the table that latentia encode wrote.")
        has_one_split = "split" in latents and latents["split"].nunique() == 1
        unmapped = (*UNMAPPED_COLUMNS, *["split"] * has_one_split)
        names = [str(name) for name in latents if name not in unmapped]
        encoded = encode_cells(latents[column]) if column in names and column in latents else None
        if encoded is None:
            raise Error(
                f"The table has no column {column} that a map shows; it has "
                f"{abbreviate_list(names)}.{advice}"
            )
        values, classes = encode_column(column, *encoded)
        pixels = read_whole(file, preprocessing)
        keys = [parse_tile_key(key) for key in latents["key"].astype(str)]
        targets = NameMatcher([key for key, corner in keys if corner]).match([str(image)])
        rows = [row for row, (key, _) in enumerate(keys) if key in targets.values()]
        corners = np.array([keys[row][1] for row in rows])
        shape = pixels.shape[1:]
        if not rows or not {keys[row][1] for row in rows} <= {*list_corners(shape, tiling)}:
            listing = abbreviate_list([*dict.fromkeys(key for key, corner in keys if corner)])
            raise Error(
                f"The table has no tiles of {image} ({shape[0]}x{shape[1]} pixels); it has those of"
                f" {listing or 'none'}. Give the image of one, or --latents, the table that"
                " latentia encode wrote of it."
            )
        values = np.where(values[rows] < 0, np.nan, values[rows]) if classes else values[rows]
        caption = f"{self.name}, {file.name}: {column}"
        return render_map(caption, pixels, (values, classes), corners, tiling)
