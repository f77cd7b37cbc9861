"""What one would write with transformers: python transformers_first_label.py FOLDER PHOTO LABELS."""

import sys

import torch
from PIL import Image
from transformers import CLIPModel, CLIPProcessor

folder, photo, labels = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
model = CLIPModel.from_pretrained(folder)
processor = CLIPProcessor.from_pretrained(folder)
texts = [f"a photo of a {label}." for label in labels]
inputs = processor(text=texts, images=Image.open(photo), return_tensors="pt", padding=True)
with torch.inference_mode():
    probabilities = model(**inputs).logits_per_image.softmax(dim=-1)[0]
for i in probabilities.argsort(descending=True):
    print(f"{labels[i]}: {probabilities[i]:.1%}")
