"""One file a layout, and what they share: an index of where every image lies and what belongs to it in words."""
