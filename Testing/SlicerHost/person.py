"""The person in front of the screen: sees every modal dialog, and answers as the test told them beforehand."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from PySide6 import QtCore, QtWidgets

_KINDS = {
    QtWidgets.QMessageBox.Icon.Information: "information",
    QtWidgets.QMessageBox.Icon.Warning: "warning",
    QtWidgets.QMessageBox.Icon.Critical: "critical",
    QtWidgets.QMessageBox.Icon.Question: "question",
}


class Unanswered(AssertionError):
    """A dialog asked something and the test had not said what to answer; Slicer would wait for ever."""


@dataclass(frozen=True)
class Shown:
    """What a modal dialog showed.

    `kind` is ``information``, ``warning``, ``critical``, ``question``, ``plain`` (message boxes), ``dialog`` or
    ``file``; `buttons` are the captions of a message box.
    """

    kind: str
    title: str
    text: str
    details: str = ""
    buttons: tuple[str, ...] = ()


class Person:
    """Answers modal dialogs in the order in which they appear.

    Attributes
    ----------
    saw : list of Shown
        Every modal dialog so far.
    """

    def __init__(self) -> None:
        self.saw: list[Shown] = []
        self._answers: deque[Any] = deque()

    def will_answer(self, *answers: Any) -> None:
        """Decide on the answers to the coming dialogs.

        Parameters
        ----------
        *answers
            For a message box one of its buttons (``qt.QMessageBox.Ok``). For any dialog a callable: it is given the
            dialog, clicks what it likes, and must leave the dialog closed. For a file or text question the text.
        """
        self._answers.extend(answers)

    def meets(self, dialog: QtWidgets.QDialog) -> int:
        """Show a dialog and answer it; what ``exec_`` returns."""
        self.saw.append(_describe(dialog))
        answer = self._answers.popleft() if self._answers else _only_answer(dialog)
        if answer is None:
            raise Unanswered(f"Nobody decided what to answer to {self.saw[-1]}")
        QtWidgets.QWidget.show(dialog)
        if callable(answer) and not isinstance(answer, QtWidgets.QMessageBox.StandardButton):
            answer(dialog)
        else:
            button = QtWidgets.QMessageBox.button(dialog, answer)
            if button is None:
                raise AssertionError(f"{self.saw[-1]} has no button {answer!r}")
            QtWidgets.QAbstractButton.click(button)
        QtWidgets.QApplication.processEvents()
        if QtWidgets.QWidget.isVisible(dialog):
            raise Unanswered(f"{self.saw[-1]} is still open after its answer")
        return int(QtWidgets.QDialog.result(dialog))

    def tells(self, title: str, question: str) -> str:
        """Answer a question for a file name or a text."""
        self.saw.append(Shown("file", title, question))
        if not self._answers:
            raise Unanswered(f"Nobody decided what to answer to {self.saw[-1]}")
        return str(self._answers.popleft())


def _only_answer(dialog: QtWidgets.QDialog) -> QtWidgets.QMessageBox.StandardButton | None:
    """A message with a single button needs no decision."""
    if not isinstance(dialog, QtWidgets.QMessageBox):
        return None
    # "Show Details..." and the like leave the box open, so they are no answers.
    action = QtWidgets.QMessageBox.ButtonRole.ActionRole
    buttons = [
        b for b in QtWidgets.QMessageBox.buttons(dialog) if QtWidgets.QMessageBox.buttonRole(dialog, b) != action
    ]
    if len(buttons) > 1:
        return None
    # A message box without any button gets an Ok button when it is shown.
    return (
        QtWidgets.QMessageBox.standardButton(dialog, buttons[0]) if buttons else QtWidgets.QMessageBox.StandardButton.Ok
    )


def _describe(dialog: QtWidgets.QDialog) -> Shown:
    title = QtCore.QObject.property(dialog, "windowTitle").strip()
    if not isinstance(dialog, QtWidgets.QMessageBox):
        labels = dialog.findChildren(QtWidgets.QLabel)
        return Shown("dialog", title, "\n".join(str(QtCore.QObject.property(label, "text")) for label in labels))
    texts = (QtCore.QObject.property(dialog, name) for name in ("text", "informativeText"))
    buttons = QtWidgets.QMessageBox.buttons(dialog)
    return Shown(
        kind=_KINDS.get(QtCore.QObject.property(dialog, "icon"), "plain"),
        title=title,
        text="\n\n".join(filter(None, texts)),
        details=QtCore.QObject.property(dialog, "detailedText"),
        buttons=tuple(str(QtCore.QObject.property(button, "text")).replace("&", "") for button in buttons),
    )
