import binascii
from pathlib import Path

import pytest

from scripts.setup import registry
from scripts.setup.errors import SetupError
from scripts.setup.paths import ROOT
from scripts.setup.pins import ANVIL, NpmTarball

TARBALL = NpmTarball("@scope/tool", "1.2.3", "sha512-AA==", "package/bin/tool")


def test_the_public_registry_is_the_default() -> None:
    assert registry.tarball_url(TARBALL, {}) == f"{registry.DEFAULT_REGISTRY}@scope/tool/-/tool-1.2.3.tgz"


def test_npmrc_lines() -> None:
    text = """
    ; a comment = not a setting
    # registry=http://commented.example
    registry = "http://one.example/npm"
    @scope:registry=http://two.example/${TEAM}/
    fund=false
    [section]
    alone
    """
    assert registry.parse(text, {"TEAM": "red"}) == {
        "registry": "http://one.example/npm",
        "@scope:registry": "http://two.example/red/",
        "fund": "false",
    }


def test_a_scope_has_its_own_registry() -> None:
    config = {"registry": "http://one.example/npm", "@scope:registry": "http://two.example"}
    assert registry.base_for("@scope/tool", config) == "http://two.example/"
    assert registry.base_for("@other/tool", config) == "http://one.example/npm/"


def test_the_environment_wins_over_the_files_and_the_first_file_over_the_next(tmp_path: Path) -> None:
    (tmp_path / "project").write_text("registry=http://project.example\n")
    (tmp_path / "user").write_text("registry=http://user.example\ncafile=/user.pem\n")
    files = [tmp_path / "project", tmp_path / "user", tmp_path / "not-there"]
    assert registry.settings({}, files) == {"registry": "http://project.example", "cafile": "/user.pem"}
    assert (
        registry.settings({"npm_config_registry": "http://env.example"}, files)["registry"]
        == "http://env.example"
    )
    assert (
        registry.settings({"NPM_CONFIG_REGISTRY": "http://env.example"}, files)["registry"]
        == "http://env.example"
    )
    assert registry.settings({"npm_config_registry": ""}, files)["registry"] == "http://project.example"


def test_npm_can_be_pointed_at_another_user_file() -> None:
    assert Path("/elsewhere/npmrc") in registry.default_files(
        ROOT, {"NPM_CONFIG_USERCONFIG": "/elsewhere/npmrc"}
    )


def test_integrity_is_base64_after_the_algorithm() -> None:
    digest = registry.integrity("sha512-3q2+7w==")
    assert (digest.algorithm, digest.value) == ("sha512", bytes.fromhex("deadbeef"))
    with pytest.raises(binascii.Error):
        registry.integrity("sha512-not base64")


def test_every_pinned_integrity_is_a_whole_sha512() -> None:
    for tarball in ANVIL.values():
        digest = registry.integrity(tarball.integrity)
        assert (digest.algorithm, len(digest.value)) == ("sha512", 64)


def test_a_certificate_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"gone\.pem.*cafile"):
        registry.ssl_context({"cafile": str(tmp_path / "gone.pem")})
