"""Formats of images that are not read, and what to do with them."""

from collections.abc import Iterable

from latentia.core.text import abbreviate_list

ADVICE = {
    "export the images of {} as TIFF or PNG": (
        ".nii.gz .dcm .dicom .nii .mha .mhd .nrrd .czi .nd2 .lif .lsm .oib .oif .vsi .ims .svs"
        " .ndpi .scn .mrxs .dm3 .dm4 .mrc .fits .fit .edf .raw .cr2 .cr3 .nef .arw .dng .exr .hdr"
        " .psd .xcf .svg .eps .pdf .jxl"
    ),
    "save the images of {} as one array in .npy or .npz": ".h5 .hdf5 .mat .pt .pth .pkl",
    "stack the arrays of {} into one .npy (n, h, w)": ".npy .npz",
    "unpack {}": ".zip .tar .gz .tgz .7z .rar .bz2 .xz",
    "save the frames of {} as PNG": ".mp4 .avi .mov .mkv .webm .mpg .mpeg .wmv",
}


def find_advice(name: str) -> str:
    """Return what to do with a file of this name, to be filled with its name; "" if it is read."""
    matches = (a for a, ends in ADVICE.items() if name.lower().endswith(tuple(ends.split())))
    return next(matches, "")


def advise_on_files(names: Iterable[str]) -> str:
    """Advise on all files of formats that are not read; "" if there are none."""
    files: dict[str, list[str]] = {}
    for name in names:
        if advice := find_advice(name):
            files.setdefault(advice, []).append(name)
    return ", and ".join(advice.format(abbreviate_list(some, 3)) for advice, some in files.items())
