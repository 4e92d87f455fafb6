"""Controls that pages are made of; each paints with the theme's tokens."""
