"""Where npm packages come from: the same registry, and the same certificates, that npm itself would use."""

import base64
import os
import ssl
from collections.abc import Mapping
from pathlib import Path

from scripts.setup.download import Digest
from scripts.setup.errors import SetupError
from scripts.setup.pins import NpmTarball

DEFAULT_REGISTRY = "https://registry.npmjs.org/"


def settings(environment: Mapping[str, str], files: list[Path]) -> dict[str, str]:
    """npm's configuration: `npm_config_*` variables (any case), then the files, the first one first."""
    found: dict[str, str] = {}
    for path in reversed(files):
        try:
            found.update(parse(path.read_text(), environment))
        except (OSError, UnicodeDecodeError):
            continue
    for name, value in environment.items():
        if name.lower().startswith("npm_config_") and value:
            found[name.lower().removeprefix("npm_config_").replace("_", "-")] = value
    return found


def default_files(root: Path, environment: Mapping[str, str]) -> list[Path]:
    """The project's, the user's and the machine's npmrc, in npm's order of precedence."""
    lowered = {name.lower(): value for name, value in environment.items()}
    user = lowered.get("npm_config_userconfig")
    machine = lowered.get("npm_config_globalconfig")
    return [
        root / ".npmrc",
        Path(user) if user else Path.home() / ".npmrc",
        Path(machine) if machine else Path("/usr/etc/npmrc"),
        Path("/etc/npmrc"),
    ]


def parse(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """An npmrc file's `key = value` lines; `${NAME}` is replaced from the environment, as npm does."""
    found: dict[str, str] = {}
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line[0] in "#;[" or "=" not in line:
            continue
        key, _, value = line.partition("=")
        value = value.strip().strip("\"'")
        for name, replacement in environment.items():
            value = value.replace("${" + name + "}", replacement)
        found[key.strip()] = value
    return found


def base_for(package: str, config: Mapping[str, str]) -> str:
    """The registry of `package`'s scope, else the general one; always ends in a slash."""
    scope = package.split("/", 1)[0]
    base = config.get(f"{scope}:registry") or config.get("registry") or DEFAULT_REGISTRY
    return base.rstrip("/") + "/"


def tarball_url(tarball: NpmTarball, config: Mapping[str, str]) -> str:
    """Registries keep a tarball at `<base><package>/-/<name>-<version>.tgz`."""
    name = tarball.package.rsplit("/", 1)[-1]
    return f"{base_for(tarball.package, config)}{tarball.package}/-/{name}-{tarball.version}.tgz"


def integrity(sri: str) -> Digest:
    """A subresource-integrity string, `sha512-<base64>`, as a digest."""
    algorithm, _, value = sri.partition("-")
    return Digest(algorithm, base64.b64decode(value, validate=True))


def ssl_context(config: Mapping[str, str]) -> ssl.SSLContext:
    """The system's certificates and those that npm is told to trust besides."""
    context = ssl.create_default_context()
    for path in (config.get("cafile"), os.environ.get("NODE_EXTRA_CA_CERTS")):
        if path:
            try:
                context.load_verify_locations(cafile=path)
            except (OSError, ssl.SSLError) as error:
                raise SetupError(
                    f"npm's configuration names the certificate file {path}, which can't be read: {error}. "
                    "Mend `cafile` in ~/.npmrc, or NODE_EXTRA_CA_CERTS."
                ) from error
    return context
