"""Configurations that try to run code, each refused before anything of it runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from medai.bundles import trust
from medai.errors import BundleError, BundleFormatError, MaliciousBundleError, UntrustedBundleError

OS = {"imports": ["$import os"]}

HARMFUL: dict[str, dict[str, Any]] = {
    "a target outside": {"network_def": {"_target_": "os.system", "command": "x"}},
    "a target reached through torch": {"x": {"_target_": "torch.os.system", "command": "x"}},
    "a target reached through an allowed module": {"x": {"_target_": "torch.nn.functional.torch.os.system"}},
    "a target reached through numpy": {"x": {"_target_": "numpy.testing.runstring"}},
    "a builtin as target": {"x": {"_target_": "exec"}},
    "a builtin by its module": {"x": {"_target_": "builtins.eval"}},
    "a subprocess": {"x": {"_target_": "subprocess.Popen", "args": "x"}},
    "a key that merges a target": {"x#_target_": "os.system"},
    "the whole config as a component": {"_target_": "os.system"},
    "a walk over all classes": {"x": "$[].__class__.__base__.__subclasses__()"},
    "dunder import": {"x": "$__import__('os').system('x')"},
    "eval in another alphabet": {"x": "$\U0001d41e\U0001d42f\U0001d41a\U0001d425('1')"},
    "eval behind an operator": {"x": "$1 if True else eval('1')"},
    "globals": {"x": "$globals()['os']"},
    "function globals": {"x": "$(lambda: 0).__globals__"},
    "a loop that assigns": {"x": "$[0 for @network.forward in [1]]"},
    "a loop that assigns to torch": {"x": "$[0 for torch.nn in [1]]"},
    "a reference that ends a text": {"f": 1, "x": "$'@f' or 1"},
    "a reference to imports": {**OS, "x": "$@imports::0.system('x')"},
    "a reference to imports by the old sign": {**OS, "x": "$@imports#0.system('x')"},
    "a relative reference to imports": {**OS, "x": {"y": "$@::::imports::0.system('x')"}},
    "a reference to everything": {**OS, "x": "$@['imports'][0].system('x')"},
    "a macro that copies imports": {**OS, "x": "%imports"},
    "an import under a harmless name": {"imports": ["$import os as torch"], "x": "$torch.system('x')"},
    "an import that replaces a builtin": {"imports": ["$from os.path import join as list"]},
    "two meanings of one name": {"imports": ["$import glob as g", "$import os as g"]},
    "an import of a function": {"imports": ["$from os import system"], "x": "$system('x')"},
    "an import of subprocess": {"imports": ["$import subprocess"]},
    "code behind an import": {"imports": ["$import glob; import subprocess"]},
    "code on the line after an import": {"imports": ["$import glob\nimport subprocess"]},
    "a reader by its path": {"preprocessing": {"_target_": "LoadImaged", "keys": "image", "reader": "os.system"}},
    "a writer by its path": {"postprocessing": {"_target_": "SaveImaged", "keys": "pred", "writer": "subprocess.call"}},
    "a merger by its path": {"inferer": {"_target_": "PatchInferer", "merger_cls": "os.system"}},
    "a stop in the debugger": {"x": {"_target_": "UNet", "_mode_": "debug"}},
    "a stop in the debugger by argument": {"x": {"_target_": "UNet", "_debug_": True}},
    "a lambda that renames torch": {"x": "$(lambda torch: torch.load)(1)"},
    "the machinery of references": {"x": "$__local_refs['imports']"},
    "a path out of the bundle": {"inferer": "$@bundle_root + '/../../elsewhere'"},
    "a checkpoint out of the bundle": {"h": [{"_target_": "CheckpointLoader", "load_path": "../../x.pt"}]},
    "os.remove": {**OS, "x": "$os.remove('x')"},
    "sys.modules": {"imports": ["$import sys"], "x": "$sys.modules['os'].system('x')"},
}

NOT_TRUSTED: dict[str, dict[str, Any]] = {
    "a target by reference": {"x": "os.system", "y": {"_target_": "@x"}},
    "a target by expression": {"x": {"_target_": "$'os.' + 'system'"}},
    "a target by macro": {"x": "os.system", "y": {"_target_": "%x"}},
    "a class of its own": {"network_def": {"_target_": "scripts.net.Net"}},
    "an import of its own": {"imports": ["$import scripts"]},
    "an import of another library": {"imports": ["$import pandas as pd"]},
    "an import elsewhere": {"x": "$import os"},
    "MONAI's runner of commands": {"x": {"_target_": "monai.utils.misc.run_cmd", "cmd_list": ["x"]}},
    "MONAI's runner by its bare name": {"x": {"_target_": "run_cmd", "cmd_list": ["x"]}},
    "MONAI's importer": {"x": {"_target_": "monai.utils.optional_import", "module": "os"}},
    "MONAI's importer in an expression": {"x": "$monai.utils.optional_import('os')[0].system('x')"},
    "MONAI's instantiate": {"x": {"_target_": "instantiate", "path": "os.system"}},
    "a parser within the config": {"x": "$monai.bundle.ConfigParser({'a': 1}).get_parsed_content('a')"},
    "a download": {"x": {"_target_": "monai.bundle.download", "name": "x"}},
    "a download by MONAI's apps": {"x": {"_target_": "monai.apps.utils.download_url", "url": "x"}},
    "an unpickling of MONAI": {"x": {"_target_": "monai.data.utils.pickle_operations", "data": {}}},
    "a class that another module imported": {"x": {"_target_": "monai.transforms.io.array.Path"}},
    "a leaked name of a loop": {"x": "$[getattr for getattr in [getattr]][0](@network, 'forward')"},
    "getattr": {"x": "$getattr(@network, 'for' + 'ward')"},
    "operator.attrgetter": {"imports": ["$import operator"], "x": "$operator.attrgetter('a')"},
    "ctypes of an array": {"x": "$np.zeros(1).ctypes._ctypes.CDLL(None).system(b'x')"},
    "torch.load": {"x": "$torch.load('x.pt')"},
    "torch.load in an f-string": {"x": "$f'{torch.load}'"},
    "torch.load as a value": {"x": "$list(map(torch.load, ['x.pt']))"},
    "torch.hub": {"x": "$torch.hub.load('a', 'b')"},
    "torch.jit.load": {"x": "$torch.jit.load('x.ts')"},
    "torch.save": {"x": "$torch.save(@network, 'x')"},
    "numpy.load": {"x": "$np.load('x.npy')"},
    "an array written": {"x": "$np.zeros(1).tofile('x')"},
    "open": {"x": "$open('x', 'w').write('y')"},
    "setattr": {"x": "$setattr(@network, 'forward', 1)"},
    "a second setattr behind the allowed one": {
        "x": "$setattr(torch.backends.cudnn, 'benchmark', True) or setattr(torch, 'x', 1)"
    },
    "a module as a value": {**OS, "x": "$(lambda m: m.to)(os)"},
    "a text that reaches attributes": {"x": "$'{0.network.x}'.format(@evaluator)"},
    "a text that reaches attributes in its format": {"x": "$'{0:{1.x}}'.format(1, @evaluator)"},
    "an assignment": {"x": "$(y := 1)"},
    "a key that becomes code": {"k[0] or quit() or": {"y": "$[1][@::b]", "b": 0}},
    "a reader by reference": {"a": "os.system", "pre": {"_target_": "LoadImaged", "keys": "i", "reader": "@a"}},
    "a reader by expression": {"pre": {"_target_": "LoadImaged", "keys": "i", "reader": "$'os.' + 'system'"}},
    "a reader that unpickles": {"pre": {"_target_": "LoadImaged", "keys": "i", "reader": "NumpyReader"}},
    "a reader that unpickles as an object": {"pre": {"_target_": "LoadImaged", "reader": {"_target_": "NumpyReader"}}},
    "a loader in an expression": {"x": "$monai.transforms.LoadImage('os.system')('x')"},
    "files listed while it runs": {"imports": ["$import glob"], "inferer": "$glob.glob('*')"},
    "a folder made while it runs": {**OS, "inferer": "$os.makedirs('x')"},
    "a log written while it runs": {"inferer": {"_target_": "monai.handlers.LogfileHandler", "output_dir": "x"}},
    "weights cached in a folder of its choice": {"inferer": {"_target_": "LearningRateFinder", "cache_dir": "x"}},
    "a dataset read while it runs": {"inferer": "@dataset"},
    "a server on the network": {"inferer": "$os.path.join('//server/share', 'x')", **OS},
    "weights from the network": {"network_def": {"_target_": "ResNetFeatures", "model_name": "x", "pretrained": True}},
    "weights from the network by default": {"network_def": {"_target_": "EfficientNetBN", "model_name": "x"}},
    "code in great depth": {"x": "$" + "(" * 500 + "1" + ")" * 500},
    "code that is no code": {"x": "$import"},
}


@pytest.mark.parametrize("attack", [pytest.param(value, id=name) for name, value in HARMFUL.items()])
def test_what_no_honest_model_needs_is_refused_for_good(make_bundle, attack):
    root = make_bundle(config=attack)
    with pytest.raises(MaliciousBundleError, match="no honest model"):
        trust.check_config(root)
    with pytest.raises(MaliciousBundleError):
        trust.trust(root)
    assert not trust.is_trusted(root)


@pytest.mark.parametrize("attack", [pytest.param(value, id=name) for name, value in NOT_TRUSTED.items()])
def test_what_goes_beyond_monai_is_refused_until_trusted(make_bundle, attack):
    root = make_bundle(config=attack)
    with pytest.raises(UntrustedBundleError) as caught:
        trust.check_config(root)
    assert "medai models show tiny_kidney" in caught.value.remedy
    assert "medai models trust tiny_kidney" in caught.value.remedy


def test_a_target_of_os_system_does_not_run(make_bundle, a_marker):
    root = make_bundle(config={"network_def": {"_target_": "os.system", "command": f"mkdir {a_marker}"}})
    with pytest.raises(MaliciousBundleError, match=r"network_def::_target_.*os\.system"):
        trust.check_config(root)
    assert not a_marker.exists()


def test_the_same_target_does_run_in_monai_itself(make_bundle, a_marker):
    # Proof that the attack above works where nothing is checked.
    from monai.bundle import ConfigParser

    ConfigParser({"x": {"_target_": "os.mkdir", "path": str(a_marker)}}).get_parsed_content("x")
    assert a_marker.exists()


@pytest.mark.parametrize("text", ["$__import__('os').mkdir('x')", "%inference", "$import os"])
def test_code_in_the_metadata_is_refused(make_bundle, text):
    # MONAI evaluates the texts of metadata.json as well.
    with pytest.raises(UntrustedBundleError, match="metadata"):
        trust.check_config(make_bundle(metadata={"description": text}))


@pytest.mark.parametrize("name", ["itk.py", "nibabel/__init__.py", "models/torch.so", "configs/glob.pyc"])
def test_code_that_could_take_the_place_of_another_package_is_refused(a_bundle, name):
    (a_bundle / name).parent.mkdir(exist_ok=True)
    (a_bundle / name).write_text("")
    with pytest.raises(UntrustedBundleError, match="code of the model's own"):
        trust.check_config(a_bundle)


@pytest.mark.parametrize("name", ["../../secret.json", "/etc/settings.json", "configs/../../secret.yaml"])
@pytest.mark.parametrize("trusted", [False, True])
def test_settings_from_files_outside_are_refused_even_when_trusted(make_bundle, monkeypatch, name, trusted):
    monkeypatch.setattr(trust, "is_trusted", lambda root: trusted)
    with pytest.raises(MaliciousBundleError, match="outside"):
        trust.check_config(make_bundle(config={"x": f"%{name}::y"}))


def test_settings_from_a_file_of_the_bundle_are_checked_with_the_rest(a_bundle):
    config = a_bundle / "configs" / "inference.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps({**content, "network_def": "%configs/net.json::net"}))
    with pytest.raises(BundleFormatError, match="missing"):
        trust.check_config(a_bundle)
    (a_bundle / "configs" / "net.json").write_text(json.dumps({"net": {"_target_": "os.system"}}))
    with pytest.raises(MaliciousBundleError):
        trust.check_config(a_bundle)
    (a_bundle / "configs" / "net.json").write_text(json.dumps({"net": {"_target_": "UNet"}}))
    trust.check_config(a_bundle)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: !!python/object/apply:os.system ['x']\n", MaliciousBundleError),
        ("a: [&x 1, *x]\n", BundleFormatError),
        ("a: 1\na: 2\n", BundleFormatError),
        ("- 1\n", BundleFormatError),
        ("a: [\n", BundleFormatError),
    ],
)
def test_yaml_that_is_more_than_settings_is_refused(a_bundle, text, error):
    (a_bundle / "configs" / "inference.json").unlink()
    (a_bundle / "configs" / "inference.yaml").write_text(text)
    with pytest.raises(error):
        trust.check_config(a_bundle)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', "{", "[]", "[" * 100_000, '{"a": "\xff'])
def test_json_that_two_readers_could_take_differently_is_refused(a_bundle, text):
    (a_bundle / "configs" / "inference.json").write_text(text, encoding="latin-1")
    with pytest.raises(BundleFormatError):
        trust.check_config(a_bundle)


def test_every_refusal_is_a_bundle_error_with_three_sentences(make_bundle):
    for number, attack in enumerate([*HARMFUL.values(), *NOT_TRUSTED.values()]):
        with pytest.raises(BundleError) as caught:
            trust.check_config(make_bundle(f"bundle_{number}", config=attack))
        assert caught.value.what
        assert caught.value.why
        assert caught.value.remedy
