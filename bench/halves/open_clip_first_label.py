"""What one would write with open_clip: python open_clip_first_label.py WEIGHTS PHOTO LABELS."""

import sys

import open_clip
import torch
from PIL import Image

weights, photo, labels = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-32-quickgelu", pretrained=weights)
model.eval()
tokenizer = open_clip.get_tokenizer("ViT-B-32-quickgelu")
texts = tokenizer([f"a photo of a {label}." for label in labels])
with torch.inference_mode():
    image_features = model.encode_image(preprocess(Image.open(photo))[None], normalize=True)
    text_features = model.encode_text(texts, normalize=True)
    probabilities = (model.logit_scale.exp() * image_features @ text_features.T).softmax(dim=-1)[0]
for i in probabilities.argsort(descending=True):
    print(f"{labels[i]}: {probabilities[i]:.1%}")
