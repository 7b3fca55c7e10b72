"""The way from a bundle on disk to a running network asks for trust before anything of the bundle is evaluated."""

from __future__ import annotations

import json
from contextlib import ExitStack

import numpy as np
import pytest

from medai.bundles import trust
from medai.bundles.pipeline import Pipeline
from medai.errors import BundleError, MaliciousBundleError, UntrustedBundleError


@pytest.mark.parametrize(
    "attack",
    [
        {"_target_": "os.mkdir", "path": "MARKER"},
        {"_target_": "os.system", "command": "mkdir MARKER"},
        "$__import__('os').mkdir('MARKER')",
        "$[c for c in ().__class__.__base__.__subclasses__() if c.__name__ == 'Popen'][0](['mkdir', 'MARKER'])",
        "$monai.utils.optional_import('os')[0].mkdir('MARKER')",
        "$torch.utils.cpp_extension.os.mkdir('MARKER')",
    ],
)
@pytest.mark.parametrize("place", ["network_def", "inferer", "preprocessing", "postprocessing"])
def test_an_attack_is_stopped_before_it_runs(make_bundle, a_marker, attack, place):
    text = json.dumps({place: attack}).replace("MARKER", str(a_marker).replace("\\", "/"))
    with pytest.raises((MaliciousBundleError, UntrustedBundleError)):
        Pipeline(make_bundle(config=json.loads(text)), "cpu")
    assert not a_marker.exists()


OWN_NETWORK = """
from pathlib import Path
from monai.networks.nets import UNet
Path({marker!r}).mkdir()
class Net(UNet):
    pass
"""


def test_code_of_its_own_runs_only_after_it_was_trusted(make_bundle, an_inference_config, a_marker):
    network = {**an_inference_config["network_def"], "_target_": "scripts.net.Net"}
    root = make_bundle(config={"network_def": network})
    (root / "scripts").mkdir()
    (root / "scripts" / "__init__.py").write_text("")
    (root / "scripts" / "net.py").write_text(OWN_NETWORK.format(marker=str(a_marker)))
    with pytest.raises(UntrustedBundleError):
        Pipeline(root, "cpu")
    assert not a_marker.exists()
    trust.trust(root)
    assert type(Pipeline(root, "cpu").network).__name__ == "Net"
    assert a_marker.exists()


def test_a_loader_of_the_bundle_cannot_unpickle_a_file_beside_it(
    make_bundle, an_inference_config, an_evil_object, a_marker
):
    # Nothing in this configuration needs trust; only MONAI's reader for NumPy files would make it dangerous.
    hidden = {"_target_": "LoadImage", "image_only": True}
    inferer = "$@hidden(@bundle_root + '/docs/evil.npy') and None"
    root = make_bundle(config={"hidden": hidden, "inferer": inferer})
    np.save(root / "docs" / "evil.npy", np.array([an_evil_object], dtype=object), allow_pickle=True)
    trust.check_config(root)
    with pytest.raises(BundleError):
        Pipeline(root, "cpu")
    assert not a_marker.exists()


def test_building_a_bundle_leaves_monai_as_it_was(a_bundle):
    from monai.transforms.io.array import SUPPORTED_READERS

    before = list(SUPPORTED_READERS)
    Pipeline(a_bundle, "cpu")
    assert list(SUPPORTED_READERS) == before
    assert "numpyreader" in before


def test_threads_that_build_bundles_at_the_same_time_leave_monai_as_it_was_too():
    from monai.transforms.io.array import SUPPORTED_READERS

    from medai.bundles.memory_io import without_unpickling

    before = list(SUPPORTED_READERS)
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(without_unpickling())
        second.enter_context(without_unpickling())
        first.close()
        assert "numpyreader" not in SUPPORTED_READERS
    assert list(SUPPORTED_READERS) == before
