"""Caption files, and say which of them fits some words best.

python examples/caption.py http://127.0.0.1:8000 "a snare drum is hit" examples/*.wav examples/*.mp3
"""

import os
import sys

from diffusion_link_client import Client, ServiceError


def main(url: str, words: str, *files: str) -> int:
    """Print a line a file; exit status 1 where one could not be used."""
    with Client(url, os.environ.get("API_KEY")) as client:
        captioned = client.caption(files, progress=lambda done, total: print(f"{done} of {total}", file=sys.stderr))
        for caption in captioned:
            print(f"{caption['filename']}: {caption['error']['message'] if 'error' in caption else caption['caption']}")
        (text,) = client.embed_texts([words])
        cosines = {
            sound["filename"]: sum(x * y for x, y in zip(sound["embedding"], text, strict=True))
            for sound in client.bridge(files)
            if "error" not in sound
        }
    if cosines:
        print(f"{words}: {max(cosines, key=lambda name: cosines[name])}")
    return 0 if len(cosines) == len(files) else 1


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: caption.py URL WORDS FILE...")
    try:
        sys.exit(main(*sys.argv[1:]))
    except ServiceError as error:
        sys.exit(f"{error}, request {error.request_id}, status {error.status}")
