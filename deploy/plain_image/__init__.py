"""The Dockerfile gone through without Docker: its instructions in a plain folder, and what they make started from there.

`python -m deploy.plain_image --build-arg TORCH_INDEX=` does it. dockerfile.py reads, build.py follows the instructions,
serve.py starts the outcome and looks after it, user.py is whom all of it runs as.
"""
