"""A photo library: folders indexed once, anything in them found by words or by example."""
