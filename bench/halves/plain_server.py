"""The server that one would write first: transformers behind FastAPI, one request at a time.

python plain_server.py FOLDER PORT
"""

import base64
import io
import sys
from threading import Lock

import torch
import uvicorn
from fastapi import FastAPI
from PIL import Image
from pydantic import BaseModel
from transformers import CLIPModel, CLIPProcessor

folder, port = sys.argv[1], int(sys.argv[2])
model = CLIPModel.from_pretrained(folder).eval()
processor = CLIPProcessor.from_pretrained(folder)
one_at_a_time = Lock()
app = FastAPI()


class Item(BaseModel):
    input: str


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "alive"}


@app.post("/texts")
def embed_text(item: Item) -> dict[str, list[dict[str, list[float]]]]:
    with one_at_a_time, torch.inference_mode():
        inputs = processor(text=[item.input], return_tensors="pt", padding=True, truncation=True)
        return answer(model.get_text_features(**inputs).pooler_output)


@app.post("/images")
def embed_image(item: Item) -> dict[str, list[dict[str, list[float]]]]:
    with one_at_a_time, torch.inference_mode():
        image = Image.open(io.BytesIO(base64.b64decode(item.input.partition(",")[2])))
        inputs = processor(images=image, return_tensors="pt")
        return answer(model.get_image_features(**inputs).pooler_output)


def answer(features: torch.Tensor) -> dict[str, list[dict[str, list[float]]]]:
    unit = torch.nn.functional.normalize(features, dim=-1)
    return {"data": [{"embedding": unit[0].tolist()}]}


if __name__ == "__main__":
    uvicorn.run(app, port=port, log_level="warning")
