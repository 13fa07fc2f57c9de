// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @notice One version of a model. `manifest` is the sha2-256 of its canonical JSON (docs/protocol.md, section 6).
struct Version {
    bytes32 manifest;
    uint32 parent;
    uint64 epoch;
    uint64 publishedAt;
}

/// @title IModelRegistry
/// @notice Models and their versions. Version 0 is what the trainer registered; later ones come from the TuningGovernor alone.
/// @dev `modelId` is the first 8 bytes of keccak256(abi.encode(trainer, name)): a chain reorganisation can't give it to another model.
interface IModelRegistry {
    event ModelRegistered(
        uint64 indexed modelId,
        address indexed trainer,
        address token,
        string name,
        bytes32 manifest,
        uint64 modelFee,
        uint256 supply
    );
    event VersionPublished(
        uint64 indexed modelId, uint32 indexed version, uint32 parent, uint64 epoch, bytes32 manifest
    );

    error BadName(string name);
    error ModelExists(uint64 modelId);
    error UnknownModel(uint64 modelId);
    error UnknownVersion(uint64 modelId, uint32 version);
    error EmptyManifest();
    error EmptySupply();
    error NotGovernor(address caller, address governor);

    /// @notice The one contract that may publish later versions.
    function governor() external view returns (address);

    /// @notice The implementation that model tokens are clones of.
    function tokenImplementation() external view returns (address);

    /// @notice Register the caller's model, deploy its token, and mint the whole supply to the caller.
    /// @param name 1 to 64 of a–z, 0–9, '-', '.', '_': unique for this trainer, shown as trainer/name@version.
    /// @param symbol The token's symbol.
    /// @param manifest sha2-256 of version 0's manifest.
    /// @param modelFee Base units of the payment token per million tokens, prompt and output alike; fixed for ever.
    /// @param supply Whole token supply, 18 decimals.
    function register(string calldata name, string calldata symbol, bytes32 manifest, uint64 modelFee, uint256 supply)
        external
        returns (uint64 modelId, address token);

    /// @notice Publish the next version (governor only).
    function publish(uint64 modelId, bytes32 manifest, uint32 parent, uint64 epoch) external returns (uint32 version);

    /// @notice The model fee, in base units per million tokens; reverts unless this version exists.
    function feeOf(uint64 modelId, uint32 version) external view returns (uint64 modelFee);

    function modelIdOf(address trainer, string calldata name) external pure returns (uint64);
    function trainerOf(uint64 modelId) external view returns (address);
    function latestVersion(uint64 modelId) external view returns (uint32);
    function versionOf(uint64 modelId, uint32 version) external view returns (Version memory);
    function tokenOf(uint64 modelId) external view returns (address);
    function nameOf(uint64 modelId) external view returns (string memory);
}
