"""Space kept back."""

from engine.linux.reserve import SIZE, Reserve


def test_space_is_kept_given_up_and_found_again(tmp_path):
    path = tmp_path / "reserve"
    reserve = Reserve(path)
    reserve.keep()
    assert path.stat().st_blocks * 512 >= SIZE
    assert Reserve(path).give()
    assert not path.exists()
    assert not reserve.give()
    reserve.keep()  # too soon: whoever was given the space is still using it
    assert not path.exists()
