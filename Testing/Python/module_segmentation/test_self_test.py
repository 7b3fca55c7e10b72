"""The module's own self-test, as Slicer's "Reload and Test" and ctest run it."""

from __future__ import annotations

import unittest

import pytest


@pytest.fixture
def the_self_test(a_panel, monkeypatch):
    import MedAISegmentation

    monkeypatch.setattr(MedAISegmentation.MedAISegmentationTest, "modelName", "tiny_blobs")
    return MedAISegmentation.MedAISegmentationTest


def test_the_self_test_passes(the_self_test, a_slicer):
    import slicer

    slicer.selfTests["MedAISegmentation"](msec=0)


def test_it_is_found_and_passes_by_the_way_of_ctest_without_a_skipped_test(the_self_test):
    """`slicer.testing.runUnitTest` loads the tests by the module's name."""
    suite = unittest.TestLoader().loadTestsFromName("MedAISegmentation")
    result = unittest.TestResult()
    suite.run(result)
    assert result.testsRun == 6
    assert result.errors == result.failures == []
    assert result.skipped == []


def test_it_can_fail(the_self_test, monkeypatch):
    from MedAISegmentation import MedAISegmentationLogic

    monkeypatch.setattr(MedAISegmentationLogic, "warnings", lambda *_: ())
    with pytest.raises(AssertionError):
        the_self_test("test_imageOfAnotherKindIsWarnedAbout").debug()


def test_without_a_network_it_says_that_the_image_is_synthetic(the_self_test, warned):
    volume = the_self_test("test_blockingRunOnSampleData").sampleVolume()
    assert volume.GetName() == "Synthetic"
    assert any("synthetic" in line for line in warned)


def test_a_sample_that_slicer_does_not_take_is_no_matter_of_the_network(the_self_test, monkeypatch):
    import SampleData

    def without_checksums(category, sampleName, uris, fileNames, nodeNames):  # noqa: N803
        raise AssertionError

    monkeypatch.setattr(SampleData.SampleDataLogic, "registerCustomSampleDataSource", without_checksums)
    with pytest.raises(TypeError, match="thumbnailFileName"):
        the_self_test("test_sampleImageIsOffered").debug()
