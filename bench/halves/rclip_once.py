"""One run of rclip as its command does it, without its model, whose weights would have to be fetched.

    python rclip_once.py search|index DATABASE PHOTOS QUERIES.npy

onnxruntime is imported as for a search by words; the sessions are not made, and no text is tokenised or encoded.
"""

import sys

import numpy as np
from rclip.db import DB
from rclip.main import RClip
from rclip_library import BATCH_SIZE, Given

verb, database, photos, queries = sys.argv[1:]
rclip = RClip(Given(np.load(queries)), DB(database), BATCH_SIZE, None)
if verb == "index":
    rclip.ensure_index(photos)
else:
    import onnxruntime  # noqa: F401

    print(rclip.search("0", photos, 1)[0].filepath)
rclip.close()
