"""The image's recipe and PID 1 live outside of the import packages: make them importable."""

from __future__ import annotations

import sys
from pathlib import Path

VM_IMAGE = Path(__file__).resolve().parents[2] / "vm-image"

for folder in (VM_IMAGE, VM_IMAGE / "rootfs/usr/lib/cove"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
