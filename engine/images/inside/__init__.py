"""Looking inside an image: what each layer did, the tree at any layer, files, wasted bytes.

Everything is read from the unpacked layers; no container and no mount is needed. Layers never
change once they are visible, so nothing here needs a lock.
"""
