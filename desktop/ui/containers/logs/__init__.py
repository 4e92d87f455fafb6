"""What a container writes: buffer, view and pane."""
