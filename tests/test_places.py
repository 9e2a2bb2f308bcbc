import pytest

from datasets.errors import DatasetError
from datasets.files.places import Place, tails

from .image_files import write_images

PLACE = Place("birds", ("birds", "aves"), "example.org")


def test_the_folder_may_have_another_of_its_names(tmp_path):
    (tmp_path / "aves/labels").mkdir(parents=True)
    assert PLACE.find(tmp_path, "labels") == tmp_path / "aves"
    assert PLACE.find(tmp_path / "aves", "labels") == tmp_path / "aves"


def test_a_folder_of_another_name_is_not_the_data_sets_own(tmp_path):
    (tmp_path / "fish/labels").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"get the data set from example\.org"):
        PLACE.find(tmp_path / "fish", "labels")


def test_what_is_missing_is_named_where_most_is_there(tmp_path):
    (tmp_path / "aves/labels").mkdir(parents=True)
    with pytest.raises(DatasetError) as caught:
        PLACE.find(tmp_path, "labels", "names")
    assert str(caught.value) == (
        f"birds: not found below {tmp_path / 'aves'} (nor in {tmp_path / 'birds'}): names; "
        "get the data set from example.org"
    )


def test_the_reading_that_finds_most_images_is_taken(tmp_path):
    write_images(tmp_path, ["a/1.jpg", "b/1.jpg", "b/2.jpg"])
    readings = [["a/1.jpg", "a/2.jpg", "a/3.jpg"], ["b/1.jpg", "b/2.jpg", "b/3.jpg"]]
    images = PLACE.images(tmp_path, readings)
    assert images.encoded.names == readings[1]
    assert images.absent().tolist() == [2]


def test_folders_are_not_left_out_where_that_makes_two_images_one():
    names = ["/home/me/cats/1.jpg", "/home/me/dogs/1.jpg"]
    assert list(tails(names, ""))[-1] == ["cats/1.jpg", "dogs/1.jpg"]
