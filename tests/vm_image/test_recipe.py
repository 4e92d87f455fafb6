"""The recipe: what stands in image.toml, and when an image counts as built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from image_build import image, recipe
from image_build.errors import BuildError


def test_an_architecture_is_found_by_any_of_its_names() -> None:
    assert recipe.find_architecture("arm64") is recipe.ARCHITECTURES["aarch64"]
    assert recipe.find_architecture("AMD64").triplet == "x86_64-linux-gnu"
    with pytest.raises(BuildError, match=r"'riscv64' \(known: x86_64, aarch64\)"):
        recipe.find_architecture("riscv64")


@pytest.mark.parametrize("name", ["x86_64", "aarch64"])
def test_the_recipe_holds_what_the_agent_and_the_engine_rely_on(name: str) -> None:
    plan = recipe.load(recipe.find_architecture(name))
    assert "panic=-1" in plan.cmdline.split() and "console=" not in plan.cmdline
    packages = plan.expand(plan["packages"]["include"])
    assert f"linux-image-{plan.architecture.debian}" in packages
    assert {"crun", "conmon", "openssh-server", "qemu-guest-agent"} <= set(packages)
    modules = plan["modules"]
    assert {"overlay", "nf_tables", "bridge"} <= set(modules["late"])
    assert "9p" in modules["shares"] and {"button", "virtio_balloon"} <= set(modules["idle"])
    assert "usr/share/containers/seccomp.json" in plan["files"]["keep"]


@pytest.mark.parametrize("text", ["not toml [", "format = 2"])
def test_a_recipe_of_another_kind_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "image.toml"
    path.write_text(text)
    with pytest.raises(BuildError, match=r"image\.toml"):
        recipe.load(recipe.ARCHITECTURES["x86_64"], path)


def test_the_digest_covers_the_engine_and_our_own_files() -> None:
    names = {path.relative_to(recipe.CHECKOUT).as_posix() for path in recipe.sources()}
    assert "engine/errors.py" in names
    assert "requirements/guest.txt" in names
    assert "vm-image/rootfs/usr/lib/cove/init" in names
    assert not any(name.endswith(".pyc") for name in names)


def test_the_digest_sees_content_names_and_modes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "CHECKOUT", tmp_path)
    file = tmp_path / "a"
    file.write_text("one")
    first = recipe.digest([file])
    assert recipe.digest([file]) == first
    assert recipe.digest([file], "aarch64") != first
    file.chmod(0o755)
    second = recipe.digest([file])
    file.write_text("two")
    assert len({first, second, recipe.digest([file])}) == 3


def test_an_image_counts_only_whole_and_from_the_same_inputs(tmp_path: Path) -> None:
    for name in image.FILES:
        (tmp_path / name).write_bytes(b"1234")
    files = {name: {"size": 4, "sha256": ""} for name in image.FILES}
    manifest = {"inputs": "abc", "files": files}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert image.find_built(tmp_path, "abc") is not None
    assert image.find_built(tmp_path, "other") is None
    (tmp_path / "initrd").write_bytes(b"123")
    assert image.find_built(tmp_path, "abc") is None
    (tmp_path / "manifest.json").write_text("{")
    assert image.find_built(tmp_path, "abc") is None


def test_a_new_image_replaces_the_old_one_whole(tmp_path: Path) -> None:
    made, folder = tmp_path / "scratch" / "image", tmp_path / "x86_64"
    for path, text in ((made, "new"), (folder, "old")):
        path.mkdir(parents=True)
        (path / "initrd").write_text(text)
    (folder / "left").write_text("")
    image.replace(made, folder)
    assert [path.name for path in folder.iterdir()] == ["initrd"]
    assert (folder / "initrd").read_text() == "new"
