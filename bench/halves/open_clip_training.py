"""open_clip's trainer, with a model of one's own: python open_clip_training.py MODEL.json ARGUMENT..."""

import sys

import open_clip
from open_clip_train.main import main

if __name__ == "__main__":
    open_clip.add_model_config(sys.argv[1])
    main(sys.argv[2:])
