"""What people have named stands in a model card as they wrote it, and does nothing there."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt  # rich, which the command line prints with, brings it along

from medai.bundles.labels import plain_text
from medai.training.data import read_data_list, renamed
from medai.training.markdown import escaped

NASTY = "<img src=x onerror=alert(1)> | *benign* [here](http://x) `code` __two__"


class Page(HTMLParser):
    """Tags and text of a page of Markdown."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_classes_of_any_name_neither_break_nor_enter_a_card(train, bright_spots, tmp_path):
    data = renamed(read_data_list(bright_spots), {0: "plain", 1: NASTY})
    train(data, "classify", parameters={"epochs": 1}, positive=NASTY)
    page = Page((tmp_path / "model" / "docs" / "README.md").read_text(encoding="utf-8"))
    assert not {"img", "em", "strong", "a"} & {*page.tags}
    assert f"1: {NASTY}" in page.text  # among its classes
    assert f"{NASTY} from" in page.text  # its operating point


@pytest.mark.parametrize("place", ["# {}", "- {}", "| a | {} |\n|---|---|\n| b | {} |", "Of '{}'.", "{}"])
@given(name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(plain_text))
def test_any_name_shows_itself(place, name):
    shown, plain = Page(place.replace("{}", escaped(name))), Page(place.replace("{}", "QQ"))
    assert shown.tags == plain.tags
    assert shown.text == plain.text.replace("QQ", plain_text(name))
