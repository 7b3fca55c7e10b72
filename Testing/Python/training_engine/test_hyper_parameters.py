"""Every hyper-parameter has a range, and is refused by its name outside of it."""

from __future__ import annotations

import dataclasses

import pytest

from medai.errors import InputError, MedAIError
from medai.training.parameters import TrainingParameters

OUTSIDE = [
    ("epochs", 0),
    ("epochs", 2.5),
    ("batch_size", 0),
    ("batch_size", True),
    ("network", "vgg"),
    ("network", 3),
    ("width", -1),
    ("levels", -1),
    ("widening", 0.5),
    ("code", -1),
    ("patches", 0),
    ("stem", 3),
    ("patch_size", [16]),
    ("patch_size", [16, 4]),
    ("patch_size", 16),
    ("noise_model", "salt"),
    ("patch_size", [16.5, 16, 16]),
    ("spacing", [1.0, 1.0]),
    ("spacing", [0.0, 1.0, 1.0]),
    ("normalization", "histogram"),
    ("window", [100, -100]),
    ("window", None),
    ("preprocessing", ["sharpen"]),
    ("preprocessing", None),
    ("denoiser", 3),
    ("denoiser", "without_its_step"),
    ("augmentation", ["flip", "mixup"]),
    ("augmentation", "flip"),
    ("rotation", 181),
    ("scaling", 1.0),
    ("lowest_resolution", 0.0),
    ("views", 3),
    ("threshold", 1.5),
    ("noise", 0.0),
    ("noise", 1.5),
    ("loss", "perceptual"),
    ("adversarial", -0.1),
    ("ignore_label", 0),
    ("ignore_label", 2.5),
    ("class_weights", "heavy"),
    ("class_weights", [1.0, -1.0]),
    ("mask_guidance", -1),
    ("label_smoothing", 0.6),
    ("weighted_sampling", "yes"),
    ("start_from", 1),
    ("optimizer", "lbfgs"),
    ("learning_rate", 0),
    ("learning_rate", float("nan")),
    ("learning_rate", "fast"),
    ("momentum", 1.0),
    ("weight_decay", -0.1),
    ("l1", 2),
    ("schedule", "stepwise"),
    ("dropout", 1.0),
    ("gradient_clip", -1),
    ("patience", -1),
    ("validate_every", 0),
    ("ema", 1.0),
    ("amp", 1),
    ("bf16", "yes"),
    ("measurements", 3),
    ("targets", 3),
    ("measured_by", 1),
    ("members", -1),
    ("members", 65),
    ("missing", 1.0),
    ("seed", -1),
    ("workers", 65),
    ("cache", 1.5),
]


@pytest.mark.parametrize(("name", "value"), OUTSIDE)
def test_a_value_out_of_range_is_refused_by_its_name(name, value):
    with pytest.raises(InputError, match=f"'{name}'") as refused:
        TrainingParameters.of({name: value})
    assert refused.value.why
    assert refused.value.remedy


def test_every_parameter_has_a_value_that_is_refused():
    assert {name for name, _ in OUTSIDE} == {field.name for field in dataclasses.fields(TrainingParameters)}


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"'epoch' cannot be chosen.*epochs, batch_size"):
        TrainingParameters.of({"epoch": 3})


def test_parameters_come_back_from_yaml_as_they_were(tmp_path):
    chosen = TrainingParameters(
        epochs=3, patch_size=(32, 32), augmentation=("flip",), class_weights=(1.0, 2.0), learning_rate=0.0003
    )
    chosen.write(tmp_path / "chosen.yaml")
    assert TrainingParameters.read(tmp_path / "chosen.yaml") == chosen


def test_a_yaml_file_may_hold_only_what_differs(tmp_path):
    (tmp_path / "few.yaml").write_text("epochs: 7\nloss: focal\n", encoding="utf-8")
    assert TrainingParameters.read(tmp_path / "few.yaml") == TrainingParameters(epochs=7, loss="focal")


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "epochs: [\n", "!!python/object/apply:os.system ['true']\n"])
def test_a_file_that_holds_no_parameters_is_refused(tmp_path, text):
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(MedAIError, match=r"bad\.yaml"):
        TrainingParameters.read(tmp_path / "bad.yaml")


def test_a_number_needs_no_point_before_its_exponent(tmp_path):
    (tmp_path / "few.yaml").write_text("learning_rate: 1e-3\n", encoding="utf-8")
    assert TrainingParameters.read(tmp_path / "few.yaml").learning_rate == 0.001
    with pytest.raises(InputError, match="'1e3' cannot be used for 'epochs'"):
        TrainingParameters.of({"epochs": "1e3"})


def test_a_list_that_repeats_itself_without_end_is_refused_at_once(tmp_path):
    lines = ["epochs:", "  - &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"  - &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]" for n in range(12)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(InputError, match="cannot be used for 'epochs'") as refused:
        TrainingParameters.read(tmp_path / "bomb.yaml")
    assert len(refused.value.what) < 1000


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        TrainingParameters.read(tmp_path / "nowhere.yaml")
