"""A configuration is made to run on this computer, and nothing else in it is changed."""

from __future__ import annotations

import copy

import pytest

from medai.bundles.adaptation import adapted

NET = {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2]}


def _network(**part):
    return adapted({"network_def": part}, "cpu")["network_def"]


@pytest.mark.parametrize(
    ("written", "runs"),
    [
        ("$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')", "'mps' if torch.cuda.is_available()"),
        ('$torch.load(@path, map_location=torch.device("cuda"))', 'torch.device("mps")'),
        ("$@network_def.to('cuda:1')", "to('mps')"),
    ],
)
def test_a_gpu_asked_for_by_name_becomes_the_chosen_device(written, runs):
    assert runs in adapted({"inferer": {"_target_": "SimpleInferer", "x": written}}, "mps")["inferer"]["x"]


def test_the_name_of_a_gpu_is_replaced_where_it_stands_for_a_device_only():
    content = {"inferer": {"_target_": "SlidingWindowInferer", "device": "cuda", "title": "cuda"}}
    assert adapted(content, "cpu")["inferer"] == content["inferer"] | {"device": "cpu"}


def test_a_device_that_is_always_there_is_left_as_it_is():
    text = "$torch.device('cpu')"
    assert (
        adapted({"inferer": {"_target_": "SlidingWindowInferer", "device": text}}, "cuda:1")["inferer"]["device"]
        == text
    )


def test_arguments_of_an_earlier_monai_are_understood():
    assert _network(_target_="SwinUNETR", img_size=96, in_channels=1, out_channels=2) == {
        "_target_": "SwinUNETR",
        "in_channels": 1,
        "out_channels": 2,
    }
    former = {"dimensions" if key == "spatial_dims" else key: value for key, value in NET.items()}
    assert _network(**former) == NET


def test_an_argument_that_no_version_knows_stays_for_monai_to_refuse():
    assert _network(**NET, no_such_argument=1)["no_such_argument"] == 1


def test_transforms_of_an_earlier_monai_have_their_successors_put_in_place():
    content = {"preprocessing": [{"_target_": "AddChanneld", "keys": "image"}, {"_target_": "AsChannelFirst"}]}
    first, second = adapted(content, "cpu")["preprocessing"]
    assert first == {"_target_": "EnsureChannelFirstd", "keys": "image", "channel_dim": "no_channel"}
    assert second == {"_target_": "EnsureChannelFirst", "channel_dim": -1}


@pytest.mark.parametrize("pretrained", [True, "$True", "@pretrained"])
def test_no_weights_are_downloaded_that_the_bundles_own_replace(pretrained):
    assert (
        _network(_target_="EfficientNetBN", model_name="efficientnet-b0", pretrained=pretrained)["pretrained"] is False
    )


def test_a_torchvision_network_works_as_if_its_weights_had_been_downloaded():
    part = _network(_target_="TorchVisionFCModel", model_name="inception_v3", pretrained=True)
    assert (part["pretrained"], part["transform_input"]) == (False, True)
    untouched = {"_target_": "TorchVisionFCModel", "model_name": "inception_v3", "pretrained": False}
    assert _network(**untouched) == untouched


def test_only_imports_that_an_inference_uses_are_left():
    content = {
        "imports": ["$import pandas as pd", "$import numpy as npy", "$import os.path", "$from math import pi"],
        "datalist": "$pd.read_csv('list.csv').path",
        "preprocessing": [{"_target_": "Lambdad", "keys": "image", "func": "$lambda x: npy.clip(x, 0, os.path.sep)"}],
        "initialize": ["$import scripts", "$pd.options"],
    }
    before = copy.deepcopy(content)
    changed = adapted(content, "cpu")
    assert changed["imports"] == [None, "$import numpy as npy", "$import os.path", None]
    assert changed["initialize"] == [None, "$pd.options"]
    assert content == before


def test_a_handler_that_would_write_a_table_writes_none():
    content = {"postprocessing": [{"_target_": "SaveClassificationd", "keys": "pred", "output_dir": "/"}]}
    assert adapted(content, "cpu")["postprocessing"][0]["_target_"] == "Identityd"
