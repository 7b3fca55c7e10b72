from __future__ import annotations

import json
import pickle
import time
from pathlib import Path

import numpy as np
import pytest

from medai.errors import InputError, MedAIError, ReadError
from medai.training.data import ArrayReference, fitting, read_data_list


def test_a_folder_of_pictures_with_masks_is_recognised(pictures_with_masks):
    data = read_data_list(pictures_with_masks)
    assert data.task == "segment"
    assert len(data) == 7
    assert "images with label maps" in data.notes[0]
    first = data[0]
    assert first.name == "benign_000"
    assert first.files["image"] == (pictures_with_masks / "images" / "benign_000.png",)
    assert first.files["label"] == (pictures_with_masks / "masks" / "benign_000.png",)
    assert first.values["class"] == "benign"


def test_the_class_in_the_name_becomes_the_label_when_asked_for(pictures_with_masks):
    data = read_data_list(pictures_with_masks, "pairs", task="classify")
    assert data.label_names == {0: "benign", 1: "malignant", 2: "normal"}
    assert [item.label for item in data] == [0, 0, 0, 1, 1, 2, 2]
    assert set(data.file_keys) == {"image", "mask"}


@pytest.mark.parametrize("ending", ["_mask", "_seg", "-label"])
def test_label_maps_beside_their_images_are_found(save_nifti, tmp_path, ending):
    for name in ("left_1", "right_1", "alone"):
        save_nifti(f"case/{name}.nii.gz", np.ones((3, 3, 3), np.float32))
    for name in ("left_1", "right_1"):
        save_nifti(f"case/{name}{ending}.nii.gz", np.ones((3, 3, 3), np.uint8))
    data = read_data_list(tmp_path / "case")
    assert {item.name: "label" in item.files for item in data} == {"alone": False, "left_1": True, "right_1": True}
    assert any("1 of 3 images have no label map" in note for note in data.notes)


def test_numbered_channels_of_nnunet_are_one_case(save_nifti, tmp_path):
    for channel in ("0000", "0001"):
        save_nifti(f"set/imagesTr/brain_{channel}.nii.gz", np.ones((3, 3, 3), np.float32))
    save_nifti("set/labelsTr/brain.nii.gz", np.ones((3, 3, 3), np.uint8))
    (item,) = read_data_list(tmp_path / "set")
    assert [source.name for source in item.files["image"]] == ["brain_0000.nii.gz", "brain_0001.nii.gz"]
    assert item.files["label"][0].name == "brain.nii.gz"


def test_folders_named_by_class_keep_their_official_parts(save_picture, tmp_path, rng):
    for part, count in (("train", 2), ("test", 1)):
        for kind in ("cat", "dog"):
            for n in range(count):
                save_picture(f"zoo/{part}/{kind}/{n}.png", rng.integers(0, 255, (4, 4), np.uint8))
    data = read_data_list(tmp_path / "zoo")
    assert data.task == "classify"
    assert data.label_names == {0: "cat", 1: "dog"}
    assert [(item.split, item.label) for item in data] == [
        ("test", 0),
        ("test", 1),
        ("training", 0),
        ("training", 0),
        ("training", 1),
        ("training", 1),
    ]


def test_pictures_without_any_class_serve_where_none_is_needed(save_picture, tmp_path, rng):
    for n in range(3):
        save_picture(f"scans/scan_{n}.png", rng.integers(0, 255, (4, 4), np.uint8))
    data = read_data_list(tmp_path / "scans")
    assert [item.name for item in fitting(data, "denoise")] == ["scan_0", "scan_1", "scan_2"]
    with pytest.raises(InputError, match="no classes"):
        fitting(data, "classify")


@pytest.mark.parametrize("source", ["", "dataset.json"])
def test_a_decathlon_task_is_recognised_by_folder_and_by_file(volumes_with_labels, source):
    data = read_data_list(volumes_with_labels / source)
    assert "Decathlon" in data.notes[0]
    assert data.name == "Hippocampus"
    assert data.label_names == {0: "background", 1: "Anterior", 2: "Posterior"}
    assert [item.split for item in data] == ["training"] * 4 + ["test"]
    assert all(item.files["image"][0].is_file() for item in data)


