"""PyTorch and what goes with it: an optional extra, imported only by who trains."""

from types import ModuleType

from agents.tuning.errors import NotInstalled

INSTALL = (
    "pip install 'capek[tuning]' (without a GPU first `pip install torch==2.13.0 --index-url "
    "https://download.pytorch.org/whl/cpu`, which is a tenth of the size)"
)


def load(name: str) -> ModuleType:
    """A module of the extra `tuning`: "torch", "peft", "transformers", "gguf" or "safetensors.numpy".

    Raises:
        NotInstalled: it is missing; the text says what to install.
    """
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotInstalled(f"tuning needs {name}, which can't be imported ({error}): {INSTALL}") from None
