"""The cases of a training configuration, from the data list that was saved beside it."""

from __future__ import annotations

from collections.abc import Sequence

from medai.training.data import read_data_list


def cases(datalist: str, part: str, *, needs: str = "image", more: Sequence[str] = ()) -> list[dict[str, object]]:
    """Dictionaries for MONAI's transforms.

    Parameters
    ----------
    datalist : str
        A MONAI data list.
    part : str
        ``"training"``, ``"validation"`` or ``"test"``.
    needs : str
        Cases without this key are left out: an unlabelled image teaches a classifier nothing.
    more : sequence of str
        Keys that are wanted besides, of the cases that have them.
    """
    data = read_data_list(datalist, "monai")
    known = data.where(lambda item: needs in item.files or item.values.get(needs) is not None)
    wanted = dict.fromkeys(("image", needs, *more, "name"))
    return [{key: case[key] for key in wanted if key in case} for case in known.dicts(part)]
