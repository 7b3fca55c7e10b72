"""What speaks for a finding is shown where it is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.networks.nets import DenseNet121, resnet18
from scipy.spatial.transform import Rotation

import medai
from medai.errors import BundleError, InputError, JobCancelled
from medai.result import Plot
from medai.tasks.explain.grad_cam import GradCAMInferer
from medai.tasks.explain.occlusion import OcclusionInferer
from medai.volume import Region, Series, Volume, apply_affine
from small_bundles import OBLIQUE
from small_classifiers import POINT, SCALE, SIGMOID, Classifier

EDGE = 24  # of what the network sees
RAS = {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"}
SPACED = {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.5, 1.5], "mode": "bilinear"}
LONGEST = {"_target_": "Resized", "keys": "image", "spatial_size": EDGE, "size_mode": "longest", "anti_aliasing": True}


def padded(dimensions: int) -> dict[str, object]:
    return {"_target_": "SpatialPadd", "keys": "image", "spatial_size": [EDGE] * dimensions}


PREPARATIONS = {
    3: {
        "plain": [SCALE],
        "turned": [RAS, SCALE],
        "spaced": [RAS, SPACED, SCALE],
        "padded": [RAS, LONGEST, padded(3), SCALE],
        "stretched": [{"_target_": "Resized", "keys": "image", "spatial_size": [EDGE] * 3}, SCALE],
        "cropped": [{"_target_": "CropForegroundd", "keys": "image", "source_key": "image", "margin": 2}, SCALE],
    },
    2: {"padded": [LONGEST, padded(2), SCALE], "plain": [SCALE]},
}
METHODS = ("grad_cam", "grad_cam_pp", "occlusion")


@pytest.fixture(scope="module")
def a_finder(tmp_path_factory):
    """A bundle that finds what is bright, by how it prepares its images."""
    made = {}

    def write(dimensions: int, preparation: str):
        key = dimensions, preparation
        if key not in made:
            root = tmp_path_factory.mktemp("finders") / f"{preparation}_{dimensions}"
            pre = PREPARATIONS[dimensions][preparation]
            made[key] = Classifier(dimensions=dimensions, pre=pre, points=[POINT], threshold=0.25).write(root)
        return made[key]

    return write


def explain(image, model, **choices) -> medai.Result:
    return medai.explain(image, model, in_process=True, device="cpu", backend="torch", **choices)


@st.composite
def placements(draw, *, planar: bool = False):
    """An image of any orientation, handedness and voxel size, with a lesion somewhere in it."""
    shape = (1 if planar else draw(st.integers(10, 22)), draw(st.integers(12, 26)), draw(st.integers(12, 26)))
    spacing = np.array([draw(st.floats(0.6, 2.5)) for _ in range(3)])
    signs = np.array([draw(st.sampled_from([-1.0, 1.0])) for _ in range(3)])
    angles = [draw(st.floats(-180, 180)) for _ in range(3)]
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * spacing * signs
    affine[:3, 3] = [draw(st.floats(-100, 100)) for _ in range(3)]
    center = np.array([0 if n == 1 else draw(st.integers(3, n - 4)) for n in shape[::-1]])
    array = np.random.default_rng(draw(st.integers(0, 99))).uniform(1, 15, shape).astype(np.float32)
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"))[::-1]
    distance = (grid - center[:, None, None, None]) * spacing[:, None, None, None]
    # Large enough to be seen by a network that gets voxels of 1.5 mm, or 24 along the longest edge.
    radius = 1.6 * max(*spacing, 1.5, *(spacing * shape[::-1] / EDGE))
    lesion = np.linalg.norm(distance, axis=0) <= radius
    array[lesion] = 100
    return Volume(array, affine, "scan"), apply_affine(affine, np.argwhere(lesion)[:, ::-1].mean(axis=0)[None])[0]


def center_of(found: Volume) -> np.ndarray:
    """Where the map is brightest, RAS mm."""
    bright = np.where(found.array > 0.5, found.array, 0).astype(np.float64)
    k, j, i = (
        (bright * axis).sum() / bright.sum() for axis in np.meshgrid(*map(np.arange, bright.shape), indexing="ij")
    )
    return apply_affine(found.affine, np.array([[i, j, k]]))[0]


def place_of_map(image: Volume, *, occlusion: bool) -> float:
    """The size of one place of the map in mm, at most: two voxels of the network's input, or what is covered."""
    voxel = max(1.5, *image.spacing, max(image.extent_mm) / EDGE)
    return voxel * (EDGE / 3 if occlusion else 2)


