"""First use as a person meets it: the dialog, a refusal, no network, and success."""

from __future__ import annotations

import pytest

ABSENT = "no-such-package-for-medai>=1"


@pytest.fixture
def a_panel_that_lacks_a_package(an_mr_node, a_panel, monkeypatch):
    """The panel with its real installer and dialogs; only what is needed, and pip, are the test's."""
    from MedAISegmentationLib.install import Requirement

    needed = Requirement(ABSENT)
    a_panel.widget.installer._requirements = [needed]
    a_panel.widget.installer._optional = []
    a_panel.needed = needed
    a_panel.choose(an_mr_node)
    return a_panel


def check_something_quick(panel) -> None:
    """Let the real check import something lighter than torch."""
    check = panel.widget.installer._check
    panel.widget.installer._check = lambda _modules: check(["numpy"])


def test_refusal_leaves_a_usable_panel_that_says_how_to_install_offline(a_panel_that_lacks_a_package):
    import qt

    panel = a_panel_that_lacks_a_package
    panel.host.person.will_answer(qt.QMessageBox.Cancel)
    panel.press_apply()
    [question] = panel.host.person.saw
    assert question.kind == "question"
    assert "no-such-package-for-medai" in question.text
    assert "MB" in question.text
    assert panel.ui.noticeLabel.visible
    assert "--no-index" in panel.ui.noticeLabel.text
    assert panel.ui.applyButton.enabled
    assert not panel.running
    assert panel.segmentations() == []


def test_apply_asks_again_after_a_refusal(a_panel_that_lacks_a_package):
    import qt

    panel = a_panel_that_lacks_a_package
    panel.host.person.will_answer(qt.QMessageBox.Cancel, qt.QMessageBox.Cancel)
    panel.press_apply()
    panel.press_apply()
    assert [shown.kind for shown in panel.host.person.saw] == ["question", "question"]


def test_without_a_network_a_person_reads_what_to_do_and_no_traceback(a_panel_that_lacks_a_package, monkeypatch):
    import qt
    import slicer.packaging

    def no_network(requirements):
        raise RuntimeError("Could not find a version that satisfies the requirement")

    monkeypatch.setattr(slicer.packaging, "installer", no_network)
    panel = a_panel_that_lacks_a_package
    panel.host.person.will_answer(qt.QMessageBox.Ok)
    panel.press_apply()
    _question, error = panel.host.person.saw
    assert error.kind == "critical"
    assert "internet" in error.text
    assert "Traceback" not in error.text + error.details
    assert "Could not find a version" in panel.log
    assert "--find-links" in panel.ui.noticeLabel.text
    assert panel.ui.applyButton.enabled


def test_consent_installs_checks_and_goes_on_with_the_job(a_panel_that_lacks_a_package, monkeypatch):
    import qt
    import slicer.packaging

    panel = a_panel_that_lacks_a_package
    check_something_quick(panel)
    installed = []

    def install(requirements):
        installed.extend(requirements)
        monkeypatch.setattr(panel.needed, "isSatisfied", lambda: True)

    monkeypatch.setattr(slicer.packaging, "installer", install)
    panel.host.person.will_answer(qt.QMessageBox.Ok)
    panel.ui.applyButton.click()
    panel.wait_until(lambda: panel.segmentations() or len(panel.host.person.saw) > 1)
    panel.wait_for_the_end()
    assert installed == [ABSENT]
    assert len(panel.host.person.saw) == 1  # one dialog for everything
    assert "The packages work." in panel.log
    assert not panel.ui.noticeLabel.visible
    assert len(panel.segmentations()) == 1


def test_the_window_lives_during_the_check_and_apply_cannot_be_pressed_twice(a_panel_that_lacks_a_package, monkeypatch):
    import qt
    import slicer.packaging

    panel = a_panel_that_lacks_a_package
    seen = []
    timer = qt.QTimer()
    timer.setInterval(20)
    timer.connect("timeout()", lambda: seen.append(panel.ui.applyButton.enabled))
    monkeypatch.setattr(
        slicer.packaging, "installer", lambda _: monkeypatch.setattr(panel.needed, "isSatisfied", lambda: True)
    )
    panel.host.person.will_answer(qt.QMessageBox.Ok)
    timer.start()
    panel.ui.applyButton.click()  # returns after the check, which imports torch in a child process
    timer.stop()
    assert len(seen) > 5
    assert not any(seen[:-1])
    panel.press_apply()  # Cancel


def test_a_scene_closed_during_the_check_starts_no_job(a_panel_that_lacks_a_package, monkeypatch):
    import qt
    import slicer.packaging

    panel = a_panel_that_lacks_a_package
    check_something_quick(panel)

    def install(_requirements):
        monkeypatch.setattr(panel.needed, "isSatisfied", lambda: True)
        qt.QTimer.singleShot(0, lambda: panel.host.scene.Clear(0))

    monkeypatch.setattr(slicer.packaging, "installer", install)
    panel.host.person.will_answer(qt.QMessageBox.Ok)
    panel.press_apply()
    assert not panel.running
    assert not panel.ui.applyButton.enabled


def test_a_scene_closed_while_consent_is_asked_starts_no_job(a_panel_that_lacks_a_package, monkeypatch):
    import qt
    import slicer.packaging

    panel = a_panel_that_lacks_a_package
    check_something_quick(panel)
    monkeypatch.setattr(
        slicer.packaging, "installer", lambda _: monkeypatch.setattr(panel.needed, "isSatisfied", lambda: True)
    )

    def close_the_scene_then_agree(dialog):
        panel.host.scene.Clear(0)
        dialog.button(qt.QMessageBox.Ok).click()

    panel.host.person.will_answer(close_the_scene_then_agree)
    panel.press_apply()
    assert not panel.running
    assert not panel.ui.applyButton.enabled
    assert panel.segmentations() == []
