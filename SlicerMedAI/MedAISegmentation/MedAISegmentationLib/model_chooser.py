"""The combo box of models: type a few letters of a name, a use, a modality or a structure to search."""

from __future__ import annotations

from collections.abc import Callable

import qt


class ModelChooser:
    """A searchable combo box.

    Parameters
    ----------
    comboBox : qt.QComboBox
        Editable.
    onChosen : callable
        ``onChosen(name)``: a person chose the model of that name.
    """

    def __init__(self, comboBox, onChosen: Callable[[str], None]) -> None:
        self._comboBox = comboBox
        self._onChosen = onChosen
        self._models: list = []
        self._hits = qt.QStringListModel(comboBox)
        completer = qt.QCompleter(comboBox)
        completer.setModel(self._hits)
        # The hits are found here and not by the completer, which would look at the titles alone.
        completer.setCompletionMode(qt.QCompleter.UnfilteredPopupCompletion)
        comboBox.setCompleter(completer)
        comboBox.lineEdit().setPlaceholderText(comboBox.toolTip)
        comboBox.lineEdit().connect("textEdited(QString)", self._onTextEdited)
        comboBox.lineEdit().connect("editingFinished()", self._onEditingFinished)
        comboBox.connect("currentIndexChanged(int)", self._onCurrentIndexChanged)

    def setModels(self, models: list) -> None:
        """Offer these `Description` objects; none is chosen yet."""
        self._models = list(models)
        wasBlocked = self._comboBox.blockSignals(True)
        self._comboBox.clear()
        for model in self._models:
            self._comboBox.addItem(model.title, model.name)
        self._comboBox.setCurrentIndex(-1)
        self._comboBox.blockSignals(wasBlocked)
        self._hits.setStringList([model.title for model in self._models])

    def names(self) -> list[str]:
        """Names of the models on offer."""
        return [model.name for model in self._models]

    def model(self, name: str):
        """The model of that name, or None."""
        return next((model for model in self._models if model.name == name), None)

    def show(self, name: str) -> None:
        """Let the combo box show a model, or nothing when it is not installed; `onChosen` is not called."""
        wasBlocked = self._comboBox.blockSignals(True)
        self._comboBox.setCurrentIndex(self._index(lambda model: model.name == name))
        self._comboBox.blockSignals(wasBlocked)

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
        if current >= 0 and self._models[current].title == text:
            return
        hits = [text] if any(model.title == text for model in self._models) else self.search(text)
        if text.strip() and hits:
            self._comboBox.setCurrentIndex(self._index(lambda model: model.title == hits[0]))
        elif current >= 0:
            self._comboBox.lineEdit().setText(self._models[current].title)
        self._hits.setStringList([model.title for model in self._models])

    def _onCurrentIndexChanged(self, index: int) -> None:
        if 0 <= index < len(self._models):
            self._onChosen(self._models[index].name)


def searchable(model) -> str:
    """All the words by which a model may be found, in lower case."""
    structures = " ".join(segment.name for segment in model.labels)
    return f"{model.title} {model.name} {model.description} {model.modality} {structures}".casefold()
