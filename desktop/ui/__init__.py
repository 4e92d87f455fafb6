"""The window: the only part of Cove that imports PySide6."""
