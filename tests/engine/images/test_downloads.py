"""A layer on its way, without a registry."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from engine.content.store import Store as Content
from engine.images.assembly import Assembler
from engine.images.downloads import Download, Downloads
from engine.images.streams import Cancelled
from engine.snapshots.layers import Layers
from tests.support.archives import tar_of


async def test_a_layer_that_nobody_waits_for_is_not_unpacked_to_its_end(tmp_path: Path) -> None:
    content, layers = Content(tmp_path / "content"), Layers(tmp_path)
    assembler = Assembler(content, layers)
    downloads = Downloads(content, assembler, parallel=1, attempts=1)
    tar = tar_of({str(number): b"x" for number in range(10)})
    ingest = content.ingest()
    ingest.write(tar)
    ingest.finish()  # all is fetched: no connection is left that could be cut
    download = Download(f"sha256:{hashlib.sha256(tar).hexdigest()}", len(tar), ())
    download.fetched = True
    download.interrupt()
    try:
        with pytest.raises(Cancelled):
            downloads._unpack(download, ingest)
        assert not list(layers.root.iterdir())
    finally:
        ingest.abort()
        ingest.close()
        downloads.close()
        assembler.close()