@pytest.mark.parametrize("preparation", list(PREPARATIONS[3]))
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=placements())
def test_a_lesion_anywhere_in_any_volume_lights_up_where_it_is(a_finder, preparation, case):
    image, where = case
    found = explain(image, a_finder(3, preparation)).volume
    assert found.array.shape == image.shape
    assert found.array.dtype == np.float32
    assert np.array_equal(found.affine, image.affine)
    assert found.array.min() >= 0
    assert found.array.max() == 1
    assert np.linalg.norm(center_of(found) - where) < place_of_map(image, occlusion=False)


@pytest.mark.parametrize("preparation", list(PREPARATIONS[2]))
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=placements(planar=True))
def test_a_lesion_in_a_slice_lights_up_where_it_is(a_finder, preparation, case):
    image, where = case
    found = explain(image, a_finder(2, preparation)).volume
    assert found.array.shape == image.shape
    assert np.linalg.norm(center_of(found) - where) < place_of_map(image, occlusion=False)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_lights_up_the_lesion(a_finder, method):
    image = stack_with_lesion()
    where = apply_affine(image.affine, np.array([[9.5, 8.5, 5.5]]))[0]
    for dimensions in (2, 3):
        found = explain(image, a_finder(dimensions, "padded"), method=method).volume
        limit = place_of_map(image, occlusion=method == "occlusion")
        assert np.linalg.norm(center_of(found) - where) < limit, dimensions
        assert found.name.startswith("scan lesion ")


def stack_with_lesion() -> Volume:
    array = np.random.default_rng(0).uniform(1, 15, (12, 18, 20)).astype(np.float32)
    array[4:8, 7:11, 8:12] = 100
    array[:, 0, 0] = 100  # so that every slice is scaled alike
    return Volume(array, OBLIQUE, "scan")


def test_slices_without_the_lesion_stay_dark_in_a_stack(a_finder):
    found = explain(stack_with_lesion(), a_finder(2, "plain")).volume.array
    inside = found.max(axis=(1, 2))
    assert inside[4:8].min() > 0.9
    corner = found.copy()
    corner[:, :4, :4] = 0
    assert corner.max(axis=(1, 2))[[0, 1, 2, 10, 11]].max() < 0.3


def test_one_slice_and_regions_leave_the_rest_dark(a_finder):
    image = stack_with_lesion()
    found = explain(image, a_finder(2, "plain"), slice_index=5).volume.array
    assert found[5].max() == 1
    assert np.delete(found, 5, axis=0).max() == 0
    region = Region(apply_affine(OBLIQUE, np.array([[9.5, 8.5, 5.5]]))[0], [9.0, 9.0, 16.0])
    found = explain(image, a_finder(3, "plain"), region=region).volume.array
    block = region.slices(image)
    outside = found.copy()
    outside[block] = 0
    assert found[block].max() == 1
    assert outside.max() == 0


def test_what_speaks_for_the_other_class_is_elsewhere(a_finder):
    image, root = stack_with_lesion(), a_finder(3, "plain")
    other = explain(image, root, target_class="Normal", method="occlusion").volume
    assert other.name == "scan normal occlusion"
    assert other.array[4:8, 7:11, 8:12].max() < 0.2


def test_nothing_speaks_for_a_finding_that_is_not_there(a_finder):
    image = Volume(np.random.default_rng(0).uniform(50, 60, (12, 12, 12)).astype(np.float32), OBLIQUE, "scan")
    image.array[0, 0, 0] = 1000
    result = explain(image, a_finder(3, "turned"))
    if result.volume.array[3:, 3:, 3:].max() == 0:
        assert np.isfinite(result.volume.array).all()
    assert result.table.columns["Decision"] == ("", "negative")


def test_the_layer_can_be_chosen_and_is_told(a_finder):
    root = a_finder(3, "plain")
    result = explain(stack_with_lesion(), root, layer="0")
    assert "Explained by the network's layer '0'." in result.provenance.notes
    assert any("layer '1'" in note for note in explain(stack_with_lesion(), root).provenance.notes)
    with pytest.raises(InputError, match="no layer 'conv9'") as refused:
        explain(stack_with_lesion(), root, layer="conv9")
    assert "0, 1" in refused.value.why


def test_the_networks_of_monai_are_explained_by_their_last_maps():
    import torch
    from monai.networks.nets import resnet18

    from medai.tasks.explain.grad_cam import GradCAMInferer

    image = torch.rand(1, 1, 96, 96)
    for network, layer in (
        (DenseNet121(spatial_dims=2, in_channels=1, out_channels=2), "features.transition3"),
        (resnet18(spatial_dims=2, n_input_channels=1, num_classes=2), "layer4"),
    ):
        cam = GradCAMInferer(network.eval(), 1, exclusive=True)
        found = cam(image, network)
        assert found.shape == (1, 1, 96, 96)
        assert cam.layer.startswith(layer), cam.layer


