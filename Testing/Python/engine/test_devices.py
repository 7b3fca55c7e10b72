"""The device is chosen with a reason, and never silently."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import medai
from medai.engine import devices
from medai.engine.devices import choose_device, describe_expected_device
from medai.errors import DependencyError, InputError


@pytest.fixture
def a_computer_without_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(devices, "_nvidia_driver_present", lambda: False)


@pytest.fixture
def a_computer_with_two_gpus(monkeypatch):
    free = {0: 1, 1: 6}
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda n: (free[n] * 2**30, 8 * 2**30))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda n: f"Tester {n}")
    # The first kernel: on the CPU here, which is enough to see that it is launched.
    ones = torch.ones
    monkeypatch.setattr(torch, "ones", lambda n, device: ones(n))


def test_auto_takes_the_cpu_and_says_why(a_computer_without_gpu):
    assert choose_device("auto") == devices.Device("cpu", "CPU: no NVIDIA GPU was found")


def test_a_driver_without_a_fitting_pytorch_is_named_as_the_reason(a_computer_without_gpu, monkeypatch):
    monkeypatch.setattr(devices, "_nvidia_driver_present", lambda: True)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    assert "built without GPU support" in choose_device("auto").reason


def test_the_cpu_can_always_be_chosen():
    assert choose_device("CPU").name == "cpu"


@pytest.mark.parametrize("requested", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_absent_is_refused_not_replaced(requested, a_computer_without_gpu):
    with pytest.raises(DependencyError, match="cannot be used"):
        choose_device(requested)


@pytest.mark.parametrize("requested", ["toaster", "cuda:x", "cuda:-1", "", "gpu"])
def test_an_unknown_device_is_refused(requested):
    with pytest.raises(InputError, match="not a device"):
        choose_device(requested)


def test_auto_takes_the_gpu_with_the_most_free_memory(a_computer_with_two_gpus):
    chosen = choose_device("auto")
    assert chosen.name == "cuda:1"
    assert "Tester 1 (6 of 8 GB free)" in chosen.reason


def test_a_gpu_number_beyond_the_last_is_refused(a_computer_with_two_gpus):
    assert choose_device("cuda").name == "cuda:0"
    with pytest.raises(InputError, match="number 2"):
        choose_device("cuda:2")


def test_a_gpu_that_fails_at_its_first_kernel_is_not_used(a_computer_with_two_gpus, monkeypatch):
    def too_old(_n, device):
        raise RuntimeError("no kernel image is available for execution on the device")

    monkeypatch.setattr(torch, "ones", too_old)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    chosen = choose_device("auto")
    assert chosen.name == "cpu"
    assert "no kernel image" in chosen.reason
    with pytest.raises(DependencyError):
        choose_device("cuda")


def test_the_expectation_for_a_panel_needs_no_torch():
    code = (
        "import sys; from medai.engine.devices import describe_expected_device as d; print(d().reason);"
        "sys.exit('torch' in sys.modules)"
    )
    library = str(Path(medai.__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", code], cwd=library, capture_output=True, text=True, check=True)
    assert "expected" in done.stdout


def test_the_expectation_follows_the_driver(monkeypatch):
    monkeypatch.setattr(devices, "_nvidia_driver_present", lambda: True)
    assert describe_expected_device().name == "cuda:0"
