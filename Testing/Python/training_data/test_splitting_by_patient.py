from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medai.errors import InputError
from medai.training.data import ArrayReference, DataItem, DataList, assign_folds, split, use_fold


@st.composite
def lists_of_patients(draw) -> DataList:
    """6 to 30 patients of 1 to 4 cases, up to three classes, some cases without a patient."""
    items = []
    for patient in range(draw(st.integers(6, 30))):
        known = draw(st.booleans())
        for case in range(draw(st.integers(1, 4))):
            label = draw(st.sampled_from([0, 0, 1, 2, None]))
            items.append(DataItem(f"{patient}/{case}", values={"label": label}, patient=f"P{patient}" if known else ""))
    return DataList(tuple(items), "classify")


def _parts(data: DataList) -> dict[str, str]:
    return {item.name: item.split for item in data}


@settings(max_examples=25, deadline=None)
@given(data=lists_of_patients(), seed=st.integers(0, 5), test=st.sampled_from([0.0, 0.2]))
def test_no_patient_is_in_two_parts_and_every_case_is_in_one(data, seed, test):
    divided = split(data, validation=0.25, test=test, seed=seed)
    assert [item.name for item in divided] == [item.name for item in data]
    assert all(item.split in ("training", "validation", "test") for item in divided)
    assert {item.split for item in divided} == {"training", "validation"} | ({"test"} if test else set())
    for patient in {item.patient for item in data if item.patient}:
        assert len({item.split for item in divided if item.patient == patient}) == 1


@settings(max_examples=20, deadline=None)
@given(data=lists_of_patients(), seed=st.integers(0, 5), random=st.randoms(use_true_random=False))
def test_the_order_of_the_cases_does_not_matter(data, seed, random):
    shuffled = list(data.items)
    random.shuffle(shuffled)
    assert _parts(split(data, seed=seed)) == _parts(split(data.with_items(shuffled), seed=seed))


@settings(max_examples=20, deadline=None)
@given(data=lists_of_patients(), folds=st.integers(2, 5))
def test_every_case_is_in_one_fold_and_no_patient_in_two(data, folds):
    numbered = assign_folds(data, folds)
    assert {item.fold for item in numbered} == set(range(folds))
    for patient in {item.patient for item in data if item.patient}:
        assert len({item.fold for item in numbered if item.patient == patient}) == 1
    held = [item.name for fold in range(folds) for item in use_fold(numbered, fold).part("validation")]
    assert sorted(held) == sorted(item.name for item in data)


@pytest.mark.parametrize(("validation", "test"), [(0.2, 0.0), (0.15, 0.15), (0.1, 0.3)])
def test_classes_have_the_same_share_in_every_part(make_list, validation, test):
    data = make_list([(int(n % 10 == 0), "") for n in range(400)])
    divided = split(data, validation=validation, test=test)
    for name, share in (("validation", validation), ("test", test)):
        part = divided.part(name)
        assert len(part) == pytest.approx(400 * share, abs=2)
        assert sum(item.label for item in part) == pytest.approx(40 * share, abs=1)


def test_classes_have_nearly_the_same_share_with_patients_of_several_cases(make_list):
    cases = [(patient % 4 == 0, f"P{patient}") for patient in range(80) for _ in range(1 + patient % 3)]
    numbered = assign_folds(make_list([(int(label), patient) for label, patient in cases]), 5)
    whole = sum(label for label, _ in cases) / len(cases)
    for fold in range(5):
        labels = [item.label for item in numbered if item.fold == fold]
        assert sum(labels) / len(labels) == pytest.approx(whole, abs=0.05)


def test_a_rare_finding_is_in_every_part(make_list):
    labels = [(1, int(n % 20 == 0), int(n % 3 == 0)) for n in range(200)]
    data = make_list([(label, "") for label in labels], multi_label=True)
    assert [item.label[1] for item in split(data, validation=0.2).part("validation")].count(1) == 2


def test_another_seed_gives_another_split_and_the_same_seed_the_same(make_list):
    data = make_list([(n % 2, "") for n in range(60)])
    assert _parts(split(data, seed=3)) == _parts(split(data, seed=3))
    assert _parts(split(data, seed=3)) != _parts(split(data, seed=4))


def test_the_folder_of_the_data_does_not_matter(make_list):
    def beneath(root: str) -> DataList:
        items = [DataItem(f"{n}", {"image": (Path(root, f"{n}.png"),)}, {"label": n % 2}) for n in range(30)]
        return DataList(tuple(items), "classify", root=Path(root))

    assert _parts(split(beneath("/here"))) == _parts(split(beneath("/zzz/there")))


def test_official_parts_stay_and_only_a_missing_validation_part_is_made(make_list):
    data = make_list([(n % 2, "", "test" if n < 10 else "training") for n in range(50)])
    divided = split(data, validation=0.25, test=0.5)
    assert [item.split for item in divided][:10] == ["test"] * 10
    assert Counter(item.split for item in divided) == {"test": 10, "validation": 10, "training": 30}
    assert split(divided, validation=0.5) == divided


def test_official_parts_are_given_up_when_asked_to(make_list):
    data = make_list([(n % 2, "", "test") for n in range(50)])
    assert Counter(item.split for item in split(data, keep_official=False)) == {"training": 40, "validation": 10}


def test_cases_of_the_test_part_get_no_fold(make_list):
    numbered = assign_folds(make_list([(n % 2, "", "test" if n < 4 else "training") for n in range(20)]), 4)
    assert [item.fold for item in numbered][:4] == [None] * 4
    assert {item.split for item in use_fold(numbered, 0)} == {"training", "validation", "test"}


def test_equal_images_stay_together(make_list):
    data = make_list([(0, "") for _ in range(20)])
    items = [dataclasses.replace(item, digests={"image": f"{n // 2}"}) for n, item in enumerate(data)]
    divided = split(data.with_items(items), validation=0.3)
    assert all(a.split == b.split for a, b in zip(divided.items[::2], divided.items[1::2], strict=True))


def test_one_stack_of_images_is_not_one_group():
    items = [DataItem(f"{n}", {"image": (ArrayReference(Path("a.npz"), "x", n),)}) for n in range(10)]
    assert Counter(item.split for item in split(DataList(tuple(items)), validation=0.2))["validation"] == 2


@pytest.mark.parametrize(("patients", "folds"), [(3, 4), (5, 1), (1, 2)])
def test_too_few_patients_are_told(make_list, patients, folds):
    data = make_list([(0, f"P{patient}") for patient in range(patients) for _ in range(3)])
    with pytest.raises(InputError, match=f"that may be parted: {patients}"):
        assign_folds(data, folds)


def test_shares_that_leave_nothing_and_folds_that_do_not_exist_are_refused(make_list):
    data = make_list([(0, "") for _ in range(10)])
    with pytest.raises(InputError, match="nothing for training"):
        split(data, validation=0.6, test=0.4)
    with pytest.raises(InputError, match="no fold 7"):
        use_fold(assign_folds(data, 3), 7)