def test_a_monai_list_keeps_folds_patients_and_values(tmp_path):
    entries = [
        {"image": "a.nii.gz", "label": 1, "fold": 0, "patient_id": "P1", "age": 60.5},
        {"image": ["b_t1.nii.gz", "b_t2.nii.gz"], "label": None, "fold": 1},
    ]
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"training": entries, "validation": [{"image": "c.nii.gz", "label": 0}]}))
    data = read_data_list(path)
    a, b, c = data
    assert (a.fold, a.patient, a.values["age"], a.label) == (0, "P1", 60.5, 1)
    assert len(b.files["image"]) == 2
    assert b.label is None
    assert c.split == "validation"
    assert data.task == "classify"


def test_images_to_make_others_into_may_be_folders_of_dicom_slices(tmp_path):
    (tmp_path / "p1" / "FLAIR").mkdir(parents=True)
    entry = {"image": "p1/T1", "target": "p1/FLAIR", "label": "p1"}
    (tmp_path / "list.json").write_text(json.dumps({"training": [entry]}), encoding="utf-8")
    (item,) = read_data_list(tmp_path / "list.json")
    assert item.files == {"image": (tmp_path / "p1" / "T1",), "target": (tmp_path / "p1" / "FLAIR",)}


def test_class_names_in_a_monai_list_are_numbered(tmp_path):
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"training": [{"image": "a.png", "label": "sick"}, {"image": "b.png", "label": "ok"}]}))
    data = read_data_list(path)
    assert data.label_names == {0: "ok", 1: "sick"}
    assert [item.label for item in data] == [1, 0]


