import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from audiomatch.running.array_store import ArrayStore

DTYPES = (np.float16, np.float32, np.int64)
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, min_side=0))
)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


def numbered(first, count):
    return {f"k{i}": np.full(100 + i, i, np.float32) for i in range(first, first + count)}


def data_file(folder):
    (found,) = folder.glob("*.bin")
    return found


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        assert found[key].dtype == array.dtype and found[key].shape == array.shape
        assert found[key].tobytes() == array.tobytes()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=5), ARRAYS, max_size=3), max_size=3))
def test_what_was_put_first_is_got_to_the_bit(puts):
    with tempfile.TemporaryDirectory() as folder:
        expected = {}
        for arrays in puts:
            assert ArrayStore(Path(folder)).put(arrays)
            expected = arrays | expected
        assert_same(ArrayStore(Path(folder)).get(expected), expected)


def test_memory_order_does_not_matter(folder):
    array = np.asfortranarray(np.arange(12).reshape(3, 4))
    assert ArrayStore(folder).put({"a": array, "b": array[:, ::2]})
    found = ArrayStore(folder).get(["a", "b"])
    np.testing.assert_array_equal(found["a"], array)
    np.testing.assert_array_equal(found["b"], array[:, ::2])


def test_views_are_read_only_aligned_and_of_one_map(folder):
    store = ArrayStore(folder)
    store.put(numbered(0, 5))
    found = list(store.get(numbered(0, 5)).values())
    assert all(view.ctypes.data % 64 == 0 for view in found)
    with pytest.raises(ValueError, match="read-only"):
        found[0][0] = 1

    def root(array):
        return array if not isinstance(array.base, np.ndarray) else root(array.base)

    again = store.get(["k0"])["k0"]
    assert len({id(root(view)) for view in [*found, again]}) == 1


def test_views_outlive_later_puts(folder):
    store = ArrayStore(folder)
    store.put(numbered(0, 2))
    early = store.get(["k1"])
    store.put(numbered(2, 50))
    assert_same(early, numbered(1, 1))
    assert_same(store.get(numbered(0, 52)), numbered(0, 52))


def test_absent_keys_are_left_out(folder):
    store = ArrayStore(folder)
    assert store.get(["a"]) == {}
    assert not folder.exists()
    store.put(numbered(0, 1))
    assert_same(store.get(["k0", "a", ""]), numbered(0, 1))


def test_objects_are_refused(folder):
    with pytest.raises(TypeError, match="objects"):
        ArrayStore(folder).put({"a": np.array([None])})


WRITE = """
import sys
from pathlib import Path
import numpy as np
from audiomatch.running.array_store import ArrayStore
first = int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for i in range(first, first + 40):
    assert ArrayStore(Path(sys.argv[1])).put({f"k{i}": np.full(100 + i, i, np.float32)})
"""


def test_two_processes_write_at_once(folder):
    def start(first):
        return subprocess.Popen(
            [sys.executable, "-c", WRITE, str(folder), str(first)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    writers = [start(0), start(20)]  # half of the keys are both's
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    assert_same(ArrayStore(folder).get(numbered(0, 60)), numbered(0, 60))
    most = 64 + 4 * 160 + 64
    assert data_file(folder).stat().st_size <= 60 * most  # nothing is kept twice


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from audiomatch.running import array_store
write = os.fsync
def die(handle):
    write(handle)
    os.kill(os.getpid(), signal.SIGKILL)
array_store.os.fsync = die
array_store.ArrayStore(Path(sys.argv[1])).put({"late": np.ones(1000)})
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_writer_leaves_what_was_kept(folder):
    store = ArrayStore(folder)
    store.put(numbered(0, 3))
    size = data_file(folder).stat().st_size
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)])
    assert killed.returncode == -signal.SIGKILL
    assert data_file(folder).stat().st_size > size
    assert_same(store.get([*numbered(0, 3), "late"]), numbered(0, 3))
    assert store.put(numbered(3, 1))
    assert_same(ArrayStore(folder).get(numbered(0, 4)), numbered(0, 4))
    assert data_file(folder).stat().st_size < size + 8000  # its bytes are used again


def cut(folder):
    os.truncate(data_file(folder), data_file(folder).stat().st_size - 1)


def empty(folder):
    os.truncate(data_file(folder), 0)


def overwrite(folder):
    data_file(folder).write_bytes(b"\x93NUMPY" * 10_000)


def remove(folder):
    data_file(folder).unlink()


def scribble(folder):
    (folder / "index.sqlite3").write_bytes(b"no database " * 1000)


def scribble_inside(folder):
    with (folder / "index.sqlite3").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 8000)


def another_database(folder):
    (folder / "index.sqlite3").unlink()
    with sqlite3.connect(folder / "index.sqlite3") as other:
        other.execute("CREATE TABLE arrays (name TEXT)")
    other.close()


