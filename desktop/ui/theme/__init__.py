"""Colours, type, icons and the style; pages paint with these and name no colour of their own."""
