"""Write tests/references/tokens.json: the ids that the published tokenizers give to difficult texts.

Run it in an environment with clip-anytorch (OpenAI's code, the reference) and open_clip_torch:

    pip install clip-anytorch open_clip_torch "setuptools<81"
    python scripts/make_token_references.py

Each record has a text, its ids uncut, and, when there are more than 77, the row that `truncate=True` gives.
Texts hold code points of Unicode 14 (what Python 3.11 knows: run it there) and newer ones without case, so that the
ids are the same on every later Python.
"""

import json
import random
import sys
import unicodedata
from pathlib import Path

import clip
import open_clip

OUTPUT = Path(__file__).parents[1] / "tests" / "references" / "tokens.json"
CONTEXT_LENGTH = 77
UNCUT_LENGTH = 2048
END_TOKEN = 49407
OPEN_CLIP = open_clip.tokenizer.SimpleTokenizer()

HAND_WRITTEN = {
    "empty": ["", " ", "\n", "\t \r\n", "\u200b", "\ufeff"],
    "captions": [
        "a photo of a dog",
        "A Photo Of A DOG.",
        "two dogs, playing in the snow!",
        "It's they'll we've I'd don't you're I'm the dogs' O'Neill's",
        "IT'S THEY'LL WE'VE I'D DON'T YOU'RE I'M",
        "'s 't 're 've 'm 'll 'd 'x ' ''s '''",
        "3,141.59 dogs @ 5:30pm #cute 50% $9.99 a_b-c/d\\e~f^g`h|i",
        "https://example.com/?q=clip&lang=en#top me@example.org",
        "{} [] () <b>bold</b> <img src='x'> -- ... !!! ?! ;)",
        "state-of-the-art text2image e-mail 1st 2nd 3rd 4K 1080p x86_64",
    ],
    "accents": [
        "Crème brûlée at the café",
        "naïve façade, déjà vu, Ångström",
        "Ein schöner Tag in MÜNCHEN, Straße, GROẞ",
        "El Niño, ¿qué pasa? ¡Olé!",
        "Zażółć gęślą jaźń",
        "Þórr, Ærø, Øresund, Łódź, Đà Nẵng",
        "Příliš žluťoučký kůň",
    ],
    "combining": [
        "cafe\u0301",
        "A\u030angstro\u0308m",
        "q\u0307\u0323 q\u0323\u0307",
        "Z\u0351\u036b\u0343a\u0336l\u0321g\u0322o\u0489",
        "\u0301leading",
        "e\u0301\u0301\u0301",
        "किताब",
        "น้ำ",
        "각 \u1100\u1161\u11a8",
        "i\u0307",
        "x\u20dd",
    ],
    "emoji": [
        "a dog 🐶",
        "😀😃😄",
        "👩\u200d👩\u200d👧\u200d👦 family",
        "👍🏽 thumbs",
        "🇫🇷🇯🇵 flags",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "❤️ vs ❤",
        "1️⃣ #️⃣",
        "🏳️\u200d🌈",
        "☺ ☹ ♥ ✨ ™ ©",
    ],
    "scripts": [
        "一只狗在雪地里",
        "犬の写真、東京タワー。",
        "ﾊﾝｶｸ カタカナ ひらがな",
        "개 사진 서울",
        "Привет, МИР! Ёлка",
        "Αθήνα ΟΔΟΣ ΟΔΥΣΣΕΥΣ Σ ΑΣ. ΑΣΑ",
        "תמונה של כלב",
        "صورة كلب، مرحبا",
        "\u202bעברית\u202c and English",
        "a\u200eb\u200fc\u2066d\u2069",
        "कुत्ते की तस्वीर",
        "รูปภาพของสุนัข",
        "ქართული ᲥᲐᲠᲗᲣᲚᲘ",
        "Հայերեն",
        "አማርኛ",
        "ᏣᎳᎩ ꭰꭱ",
        "𐐀𐐨 Deseret",
        "𝐁𝐨𝐥𝐝 𝓢𝓬𝓻𝓲𝓹𝓽 𝟘𝟙𝟚",
        "𠮷野家",
        "中文English混合123",
    ],
    "case": [
        "ſ long ſ it'ſ 'ſ",
        "dotless ı and dotted İ, İSTANBUL, ISPARTA ırmak",
        "K kelvin Å angstrom",
        "ß ẞ ﬀ ŉ ǰ ΐ",
        "Ǆ ǅ ǆ",
        "ᾳ ᾼ ᾈ",
        "ΣΣ Σ' 'Σ' ΑΣ' ΑΣ-Β",
        "Ⓐⓐ Ⅷ ⅷ",
        "'\u0345 a\u0345b \u0345 \u0345Σ",
    ],
    "ligatures": ["ﬁ ﬂ ﬃ ﬄ ﬅ ﬆ oﬃce ﬁlm", "Ĳ ĳ ŀ", "ﬓ ﬔ", "ﷺ ﷲ", "ＦＵＬＬ　ＷＩＤＴＨ １２３ ＆ａｍｐ；", "㈱ ㎞ ㏂"],
    "quotes": [
        "“curly” ‘quotes’ it’s",
        "„German“ «French» ‹x›",
        "‛reversed‟ ′prime″ ´acute` ʼmodifier",
        "dash – em — bar ― minus − hyphen ‐ ‑",
        "… ‥ · • ‣",
    ],
    "entities": [
        "&amp;",
        "&amp;amp;",
        "&amp;amp;amp;",
        "&amp;amp;amp;amp;",
        "&lt;b&gt;bold&lt;/b&gt;",
        "&amp;lt;b&amp;gt;",
        "<b>&amp;&eacute;</b>",
        "&eacute;t&eacute; caf&#233; caf&#xe9;",
        "&EACUTE; &AMP; &Amp; &amp &ampx &notanentity; &notin; &not",
        "&nbsp;x&nbsp;&nbsp;y&#160;z",
        "&#0; &#1; &#x1c; &#28; &#128; &#x85; &#xd800; &#x110000; &#55357;&#56832;",
        "&#x1F600; &#128054;",
        "&quot;q&quot; &apos;s &#39;s it&#39;s",
        "&lt;|endoftext|&gt;",
        "AT&T, R&D, Q&A, & &; &&",
        "&fjlig; &NotEqualTilde; &bne;",
        "&ldquo;x&rdquo; &hellip; &trade;",
    ],
    "mojibake": [
        "cafÃ©",
        "âœ” No problems",
        "l’humanitÃ©",
        "â€œquotesâ€\x9d itâ€™s",
        "ðŸ˜€",
        "Ð\x9fÑ\x80Ð¸Ð²ÐµÑ\x82",
        "ã\x83\x84",
        "voilÃ le travail",
        "Ã\xa0 la carte",
        "schÃ¶n â€“ und",
        "ÃƒÂ©",
        "Â£10 Â°C",
        "\ufffd replacement",
        "à¹€à¸",
    ],
    "control": [
        "a\x00b",
        "a\x07b\x08c\x1bd",
        "\x1b[31mred\x1b[0m",
        "a\x7fb\x80c\x85d\x9fe",
        "a\x1cb\x1dc\x1ed\x1fe",
        "soft\xadhyphen",
        "a\u2060b\u061cc\ufff9d\ufffae\ufffb",
        "a\ufeffb",
        "a\u206ab\u206fc",
        "a\U000e0001b",
    ],
    "white space": [
        "a  b   c",
        " lead and trail ",
        "a\tb\nc\rd\r\ne\x0bf\x0cg",
        "a\xa0b\u1680c\u2000d\u2001e\u2002f\u2003g\u2004h\u2005i\u2006j\u2007k\u2008l\u2009m\u200an",
        "a\u2028b\u2029c\u202fd\u205fe\u3000f",
        "a\u180eb\u200bc\u200cd\u200de\u2800f",
        "line one\nline two\n\nline four",
    ],
    "numerals": [
        "²³¹ x² H₂O",
        "Ⅷ Ⅻ ⅷ ↂ",
        "½ ¾ ⅓ ⅞",
        "一二三 〇 ㊀",
        "٣٤٥ ३४५ ๓",
        "① ⑳ ⒈ ⓪ ❶",
        "𝟏𝟚𝟛",
        "1234567890",
        "𐄇 𒐕 ௰",
    ],
    "private and unassigned": [
        "a\ue000b",
        "\uf8ff",
        "\U000f0000 \U00100000 \U0010ffff",
        "\ufdd0 \uffff \U0001fffe",
        "\u0378 \u2fe0",
        "\U0003fff0",
    ],
    "newly assigned": [
        "🫨 shaking",
        "\U00011f02\U00011f12 kawi",
        "\U0001e4d0 nag",
        "🫠 🥹",
        "\u1dfa\u0c5d \U00010570\U00010597",
        "⃀",
    ],
    "surrogates": ["\ud800", "a\udc00b", "\ud83d\ude00 joined", "\ude00\ud83d", "\ud83d", "x\udfffx\ud800"],
    "special tokens": [
        "<|endoftext|>",
        "<|startoftext|>",
        "<|StartOfText|> <|ENDOFTEXT|>",
        "a<|endoftext|>b",
        "!<|endoftext|>!",
        "<|endoftext|><|endoftext|>",
        "<|endoftext|",
        "|endoftext|>",
        "<|endo ftext|>",
        "<|endoftext |>",
        "<|ſtartoftext|>",
        "<start_of_text> <end_of_text>",
        "&lt;|endoftext|&gt; x",
        "</w> dog</w> <w/>",
        "Ġdog Ċ Ā ġ",
    ],
    "long": [
        "a" * 300,
        "dog" * 100,
        "x" * 299 + "é",
        "é" * 300,
        "一" * 300,
        "!" * 300,
        "7" * 300,
        "🐶" * 100,
        "pneumonoultramicroscopicsilicovolcanoconiosis" * 7,
        "the " * 76,
        " ".join(["the"] * 75),
        "ab" * 150,
        "aab" * 100,
        "supercalifragilisticexpialidocious " * 20,
        "<|endoftext|> " * 80,
    ],
}


