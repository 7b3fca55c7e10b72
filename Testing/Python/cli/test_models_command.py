"""``medai models``: what a person learns of a model, and how a new one comes in."""

from __future__ import annotations

import json
import shutil

import pytest


def test_the_list_names_models_and_what_they_find(medai):
    done = medai("models", "list")
    assert done.exit_code == 0
    assert "tiny" in done.stdout
    assert "left thing" in done.stdout.lower()


def test_the_list_for_programs_is_json(medai):
    names = {model["name"]: model for model in json.loads(medai("models", "list", "--json").stdout)}
    assert names["tiny"]["version"] == "0.3.0"


def test_showing_a_model_tells_what_it_is_for(medai):
    done = medai("models", "show", "tiny")
    assert "Tells nothing, quickly." in done.stdout
    assert "A. Test" in done.stdout


def test_every_command_is_summed_up_in_a_line(medai):
    from medai.cli import app

    for registered in app.registered_commands:
        first = registered.callback.__doc__.split("\n\n")[0]
        assert "\n" not in first.strip(), registered.name


def test_all_kinds_of_data_are_named(medai):
    from medai.training.data import KINDS

    told = medai("train", "-h").stdout
    assert all(kind in told for kind in KINDS)


def test_an_unknown_model_has_its_own_exit_code(medai):
    done = medai("models", "show", "tinny")
    assert done.exit_code == 4
    assert "Did you mean 'tiny'" in done.stderr


@pytest.mark.parametrize("network", ["--network", "--no-network"])
def test_a_sound_model_passes(medai, network):
    done = medai("models", "verify", "tiny", network)
    assert done.exit_code == 0, done.output
    assert "FAILED" not in done.stdout
    assert ("network:" in done.stdout) == (network == "--network")


def test_a_model_without_weights_fails(medai, models_folder, tmp_path):
    shutil.copytree(models_folder / "tiny", tmp_path / "hollow")
    (tmp_path / "hollow" / "models" / "model.pt").write_bytes(b"PK")
    done = medai("models", "verify", tmp_path / "hollow", "--json")
    assert done.exit_code == 4
    report = json.loads(done.stdout)
    assert not report["ok"]
    assert not next(check for check in report["checks"] if check["name"] == "weights")["ok"]


def test_a_model_is_imported_under_a_name_once(medai, models_folder):
    assert medai("models", "import", models_folder / "tiny", "--name", "mine").exit_code == 0
    assert "mine" in medai("models", "list").stdout
    again = medai("models", "import", models_folder / "tiny", "--name", "mine")
    assert again.exit_code == 3
    assert "already" in again.stderr
    assert "--name" in again.stderr
    assert "--replace" in again.stderr
    assert medai("models", "import", models_folder / "tiny", "--name", "mine", "--replace").exit_code == 0


def test_a_model_with_code_of_its_own_waits_for_trust(medai, models_folder, tmp_path):
    shutil.copytree(models_folder / "tiny", tmp_path / "scripted")
    path = tmp_path / "scripted" / "configs" / "inference.json"
    content = json.loads(path.read_text())
    content["preprocessing"]["transforms"].append({"_target_": "scripts.mine.Own"})
    path.write_text(json.dumps(content))
    done = medai("models", "import", tmp_path / "scripted")
    assert done.exit_code == 4, done.stderr
    assert "trust" in done.stderr
    shown = medai("models", "show", "scripted").stdout
    assert "What it does on its own (nobody has trusted it yet):" in shown
    assert "calls 'scripts.mine.Own'" in shown
    assert medai("models", "trust", "scripted").exit_code == 0
    shown = json.loads(medai("models", "show", "scripted", "--json").stdout)
    assert shown["problem"] == ""
    assert "scripts.mine.Own" in shown["concerns"][0]
    assert "(you have trusted it)" in medai("models", "show", "scripted").stdout


def test_a_model_without_code_of_its_own_raises_no_concern(medai):
    assert "on its own" not in medai("models", "show", "tiny").stdout
    assert json.loads(medai("models", "show", "tiny", "--json").stdout)["concerns"] == []


def test_a_model_whose_settings_cannot_be_read_is_still_shown(medai, models_folder, tmp_path):
    shutil.copytree(models_folder / "tiny", tmp_path / "cut")
    (tmp_path / "cut" / "configs" / "inference.json").write_text("{")
    done = medai("models", "show", tmp_path / "cut")
    assert done.exit_code == 0
    assert "Problem:" in done.stdout
    assert "inference.json" in done.stdout


def test_pinning_a_model_of_ones_own_makes_later_changes_known(medai, models_folder, tmp_path):
    root = tmp_path / "mine"
    shutil.copytree(models_folder / "tiny", root)
    assert "SHA256SUMS" in medai("models", "pin", root).stdout
    assert medai("models", "verify", root, "--no-network").exit_code == 0
    (root / "models" / "model.pt").write_bytes((root / "models" / "model.pt").read_bytes() + b"x")
    assert "was changed" in medai("models", "verify", root, "--no-network").stdout
    again = medai("models", "pin", root)
    assert again.exit_code == 3
    assert "--replace" in again.stderr
    assert medai("models", "pin", root, "--replace").exit_code == 0
    assert medai("models", "verify", root, "--no-network").exit_code == 0


def test_libraries_do_not_talk_into_a_report(start_medai):
    process = start_medai("models", "verify", "tiny")
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, out
    assert err == ""


def test_the_version_is_told(medai):
    import medai as package

    assert medai("--version").stdout.strip() == f"medai {package.__version__}"


def test_help_lists_exit_codes(medai):
    assert "130 cancelled" in " ".join(medai("segment", "--help").stdout.replace("│", " ").split())


def test_preparing_a_model_tells_what_it_will_be_computed_by(medai):
    done = medai("models", "prepare", "tiny", "--backend", "torch")
    assert done.exit_code == 0
    assert "tiny will be computed by PyTorch: chosen by you" in done.stdout
    told = json.loads(medai("models", "prepare", "tiny", "--backend", "torch", "--json").stdout)
    assert told["forms"] == [
        {"Form": "PyTorch", "Times faster than PyTorch": 1.0, "Agreement (%)": 100.0, "Used": True}
    ]


def test_a_backend_that_does_not_exist_is_told_apart(medai):
    done = medai("models", "prepare", "tiny", "--backend", "abacus")
    assert done.exit_code not in (0, 1)
    assert "auto, torch, openvino, onnxruntime" in done.stderr


def test_compressing_without_data_says_what_they_are_for(medai):
    done = medai("models", "compress", "tiny", "--method", "prune")
    assert done.exit_code == 3
    assert "no images to prune the model with" in done.stderr
    assert "--data" in done.stderr


def test_an_unknown_method_is_refused_with_those_that_are_known(medai, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    done = medai("models", "compress", "tiny", "--method", "squeeze", "--data", str(tmp_path))
    assert done.exit_code == 3


def test_an_export_is_checked_and_says_how_near_it_is(medai, tmp_path):
    done = medai("models", "export", "tiny", "--to", "torchscript", "--output", str(tmp_path / "out"), "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert max(row["Largest relative error"] for row in record["exported"]) < 1e-3
    assert (tmp_path / "out" / "export.json").is_file()
