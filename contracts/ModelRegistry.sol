// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IModelRegistry, Version} from "./interfaces/IModelRegistry.sol";
import {IModelToken} from "./interfaces/IModelToken.sol";
import {ModelToken} from "./ModelToken.sol";

/// @title ModelRegistry
/// @notice See IModelRegistry, which is the specification.
contract ModelRegistry is IModelRegistry {
    /// @dev One slot: what opening a job has to read.
    struct Model {
        address trainer;
        uint64 fee;
        uint32 latest;
    }

    uint256 private constant MAX_NAME = 64;

    /// @inheritdoc IModelRegistry
    address public immutable governor;
    /// @inheritdoc IModelRegistry
    address public immutable tokenImplementation;

    mapping(uint64 modelId => Model) private _models;
    mapping(uint64 modelId => mapping(uint32 version => Version)) private _versions;
    mapping(uint64 modelId => string) private _names;

    constructor(address governor_) {
        governor = governor_;
        tokenImplementation = address(new ModelToken());
    }

    /// @inheritdoc IModelRegistry
    function register(string calldata name, string calldata symbol, bytes32 manifest, uint64 modelFee, uint256 supply)
        external
        returns (uint64 modelId, address token)
    {
        if (!_isName(name)) revert BadName(name);
        if (manifest == 0) revert EmptyManifest();
        if (supply == 0) revert EmptySupply();
        modelId = modelIdOf(msg.sender, name);
        if (_models[modelId].trainer != address(0)) revert ModelExists(modelId);
        _models[modelId] = Model(msg.sender, modelFee, 0);
        _names[modelId] = name;
        _versions[modelId][0] = Version(manifest, 0, 0, SafeCast.toUint64(block.timestamp));
        token = Clones.cloneDeterministic(tokenImplementation, bytes32(uint256(modelId)));
        emit ModelRegistered(modelId, msg.sender, token, name, manifest, modelFee, supply);
        IModelToken(token).initialize(name, symbol, supply, msg.sender);
    }

    /// @inheritdoc IModelRegistry
    function publish(uint64 modelId, bytes32 manifest, uint32 parent, uint64 epoch) external returns (uint32 version) {
        if (msg.sender != governor) revert NotGovernor(msg.sender, governor);
        if (manifest == 0) revert EmptyManifest();
        uint32 latest = latestVersion(modelId);
        if (parent > latest) revert UnknownVersion(modelId, parent);
        version = latest + 1;
        _models[modelId].latest = version;
        _versions[modelId][version] = Version(manifest, parent, epoch, SafeCast.toUint64(block.timestamp));
        emit VersionPublished(modelId, version, parent, epoch, manifest);
    }

    /// @inheritdoc IModelRegistry
    function feeOf(uint64 modelId, uint32 version) external view returns (uint64) {
        Model memory model = _models[modelId];
        if (model.trainer == address(0)) revert UnknownModel(modelId);
        if (version > model.latest) revert UnknownVersion(modelId, version);
        return model.fee;
    }

    /// @inheritdoc IModelRegistry
    function modelIdOf(address trainer, string calldata name) public pure returns (uint64) {
        return uint64(bytes8(keccak256(abi.encode(trainer, name))));
    }

    /// @inheritdoc IModelRegistry
    function trainerOf(uint64 modelId) public view returns (address trainer) {
        trainer = _models[modelId].trainer;
        if (trainer == address(0)) revert UnknownModel(modelId);
    }

    /// @inheritdoc IModelRegistry
    function latestVersion(uint64 modelId) public view returns (uint32) {
        trainerOf(modelId);
        return _models[modelId].latest;
    }

    /// @inheritdoc IModelRegistry
    function versionOf(uint64 modelId, uint32 version) external view returns (Version memory) {
        if (version > latestVersion(modelId)) revert UnknownVersion(modelId, version);
        return _versions[modelId][version];
    }

    /// @inheritdoc IModelRegistry
    function tokenOf(uint64 modelId) external view returns (address) {
        trainerOf(modelId);
        return Clones.predictDeterministicAddress(tokenImplementation, bytes32(uint256(modelId)));
    }

    /// @inheritdoc IModelRegistry
    function nameOf(uint64 modelId) external view returns (string memory) {
        trainerOf(modelId);
        return _names[modelId];
    }

    /// @dev Only what can't be mistaken for another character: a–z, 0–9, '-', '.', '_'.
    function _isName(string calldata name) private pure returns (bool) {
        bytes calldata text = bytes(name);
        if (text.length == 0 || text.length > MAX_NAME) return false;
        for (uint256 i = 0; i < text.length; ++i) {
            bytes1 c = text[i];
            bool letter = c >= "a" && c <= "z";
            bool digit = c >= "0" && c <= "9";
            if (!letter && !digit && c != "-" && c != "." && c != "_") return false;
        }
        return true;
    }
}