def test_a_csv_with_named_columns(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_text("scan;result;person;age;side\na.png;sick;P1;60;L\nb.png;well;P2;;R\nc.png;;P2;55;?\n", "utf-8")
    data = read_data_list(path, image="scan", label="result", patient="person", values=["age", "side"])
    assert [item.label for item in data] == [0, 1, None]
    assert [item.patient for item in data] == ["P1", "P2", "P2"]
    assert [item.values["age"] for item in data] == [60, None, 55]
    assert data[2].values["side"] is None
    assert data[0].files["image"] == (tmp_path / "a.png",)


def test_a_csv_of_label_maps_and_of_parts_needs_no_options(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_text("image,mask,split\na.nii.gz,a_m.nii.gz,train\nb.nii.gz,b_m.nii.gz,val\n")
    data = read_data_list(path)
    assert data.task == "segment"
    assert [item.split for item in data] == ["training", "validation"]


def test_a_csv_with_numbers_to_predict(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_text("image,target\na.png,1.5\nb.png,2.25\nc.png,nan\n")
    data = read_data_list(path)
    assert data.task == "regress"
    assert [item.label for item in data] == [1.5, 2.25, None]


def test_a_csv_without_the_named_column_says_which_it_has(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_text("image,label\na.png,1\n")
    with pytest.raises(InputError, match=r"no column 'person'.*image, label"):
        read_data_list(path, patient="person")


@pytest.fixture
def chest_xrays(tmp_path, save_picture, rng):
    rows = [
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position",
        "00000001_000.png,Cardiomegaly|Emphysema,0,1,58,M,PA",
        "00000001_001.png,No Finding,1,1,58,M,PA",
        "00000002_000.png,Hernia,0,2,80,F,AP",
    ]
    (tmp_path / "nih").mkdir()
    (tmp_path / "nih" / "Data_Entry_2017.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "nih" / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n")
    (tmp_path / "nih" / "test_list.txt").write_text("00000002_000.png\n")
    save_picture("nih/images_001/images/00000001_000.png", rng.integers(0, 255, (4, 4), np.uint8))
    return tmp_path / "nih"


@pytest.mark.parametrize("source", ["", "Data_Entry_2017.csv"])
def test_chestxray14_has_findings_patients_and_official_parts(chest_xrays, source):
    data = read_data_list(chest_xrays / source)
    assert data.multi_label
    assert len(data.label_names) == 14
    found = [{data.label_names[n] for n, there in enumerate(item.label) if there} for item in data]
    assert found == [{"Cardiomegaly", "Emphysema"}, set(), {"Hernia"}]
    assert [item.patient for item in data] == ["1", "1", "2"]
    assert [item.split for item in data] == ["training", "training", "test"]
    assert data[0].files["image"][0].is_file()
    assert data[2].values["age"] == 80


def test_a_part_of_chestxray14_is_enough(chest_xrays):
    assert [item.name for item in read_data_list(chest_xrays, only_present=True)] == ["00000001_000"]


def test_visits_of_subjects_are_in_order_with_missing_numbers_as_none(tmp_path):
    path = tmp_path / "visits.csv"
    path.write_text(
        "Subject ID,MRI ID,Group,Visit,MR Delay,MMSE,M/F\n"
        "S1,S1_2,Demented,2,500,,F\nS1,S1_1,Demented,1,0,27,F\nS2,S2_1,Nondemented,1,0,30,M\n"
    )
    data = read_data_list(path)
    assert data.task == "forecast"
    visits = data.by_patient()["S1"]
    assert [visit.name for visit in visits] == ["S1_1", "S1_2"]
    assert [visit.values["MMSE"] for visit in visits] == [27, None]
    assert [visit.values["delay"] for visit in visits] == [0, 500]
    assert np.isnan(visits[1].as_dict()["MMSE"])
    assert data.label_names == {0: "Demented", 1: "Nondemented"}


@pytest.mark.parametrize(
    ("column", "names", "labels"),
    [("Group", {0: "Converted", 1: "Demented"}, [1, 0, None]), ("CDR", {0: "0", 1: "0.5", 2: "1"}, [1, 0, 2])],
)
def test_what_a_person_calls_the_label_of_visits_may_be_their_diagnosis(tmp_path, column, names, labels):
    path = tmp_path / "visits.csv"
    path.write_text("Subject ID,Visit,Image,Group,CDR\nA,1,a.png,Demented,0.5\nB,1,b.png,Converted,0\nC,1,c.png,,1\n")
    data = read_data_list(path, label=column)
    assert data.label_names == names
    assert [item.label for item in data] == labels
    assert all(set(item.files) == {"image"} for item in data)


def test_a_visit_that_is_there_twice_is_refused(tmp_path):
    path = tmp_path / "visits.csv"
    path.write_text("Subject ID,Visit\nS1,1\nS1,1\n")
    with pytest.raises(InputError, match="Visit 1 of S1 is there twice"):
        read_data_list(path)


def test_medmnist_keeps_its_parts_and_writes_nothing(a_stack):
    before = set(a_stack.parent.iterdir())
    data = read_data_list(a_stack)
    assert [len(data.part(split)) for split in ("training", "validation", "test")] == [8, 4, 0]
    assert data[9].files["image"] == (ArrayReference(a_stack, "val_images", 1),)
    assert [item.label for item in data][:3] == [0, 1, 0]
    assert set(a_stack.parent.iterdir()) == before


def test_medmnist_with_several_findings_is_multi_label(tmp_path, rng):
    path = tmp_path / "chestmnist.npz"
    np.savez(path, test_images=rng.integers(0, 9, (3, 4, 4, 3), np.uint8), test_labels=np.eye(3, dtype=np.uint8))
    data = read_data_list(path)
    assert data.multi_label
    assert data[1].label == (0, 1, 0)


@pytest.fixture
def coco_content():
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 20, "height": 10},
            {"id": 9, "file_name": "b.png", "width": 20, "height": 10},
        ],
        "annotations": [
            {"image_id": 7, "category_id": 3, "bbox": [2, 1, 5, 4]},
            {"image_id": 7, "category_id": 1, "bbox": [0, 0, 1.5, 2]},
            {"image_id": 7, "category_id": 1, "bbox": [0, 0, 0, 2]},
            {"image_id": 7, "category_id": 1, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        ],
        "categories": [{"id": 3, "name": "mass"}, {"id": 1, "name": "cyst"}],
    }


def test_coco_boxes_become_corners_and_categories_are_numbered_from_zero(tmp_path, coco_content):
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(coco_content))
    data = read_data_list(path)
    assert data.task == "detect"
    assert data.label_names == {0: "cyst", 1: "mass"}
    assert data[0].values["box"] == ((2.0, 1.0, 7.0, 5.0), (0.0, 0.0, 1.5, 2.0))
    assert data[0].label == (1, 0)
    assert data[1].values["box"] == ()
    assert "2 boxes were left out" in data.notes[1]


def test_coco_boxes_of_an_unknown_picture_are_refused(tmp_path, coco_content):
    path = tmp_path / "boxes.json"
    coco_content["annotations"][0]["image_id"] = 1000
    path.write_text(json.dumps(coco_content))
    with pytest.raises(ReadError, match="COCO"):
        read_data_list(path)


def test_every_list_travels_to_another_process(pictures_with_masks, a_stack):
    for source in (pictures_with_masks, a_stack):
        data = read_data_list(source)
        assert pickle.loads(pickle.dumps(data)) == data


def test_what_is_no_list_is_refused_in_words(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="no list of cases"):
        read_data_list(tmp_path / "notes.txt")
    (tmp_path / "scene.mrml").write_text("<MRML/>")
    with pytest.raises(InputError, match="training_pairs"):
        read_data_list(tmp_path / "scene.mrml")
    with pytest.raises(ReadError, match="not found"):
        read_data_list(tmp_path / "absent.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MedAIError, match="holds no images"):
        read_data_list(tmp_path / "empty")


def test_an_option_of_another_kind_is_refused_with_those_there_are(a_stack):
    with pytest.raises(InputError, match="label_names"):
        read_data_list(a_stack, separator="|")


def test_a_list_named_from_where_one_stands_can_be_read_from_elsewhere(tmp_path, monkeypatch):
    """The worker process has a working folder of its own."""
    (tmp_path / "here").mkdir()
    entries = [{"image": "a.nii.gz", "label": 0}, {"image": "b.nii.gz", "label": 1}]
    (tmp_path / "here" / "list.json").write_text(json.dumps({"training": entries}), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    plain = read_data_list(Path("here/list.json"))
    moved = read_data_list(Path("here/list.json"), base_dir=Path("there"))
    assert plain[0].files["image"] == (tmp_path / "here" / "a.nii.gz",)
    assert moved[1].files["image"] == (tmp_path / "there" / "b.nii.gz",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.json", '{"training": [{"image": "a.png", "label": 0}]}'),
        ("boxes.json", '{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [], "categories": []}'),
        ("table.csv", "image,label\na.png,0\n"),
        ("Data_Entry_2017.csv", "Image Index,Finding Labels,Patient ID\na.png,Hernia,1\n"),
        ("visits.csv", "Subject ID,Visit,Image\nS,1,a.png\n"),
    ],
)
def test_images_that_lie_elsewhere_than_their_list_are_found_for_every_kind_of_list(tmp_path, save_picture, name, text):
    image = save_picture("there/a.png", np.zeros((4, 4), np.uint8))
    (tmp_path / name).write_text(text, encoding="utf-8")
    (item,) = read_data_list(tmp_path / name, base_dir=tmp_path / "there")
    assert item.files["image"] == (image,)


def test_a_table_of_very_many_columns_is_read_in_time_that_grows_with_their_number(tmp_path):
    path = tmp_path / "wide.csv"
    titles = ",".join(f"c{number}" for number in range(100_000))
    path.write_text(f"Subject ID,Visit,{titles}\nA,1{',1' * 100_000}\n", encoding="utf-8")
    begin = time.process_time()
    assert len(read_data_list(path)[0].values) > 100_000
    assert time.process_time() - begin < 20  # comparing each with each takes minutes
