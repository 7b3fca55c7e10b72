# ruff: noqa: PT009 - Slicer's self-tests are unittest test cases
"""The module's self-test: in Slicer by "Reload and Test" or ctest, without Slicer by pytest on the stand-in."""

from __future__ import annotations

import logging
import sys
import time
import unittest

import numpy as np
import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from MedAISegmentationLib.logic import DEFAULT_MODEL, MedAISegmentationLogic
from MedAISegmentationLib.parameters import Backend, Device

PATIENCE_S = 300.0


class MedAISegmentationTest(ScriptedLoadableModuleTest):
    """Every test starts in an empty scene. Those that run a model are skipped where torch is not installed."""

    modelName = DEFAULT_MODEL
    """The model that is run; another one may be set before the tests start."""

    def setUp(self):
        """Clear the scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run all tests; called by "Reload and Test"."""
        for name in sorted(name for name in dir(self) if name.startswith("test_")):
            self.setUp()
            self.delayDisplay(name)
            try:
                getattr(self, name)()
            except unittest.SkipTest as skipped:
                self.delayDisplay(f"{name} skipped: {skipped}")
            finally:
                self.tearDown()
        self.delayDisplay("Test passed")

    def test_modelsAreDescribedWithoutImportingTorch(self):
        """Opening the panel must not freeze Slicer for the seconds that torch takes."""
        torchWasThere = "torch" in sys.modules
        models = MedAISegmentationLogic().models()
        self.assertEqual("torch" in sys.modules, torchWasThere)
        for model in models:
            self.assertTrue(model.title, model.name)
            self.assertTrue(model.labels, model.name)

    def test_parametersAreSavedWithTheScene(self):
        """What was chosen is in the parameter node, typed."""
        volume = self.syntheticVolume()
        parameters = MedAISegmentationLogic().getParameterNode()
        parameters.inputNode = volume
        parameters.model = self.modelName
        parameters.excludedSegments = ["Posterior hippocampus"]
        parameters.device = Device.CPU
        parameters.backend = Backend.TORCH
        parameters.tta = True
        parameters.show3D = False
        again = MedAISegmentationLogic().getParameterNode()
        self.assertEqual(again.inputNode.GetID(), volume.GetID())
        self.assertEqual(again.model, self.modelName)
        self.assertEqual(list(again.excludedSegments), ["Posterior hippocampus"])
        self.assertIs(again.device, Device.CPU)
        self.assertIs(again.backend, Backend.TORCH)
        self.assertTrue(again.tta)
        self.assertFalse(again.show3D)

    def test_sampleImageIsOffered(self):
        """The Sample Data module takes the description of the image, and finds it by the name that scripts use."""
        import SampleData

        from MedAISegmentationLib.sample_data import HEAD_MR, registerSampleData

        registerSampleData()  # a second time: that of Slicer's start must not be in the way
        source = SampleData.SampleDataLogic().sourceForSampleName(HEAD_MR)
        self.assertIsNotNone(source)
        self.assertEqual(source.nodeNames, ["MRHead"])

    def test_imageOfAnotherKindIsWarnedAbout(self):
        """A CT for a model of MR images is allowed, but not silently."""
        logic = MedAISegmentationLogic()
        models = [model for model in logic.models() if model.modality and model.modality != "CT"]
        if not models:
            self.skipTest("Every installed model takes CT.")
        volume = self.syntheticVolume()
        volume.SetAttribute("DICOM.Modality", "CT")
        self.assertTrue(logic.warnings(volume, models[0]))

    def test_blockingRunOnSampleData(self):
        """From a volume node to a segmentation node on the same grid, in one call."""
        self.requireModel()
        volume = self.sampleVolume()
        heard = []
        node = MedAISegmentationLogic().process(volume, self.modelName, onProgress=heard.append)
        self.assertTrue(node.IsA("vtkMRMLSegmentationNode"))
        self.assertTrue(slicer.mrmlScene.IsNodePresent(node))
        self.assertGreater(node.GetSegmentation().GetNumberOfSegments(), 0)
        self.assertTrue(node.GetAttribute("MedAI.Bundle"), "The result says which model made it.")
        self.assertTrue(heard, "Progress was reported.")

    def test_cancelledRunLeavesTheSceneAsItWas(self):
        """Nothing is added, and the next run works."""
        self.requireModel()
        volume = self.syntheticVolume()
        logic = MedAISegmentationLogic()
        slicer.mrmlScene.GetSubjectHierarchyNode()  # comes into being when it is first asked for
        before = slicer.mrmlScene.GetNumberOfNodes()
        errors, results = [], []
        callbacks = {"onFinished": lambda *result: results.append(result), "onError": errors.append}
        run = logic.process(volume, self.modelName, **callbacks)
        run.cancel()
        self.assertTrue(run.ended)
        self.assertEqual(type(errors[0]).__name__, "JobCancelled")
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)
        logic.process(volume, self.modelName, **callbacks)
        self.waitUntil(lambda: results or len(errors) > 1)
        self.assertEqual(len(errors), 1, errors[1:])
        self.assertEqual(len(results), 1)
        logic.close()

    def requireModel(self) -> None:
        """Skip where the model cannot run; tests do not install packages."""
        from MedAISegmentationLib.install import readRequirements

        missing = [requirement.text for requirement in readRequirements() if not requirement.isSatisfied()]
        if missing:
            self.skipTest(f"Not installed: {', '.join(missing)}")
        if self.modelName not in [model.name for model in MedAISegmentationLogic().models()]:
            self.skipTest(f"The model {self.modelName} is not installed.")

    def sampleVolume(self):
        """MRHead from Sample Data; a synthetic volume where it cannot be downloaded, which the log then says."""
        import SampleData

        from MedAISegmentationLib.sample_data import HEAD_MR

        try:
            return SampleData.downloadSample(HEAD_MR)
        except Exception as error:  # no network, a proxy's error page...
            message = f"The sample image is not available ({error}); a synthetic one is used instead."
            logging.warning(message)
            self.delayDisplay(message)
            return self.syntheticVolume()

    def syntheticVolume(self):
        """A bright ellipsoid in noise, 32 x 40 x 36 voxels of 1 mm."""
        k, j, i = np.mgrid[-1:1:36j, -1:1:40j, -1:1:32j]
        noise = np.random.default_rng(7).normal(0, 5, k.shape)
        array = (100 * (k**2 + j**2 + i**2 < 0.5) + noise + 30).astype(np.int16)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Synthetic")
        slicer.util.updateVolumeFromArray(node, array)
        return node

    def waitUntil(self, done) -> None:
        """Let Slicer's event loop run until something has happened."""
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            self.assertLess(time.monotonic(), deadline, "Nothing happened for too long.")
            slicer.app.processEvents()
            time.sleep(0.02)
