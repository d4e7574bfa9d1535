"""Arguments that several commands take, each with its meaning."""

from typing import Annotated

from typing_extensions import Doc
from tyro.conf import Positional, arg

RunFolder = Annotated[Positional[str], Doc("folder of a run, or hub:OWNER/NAME")]
Data = Annotated[str | None, Doc("other images than the run's own")]
SplitName = Annotated[
    str | None, Doc("train, validation, test or all; default: test, of other data all")
]
WHICH = "file, key (name in the table of encode), or number: among all images or in --split"
AtBeta = Annotated[float | None, Doc("of a run of --multirate: the beta to answer for")]
Out = Annotated[str, Doc(".png or .npy file to write")]
Seed = Annotated[int, Doc("draws; the same seed gives the same pictures")]
Number = Annotated[int, arg(aliases=("-n",)), Doc("how many")]
Json = Annotated[bool, arg(name="json"), Doc("print JSON")]
