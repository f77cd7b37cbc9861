"""What a first look shows: photographs named and found by words, on one page. Floor 6; no torch of its own."""
