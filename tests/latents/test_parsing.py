"""Latents as a user writes them: every kind of file gives the same latents."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from latentia.core.errors import Error
from latentia.latents.encoding import identify_encoder
from latentia.latents.parsing import is_latent_row, read_latent_row, read_latents
from latentia.latents.table import collect_table, write_table

SHAPE = (4,)


@pytest.fixture
def table(model, part):
    return collect_table(model, part).to_pandas()


def check(latents, table, has_keys=True):
    z, keys = read_latents(latents, SHAPE)
    assert torch.equal(z, torch.tensor(np.array(table.filter(like="mu_"))))
    assert keys == (list(table["key"]) if has_keys else [])


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz", ".tsv"])
def test_the_table_that_encode_wrote(model, part, table, tmp_path, suffix):
    path = write_table(tmp_path / f"t{suffix}", model, part)
    check(path, table, has_keys=suffix != ".tsv")


def test_a_row_is_found_by_a_key_that_holds_colons(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:b").mkdir()
    z = pd.DataFrame({"key": ["a:b/1.png", "c.csv:2"], **{f"mu_{k}": [0.5, k] for k in range(4)}})
    for path in ("z.csv", "a:b/z.csv"):
        z.to_csv(path, index=False)
        for key, value in (("a:b/1.png", 0.5), ("c.csv:2", 3.0), ("1", 3.0)):
            assert is_latent_row(f"{path}:{key}")
            decoder = SimpleNamespace(latent_shape=SHAPE)
            assert float(read_latent_row(f"{path}:{key}", decoder)[0, 3]) == value
    assert not is_latent_row("none.csv:a:b/1.png")


def write_variants(folder, table):
    z = np.array(table.filter(like="mu_"))
    table.to_csv(folder / "index.CSV")
    table.to_csv(folder / "excel.csv", sep=";", decimal=",", index=False, encoding="utf-8-sig")
    table[[*reversed(table.columns)]].to_csv(folder / "turned.tsv", sep="\t", index=False)
    table.to_json(folder / "rows.json", orient="records", double_precision=15)
    table.to_json(folder / "columns.json", double_precision=15)
    yield from sorted(folder.glob("*.*"))
    yield table
    np.savetxt(folder / "bare.csv", z, delimiter=",")
    np.save(folder / "bare.npy", z)
    np.savez(folder / "bare.npz", z)
    (folder / "bare.json").write_text(json.dumps({"latents": z.tolist()}))
    yield from sorted(folder.glob("bare.*"))
    yield from (z, torch.tensor(z), z.tolist(), pd.DataFrame(z), table.filter(like="mu_"))


def test_tables_of_other_programs_and_arrays(table, tmp_path):
    table.loc[3, "key"] = "1,5.png"  # in a table with decimal commas it stays as it is
    for latents in write_variants(tmp_path, table):
        has_keys = isinstance(latents, pd.DataFrame) and "key" in latents
        has_keys |= isinstance(latents, Path) and latents.stem != "bare"
        check(latents, table, has_keys)


def test_maps_are_read_by_name_or_as_arrays():
    maps = np.arange(12, dtype=np.float32).reshape(2, 2, 1, 3)
    names = [f"mu_{c}_0_{x}" for c in range(2) for x in range(3)]
    frame = pd.DataFrame(maps.reshape(2, 6), columns=names)
    for latents in (maps, frame[names[::-1]], frame.assign(sd_0_0_0=1.0)):
        assert torch.equal(read_latents(latents, (2, 1, 3))[0], torch.from_numpy(maps))


def test_a_table_of_another_encoder_is_refused(model, part, table, tmp_path):
    own = identify_encoder(model)
    assert {*table["encoder"]} == {own}
    for suffix in (".csv", ".parquet", ".npz"):
        path = write_table(tmp_path / f"t{suffix}", model, part)
        assert read_latents(path, SHAPE, own)[1] == list(table["key"])
        with pytest.raises(Error, match=rf"{path.name} holds latents of another encoder \({own}\)"):
            read_latents(path, SHAPE, "z00000000")
    with torch.no_grad():
        next(iter(model.parameters())).add_(1)
    assert identify_encoder(model) != own


def test_one_row_is_a_vector():
    assert read_latents("1,-2.5,3e-1,4", SHAPE)[0].tolist() == [
        [1.0, -2.5, float(np.float32(0.3)), 4.0]
    ]
    assert read_latents(np.arange(4.0), SHAPE)[0].shape == (1, 4)


def test_mistakes(table, tmp_path):
    rows = r"is not rows of 4 finite numbers each, one a latent dimension"
    for latents, message in (
        (table.drop(columns="mu_2"), f"z {rows}, but of 3; give such rows, or a file"),
        (table.assign(mu_4=1.0), f"z {rows}, but of 5;"),
        (table[["key", "split"]], f"z {rows};"),
        (table.assign(mu_1="x"), f"z {rows};"),
        (table.assign(mu_1=np.nan), f"z {rows};"),
        (np.zeros((0, 4)), f"z {rows};"),
        ("1,2,3", f"--latents {rows}, but of 3;"),
        ("t.xlsx", f"--latents {rows};"),
        ("none.csv", r"none.csv cannot be read \(No such file or directory\); give rows of"),
    ):
        with pytest.raises(Error, match=message):
            read_latents(latents, SHAPE)
    np.save(tmp_path / "objects.npy", np.array([{}], object))
    (tmp_path / "text.npz").write_text("no archive")
    for name, content in (("empty.csv", ""), ("broken.json", "[1,"), ("text.parquet", "no table")):
        (tmp_path / name).write_text(content)
    for path in sorted(tmp_path.glob("*.*")):
        with pytest.raises(Error, match=rf"{path.name} cannot be read \((?!.*pickle)"):
            read_latents(path, SHAPE)
