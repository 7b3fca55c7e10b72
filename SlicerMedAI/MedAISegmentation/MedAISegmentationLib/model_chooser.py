"""The combo box of models: type a few letters of a name, a use, a modality or a structure to search."""

from __future__ import annotations

from collections.abc import Callable

import qt
from slicer.i18n import tr as _

from MedAISegmentationLib import cards


class Attention(qt.QObject):
    """Tells when a person turns to a widget, just before the widget reacts."""

    EVENTS = (qt.QEvent.MouseButtonPress, qt.QEvent.FocusIn)

    def __init__(self, parent, onAttention: Callable[[], None]) -> None:
        super().__init__(parent)
        self._onAttention = onAttention

    def eventFilter(self, _watched, event) -> bool:
        """Called by Qt for every event of the widget; none is held back."""
        if event.type() in self.EVENTS:
            self._onAttention()
        return False


class ModelChooser:
    """A searchable combo box, which offers a model as soon as it is imported.

    Parameters
    ----------
    comboBox : qt.QComboBox
        Editable.
    onChosen : callable
        ``onChosen(name)``: a person chose the model of that name.
    findModels : callable
        ``findModels() -> list of Description``. Those with a problem can be read about, but not be picked in the list.
    """

    def __init__(self, comboBox, onChosen: Callable[[str], None], findModels: Callable[[], list]) -> None:
        self._comboBox = comboBox
        self._onChosen = onChosen
        self._findModels = findModels
        self._models: list = []
        self._hits = qt.QStringListModel(comboBox)
        completer = qt.QCompleter(comboBox)
        completer.setModel(self._hits)
        # The hits are found here and not by the completer, which would look at the titles alone.
        completer.setCompletionMode(qt.QCompleter.UnfilteredPopupCompletion)
        comboBox.setCompleter(completer)
        comboBox.lineEdit().setPlaceholderText(_("Type a name, a use or an organ"))
        comboBox.lineEdit().connect("textEdited(QString)", self._onTextEdited)
        comboBox.lineEdit().connect("editingFinished()", self._onEditingFinished)
        comboBox.connect("currentIndexChanged(int)", self._onCurrentIndexChanged)
        self._attention = Attention(comboBox, self.refresh)
        comboBox.installEventFilter(self._attention)
        comboBox.lineEdit().installEventFilter(self._attention)

    def refresh(self) -> None:
        """Offer the models that there are now; the one that is shown stays."""
        models = self._findModels()
        if models == self._models:
            return
        current = self._comboBox.currentIndex
        shown = self._models[current].name if current >= 0 else ""
        self._models = models
        wasBlocked = self._comboBox.blockSignals(True)
        self._comboBox.clear()
        for index, model in enumerate(models):
            self._comboBox.addItem(model.title, model.name)
            if model.problem:
                item = self._comboBox.model().item(index)
                item.setEnabled(False)
                item.setText(_("{title} (cannot be used)").format(title=model.title))
                item.setToolTip(cards.toolTip(model.problem))
        self._comboBox.setCurrentIndex(self._index(lambda model: model.name == shown))
        self._comboBox.blockSignals(wasBlocked)
        self._showBeginning()
        self._hits.setStringList([model.title for model in models])

    def usableNames(self) -> list[str]:
        """Names of the models without a problem."""
        return [model.name for model in self._models if not model.problem]

    def model(self, name: str):
        """The model of that name, or None."""
        return next((model for model in self._models if model.name == name), None)

    def show(self, name: str) -> None:
        """Let the combo box show a model, or nothing when it is not installed; `onChosen` is not called."""
        index = self._index(lambda model: model.name == name)
        if index == self._comboBox.currentIndex:
            return  # somebody may be typing
        wasBlocked = self._comboBox.blockSignals(True)
        self._comboBox.setCurrentIndex(index)
        self._comboBox.blockSignals(wasBlocked)
        self._showBeginning()

    def search(self, text: str) -> list[str]:
        """Titles of the models in which every word of `text` occurs somewhere."""
        words = text.casefold().split()
        return [model.title for model in self._models if all(word in searchable(model) for word in words)]

    def _index(self, fits: Callable) -> int:
        return next((index for index, model in enumerate(self._models) if fits(model)), -1)

    def _onTextEdited(self, text: str) -> None:
        self._hits.setStringList(self.search(text))

    def _onEditingFinished(self) -> None:
        # Enter takes the first hit; text that fits nothing gives way to the model that was chosen before.
        text = self._comboBox.lineEdit().text
        current = self._comboBox.currentIndex
        if current >= 0 and self._comboBox.itemText(current) == text:
            self._showBeginning()
            return
        hits = [text] if any(model.title == text for model in self._models) else self.search(text)
        if text.strip() and hits:
            self._comboBox.setCurrentIndex(self._index(lambda model: model.title == hits[0]))
        elif current >= 0:
            self._comboBox.lineEdit().setText(self._comboBox.itemText(current))
        self._showBeginning()
        self._hits.setStringList([model.title for model in self._models])

    def _showBeginning(self) -> None:
        # Qt leaves the cursor behind a new text, and of a title that is longer than the line its end is seen then.
        self._comboBox.lineEdit().setCursorPosition(0)

    def _onCurrentIndexChanged(self, index: int) -> None:
        self._showBeginning()
        if 0 <= index < len(self._models):
            self._onChosen(self._models[index].name)


def searchable(model) -> str:
    """All the words by which a model may be found, in lower case."""
    structures = " ".join(segment.name for segment in model.labels)
    return f"{model.title} {model.name} {model.description} {model.modality} {structures}".casefold()