@pytest.mark.parametrize("method", METHODS)
def test_explaining_leaves_norms_as_they_were(method):
    network = resnet18(spatial_dims=2, n_input_channels=1, num_classes=2, widen_factor=0.1).eval()
    image = torch.rand(1, 1, 48, 48)
    with torch.inference_mode():
        before = network(image)
        plus_plus = method == "grad_cam_pp"
        inferer = (
            OcclusionInferer(1, exclusive=True)
            if method == "occlusion"
            else GradCAMInferer(network, 1, exclusive=True, plus_plus=plus_plus)
        )
        assert inferer(image, network).shape == image.shape
        assert not any(module.training for module in network.modules())
        assert torch.equal(network(image), before)


def test_explaining_leaves_the_network_as_it_was(a_finder):
    root = a_finder(3, "plain")
    before = medai.classify(stack_with_lesion(), root, in_process=True, device="cpu", backend="torch").table
    for method in METHODS:
        explain(stack_with_lesion(), root, method=method)
    after = medai.classify(stack_with_lesion(), root, in_process=True, device="cpu", backend="torch").table
    assert before.columns == after.columns


@pytest.mark.parametrize("method", [True, "occlusion"])
def test_a_classification_brings_its_map_on_request(a_finder, method):
    image, root = stack_with_lesion(), a_finder(3, "padded")
    result = medai.classify(image, root, explain=method, in_process=True, device="cpu", backend="torch")
    assert result.items[0].name == "probabilities"
    name = "grad_cam" if method is True else method
    assert np.array_equal(result.volume.array, explain(image, root, method=name).volume.array)


def test_findings_of_their_own_are_explained_one_by_one(tmp_path):
    findings = {"classes": ("bright", "dark"), "gains": (200.0, -200.0), "offsets": (1.0, -1.0), "post": SIGMOID}
    root = Classifier(**findings).write(tmp_path / "findings")
    assert explain(stack_with_lesion(), root, target_class="bright").volume.array[5, 8, 9] > 0.4
    assert explain(stack_with_lesion(), root, target_class="dark").volume.array[5, 8, 9] == 0


def test_every_frame_is_explained(a_finder):
    frames = tuple(dataclasses.replace(stack_with_lesion(), name=f"frame {n}") for n in range(2))
    result = explain(Series(frames, (0, 1), "", "scan"), a_finder(3, "plain"))
    assert [frame.volume.name for frame in result.frames] == ["frame 0 lesion Grad-CAM", "frame 1 lesion Grad-CAM"]
    assert isinstance(result.items[1], Plot)


def test_occlusion_tells_how_far_it_is_and_can_be_stopped(a_finder):
    seen = []

    def until_a_few(progress):
        seen.append(progress)
        if progress.stage == "Explaining" and progress.done / max(progress.total, 1) > 0.6:
            raise JobCancelled("The job was cancelled.")

    with pytest.raises(JobCancelled):
        explain(stack_with_lesion(), a_finder(3, "padded"), method="occlusion", steps=12, on_progress=until_a_few)
    shares = [p.done / p.total for p in seen if p.stage == "Explaining" and p.total]
    assert shares == sorted(shares)
    assert len(set(shares)) > 3


def test_occlusion_takes_a_bounded_number_of_passes():
    for size in ((28, 28), (224, 224), (64, 64, 64), (28, 28, 28), (160, 200, 90), (9, 9, 9)):
        assert OcclusionInferer(0, exclusive=True).count(size) <= {2: 200, 3: 400}[len(size)], size


def test_a_model_that_does_not_classify_is_not_explained(a_bundle):
    with pytest.raises(BundleError, match="not for classification"):
        explain(stack_with_lesion(), a_bundle())


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"method": "magic"}, "grad_cam, grad_cam_pp, occlusion"),
        ({"target_class": "cat"}, "no class called 'cat'"),
        ({"steps": 1}, "from 2 to 64"),
        ({"method": "occlusion", "layer": "0"}, "not at one layer"),
        ({"layer": 3}, "'layer'"),
    ],
)
def test_what_cannot_be_chosen_is_refused(a_finder, choice, message):
    with pytest.raises(InputError, match=message):
        explain(stack_with_lesion(), a_finder(3, "plain"), **choice)