def every_ascii_character() -> list[str]:
    """Each of the 128 alone, and between letters."""
    return [text for code in range(128) for text in (chr(code), f"a{chr(code)}b")]


def random_texts(count: int) -> list[str]:
    """Texts mixed from assigned code points of several ranges, the same at every run."""
    rng = random.Random(2021)
    ranges = [(0x20, 0x7F), (0x20, 0x7F), (0xA0, 0x250), (0x250, 0x2000), (0x2000, 0x3000), (0x3000, 0xA000)]
    ranges += [(0xAC00, 0xD7A4), (0x1F300, 0x1FA00), (0x80, 0x20000)]
    texts = []
    for _ in range(count):
        chosen = rng.sample(ranges, 3)
        drawn = (chr(rng.randrange(*rng.choice(chosen))) for _ in range(rng.randint(1, 24)))
        texts.append("".join(c if unicodedata.category(c) not in ("Cn", "Cs") else " " for c in drawn))
    return texts


def record(text: str) -> dict[str, object]:
    """A text with OpenAI's ids, and its cut row when the context does not hold them."""
    row = clip.tokenize(text, context_length=UNCUT_LENGTH)[0].tolist()
    ids = row[: UNCUT_LENGTH - row[::-1].index(END_TOKEN)]
    entry: dict[str, object] = {"text": text, "ids": ids}
    if len(ids) > CONTEXT_LENGTH:
        entry["cut"] = clip.tokenize(text, context_length=CONTEXT_LENGTH, truncate=True)[0].tolist()
    return entry


def differs_in_open_clip(entry: dict[str, object]) -> bool:
    """Whether open_clip gives other ids; it should only where a text spells a special token."""
    row = OPEN_CLIP(entry["text"], context_length=UNCUT_LENGTH)[0].tolist()
    ids = entry["ids"]
    assert isinstance(ids, list)
    return bool(row[: len(ids)] != ids or any(row[len(ids) :]))


def main() -> None:
    """Write the references, and say where open_clip agrees."""
    texts = [text for group in HAND_WRITTEN.values() for text in group] + every_ascii_character() + random_texts(300)
    records = [record(text) for text in dict.fromkeys(texts)]
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in records)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(f"[\n{lines}\n]\n", encoding="ascii")
    different = [entry["text"] for entry in records if differs_in_open_clip(entry)]
    sys.stdout.write(f"{len(records)} texts; open_clip differs in {len(different)}: {different}\n")


if __name__ == "__main__":
    main()
