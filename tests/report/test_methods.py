"""The paragraph of the report for the methods section of a paper."""

import re
from dataclasses import replace
from importlib.metadata import version

import pytest

import latentia
from latentia.report.methods import describe_methods, list_settings
from latentia.training.log import read_rows


def test_the_paragraph_has_the_facts_of_the_run(toy):
    run = toy("run", epochs=4)
    text, (first, *_) = describe_methods(run), run.metadata["machine"]["torch"].split("+")
    count = run.metadata["images"]["count"]
    assert f"The recipe mnist_mlp_vae of latentia {version('latentia')} (PyTorch {first}," in text
    assert (
        f"was trained on {count['train']} images of 28x28 pixels and 1 channel; "
        f"{count['validation']} images for validation and {count['test']} images for testing were "
        "kept apart. The networks have" in text
    )
    assert f"have {sum(run.metadata['parameters'].values()):,} parameters." in text
    assert "--latent 3 --epochs 4 --batch 16 --lr 0.001 --seed 0 --precision fp32;" in text
    best = [r["epoch"] for r in read_rows(run.path / "log.jsonl") if r.get("is_best")][-1]
    assert text.endswith(f"are those of epoch {best}, with the lowest validation loss.")


@pytest.mark.parametrize("weight", [0.0, 1.25])
def test_a_closed_form_and_its_features_are_named(toy, weight):
    run = toy("run")
    run = replace(run, metadata={**run.metadata, "closed_form": {"feature_weight": weight}})
    text = describe_methods(run)
    assert "started from the closed form of probabilistic PCA" in text
    assert ("weight 1.25 of the features, which are those of an EfficientNet" in text) == (
        weight > 0
    )


def test_the_share_of_validation_is_no_setting_of_data_that_name_their_splits(toy):
    metadata = toy("run").metadata
    settings, images = dict(list_settings(metadata)), metadata["images"]
    assert settings["validation"] in settings["images: split"]
    count = {**images["count"], "validation": images["count"]["validation"] + 9}
    own = dict(list_settings({**metadata, "images": {**images, "count": count}}))
    assert settings.keys() - own.keys() == {"validation"}
    assert "validation" not in own["images: split"]


@pytest.mark.report
def test_the_report_has_it_with_modifiers_and_without_validation(array_file, trained):
    knobs = {"data": array_file, "hidden": 8, "latent": 3, "batch": 16, "epochs": 1}
    options = latentia.Options(validation=0.0)
    edits = {"free_bits": {"free_bits": 0.3}}
    run = trained("run", "mnist_mlp_vae", knobs, modifiers=edits, options=options)
    page = latentia.load(run.path).report().read_text("utf-8")
    paragraph = page.partition("<h2>Methods</h2>")[2].partition("</p>")[0]
    assert re.search(r"1 channel; \d+ images for testing were kept apart\.", paragraph)
    assert "--free-bits</span> 0.3;" in paragraph
    assert "<td>free-bits</td><td>0.3</td>" in page
    assert paragraph.endswith("The weights are those of the last step.")