@pytest.mark.parametrize(
    "damage", [cut, empty, overwrite, remove, scribble, scribble_inside, another_database]
)
@pytest.mark.parametrize("fresh", [True, False])
def test_damage_is_noticed_and_mended(folder, damage, fresh):
    store = ArrayStore(folder)
    store.put(numbered(0, 5))
    damage(folder)
    store = ArrayStore(folder) if fresh else store
    kept = store.get(numbered(0, 5))
    assert "k4" not in kept
    assert_same(kept, {key: numbered(0, 5)[key] for key in kept})
    assert store.put(numbered(0, 6))
    assert_same(store.get(numbered(0, 6)), numbered(0, 6))
    assert_same(ArrayStore(folder).get(numbered(0, 6)), numbered(0, 6))
    assert len(list(folder.glob("*.bin"))) == 1


HARM = st.tuples(
    st.sampled_from(["index.sqlite3", "arrays-*.bin"]),
    st.sampled_from(["cut", "write", "zero"]),
    st.integers(0, 2**31),
    st.binary(min_size=1, max_size=600),
)


@settings(max_examples=60, deadline=None)
@given(HARM)
def test_whatever_is_damaged_nothing_wrong_is_found_and_one_put_heals(harm):
    pattern, how, at, content = harm
    with tempfile.TemporaryDirectory() as made:
        folder, arrays = Path(made), numbered(0, 40)
        ArrayStore(folder).put(arrays)
        (file,) = folder.glob(pattern)
        at %= file.stat().st_size
        with file.open("r+b") as opened:
            opened.seek(at)
            opened.write(bytes(len(content)) if how == "zero" else content)
            if how == "cut":
                opened.truncate(at)
        store = ArrayStore(folder)
        found = store.get(arrays)
        assert_same(found, {key: arrays[key] for key in found})
        assert store.put(arrays)
        assert_same(ArrayStore(folder).get(arrays), arrays)


def test_starting_anew_leaves_others_their_views(folder):
    store = ArrayStore(folder)
    store.put(numbered(0, 5))
    views = store.get(numbered(0, 5))
    (folder / "index.sqlite3").unlink()
    ArrayStore(folder).put(numbered(5, 50))
    assert_same(views, numbered(0, 5))
    assert_same(store.get(numbered(0, 55)), numbered(5, 50))


def test_a_folder_that_cannot_be_made_keeps_nothing(tmp_path):
    (tmp_path / "file").touch()
    store = ArrayStore(tmp_path / "file" / "store")
    assert store.put(numbered(0, 1)) is False
    assert store.get(["k0"]) == {}


def test_a_full_disk_keeps_what_was_there(folder, monkeypatch):
    store = ArrayStore(folder)
    store.put(numbered(0, 2))

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert store.put(numbered(2, 1)) is False
    assert_same(store.get(numbered(0, 3)), numbered(0, 2))
    assert store.put(numbered(2, 1))
    assert_same(store.get(numbered(0, 3)), numbered(0, 3))


def test_emptying_leaves_who_writes_beside_it_alone(folder):
    store = ArrayStore(folder)
    store.put(numbered(0, 2))
    views = store.get(numbered(0, 2))
    with closing(sqlite3.connect(folder / "index.sqlite3", isolation_level=None)) as writer:
        assert writer.execute("SELECT COUNT(*) FROM arrays").fetchone() == (2,)
        ArrayStore(folder).clear(10**6)
        assert len(store.get(numbered(0, 2))) == 2, "it is smaller"
        ArrayStore(folder).clear(800)
        assert store.get(numbered(0, 2)) == {} and not store.damaged
        assert_same(views, numbered(0, 2))
        assert store.contents().arrays == 0 and not list(folder.glob("*.bin"))
        writer.execute("BEGIN IMMEDIATE")  # refused where the file is no longer that of the name
        writer.execute("INSERT INTO costs VALUES ('k', 1)")
        writer.execute("COMMIT")
    assert store.put(numbered(2, 1))
    assert_same(store.get(numbered(0, 3)), numbered(2, 1))


def test_emptying_what_cannot_be_emptied_is_no_error(folder):
    ArrayStore(folder).clear(0)
    assert not folder.exists()
    store = ArrayStore(folder)
    store.put(numbered(0, 1))
    with closing(sqlite3.connect(folder / "index.sqlite3", isolation_level=None)) as index:
        index.execute("CREATE TRIGGER kept BEFORE DELETE ON data BEGIN SELECT RAISE(FAIL, ''); END")
    store.clear(0)
    assert_same(store.get(numbered(0, 1)), numbered(0, 1))
    (folder / "index.sqlite3").write_bytes(b"damage" * 100)
    store.clear(0)
    assert store.put(numbered(0, 1))


def test_what_another_process_removes_meanwhile_is_passed_over(folder, monkeypatch):
    store = ArrayStore(folder)
    store.put(numbered(0, 1))
    monkeypatch.setattr(store, "_files", lambda: [folder / "arrays-gone.bin"])
    assert store.contents() is None
    monkeypatch.setattr(
        store, "_files", lambda: [folder / "index.sqlite3", folder / "arrays-gone.bin"]
    )
    assert store.contents().size == (folder / "index.sqlite3").stat().st_size


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_read_only_folder_is_read(folder):
    store = ArrayStore(folder)
    store.put(numbered(0, 2))
    for place in (folder / "index.sqlite3", data_file(folder), folder):
        place.chmod(0o555)
    try:
        assert store.put(numbered(2, 1)) is False
        assert_same(ArrayStore(folder).get(numbered(0, 3)), numbered(0, 2))
    finally:
        folder.chmod(0o755)
