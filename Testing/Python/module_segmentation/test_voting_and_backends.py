"""What computes the network, and mirrored images that vote: chosen in the panel, told with the result."""

from __future__ import annotations

import pytest


def test_the_panel_offers_the_backends_that_the_task_knows(a_panel):
    from medai.errors import InputError
    from medai.tasks.segment import SegmentParameters
    from MedAISegmentation import Backend

    box = a_panel.ui.backendComboBox
    assert [box.itemText(row) for row in range(box.count)] == ["Automatic", "PyTorch", "OpenVINO", "ONNX Runtime"]
    with pytest.raises(InputError) as refused:
        SegmentParameters(backend="no such backend")
    assert f"It is one of: {', '.join(backend.value for backend in Backend)}." in refused.value.why
    assert a_panel.widget._parameterNode.backend.value == SegmentParameters().backend
    assert a_panel.widget._parameterNode.tta == SegmentParameters().tta


def test_what_is_chosen_reaches_the_job(an_mr_node, a_panel):
    a_panel.choose(an_mr_node, "tiny_blobs_in_many_windows")
    a_panel.ui.backendComboBox.setCurrentIndex(1)
    a_panel.ui.ttaCheckBox.setChecked(True)
    a_panel.press_apply()
    given = a_panel.widget.job.run._running.job.parameters
    a_panel.press_apply()  # Cancel
    assert (given["backend"], given["tta"]) == ("torch", True)


def test_the_result_says_what_computed_it_and_why(a_slicer):
    from MedAISegmentationLib import cards

    from medai.result import Provenance, Result, Table

    table = Table({"Segment": ("Core",), "Volume (mL)": (1.5,)})
    notes = ("CPU: no GPU", "OpenVINO: 1.9 times faster than plain PyTorch on this computer")
    provenance = Provenance("segment", "tiny_blobs", device_reason="CPU: no GPU", notes=notes)
    card = cards.resultCard(*cards.volumesOf(Result((table,), provenance)))
    assert "1.9 times faster" in card
    assert card.count("CPU: no GPU") == 1
    assert "Uncertainty" not in card


def test_mirrored_images_vote_and_the_result_names_where_they_disagree(an_mr_node, a_panel):
    import slicer

    a_panel.choose(an_mr_node)
    a_panel.ui.ttaCheckBox.setChecked(True)
    a_panel.apply_and_wait()
    assert a_panel.host.person.saw == []
    uncertainty = slicer.util.getNode("Head MR uncertainty")
    assert "Head MR uncertainty" in a_panel.ui.resultLabel.text
    values = slicer.util.arrayFromVolume(uncertainty)
    assert values.min() >= 0
    assert 0 < values.max() < 1
    assert uncertainty.GetAttribute("MedAI.Parameter.tta") == "True"


def test_from_the_console_a_backend_is_an_enumeration_or_its_name(an_mr_node, a_slicer):
    from MedAISegmentation import Backend, MedAISegmentationLogic

    for backend in (Backend.TORCH, "torch"):
        node = MedAISegmentationLogic().process(an_mr_node, "tiny_blobs", backend=backend)
        assert node.GetAttribute("MedAI.Parameter.backend") == "torch"
