// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {INodeRegistry, Node, Provision} from "./interfaces/INodeRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {IVaultReceiver} from "./interfaces/IVaultReceiver.sol";
import {VaultClient} from "./libraries/VaultClient.sol";

/// @title NodeRegistry
/// @notice See INodeRegistry, which is the specification.
contract NodeRegistry is INodeRegistry, VaultClient, ReentrancyGuardTransient {
    using EnumerableSet for EnumerableSet.AddressSet;
    using SafeCast for uint256;

    uint256 private constant MAX_ENDPOINT = 256;
    uint40 private constant MAX_THAW = 365 days;

    /// @inheritdoc INodeRegistry
    uint40 public immutable thawPeriod;
    /// @inheritdoc INodeRegistry
    mapping(address node => uint256) public idleOf;

    mapping(address node => Node) private _nodes;
    /// @dev The last second in which a former operator's signature binds the node.
    mapping(address node => mapping(address key => uint64)) private _retiredAt;
    mapping(address node => mapping(address module => mapping(uint64 modelId => Provision))) private _provisions;
    mapping(address module => mapping(uint64 modelId => EnumerableSet.AddressSet)) private _providers;

    constructor(IVault vault_, uint40 thawPeriod_) VaultClient(vault_) {
        if (thawPeriod_ == 0 || thawPeriod_ > MAX_THAW) revert BadThawPeriod(thawPeriod_);
        thawPeriod = thawPeriod_;
    }

    /// @inheritdoc INodeRegistry
    function setNode(address operator, bytes32 encryptionKey, string calldata endpoint) external {
        if (operator == address(0)) revert ZeroOperator();
        address former = _nodes[msg.sender].operator;
        if (former != operator) _retiredAt[msg.sender][former] = block.timestamp.toUint64();
        _nodes[msg.sender].operator = operator;
        _setEndpoint(msg.sender, encryptionKey, endpoint);
    }

    /// @inheritdoc INodeRegistry
    function setEndpoint(address node, bytes32 encryptionKey, string calldata endpoint) external {
        if (msg.sender != node && msg.sender != operatorOf(node)) revert NotNode(msg.sender, node);
        if (operatorOf(node) == address(0)) revert UnknownNode(node);
        _setEndpoint(node, encryptionKey, endpoint);
    }

    /// @inheritdoc IVaultReceiver
    /// @dev Stake for a node comes by `payAndCall(registry, amount, abi.encode(node))`, from anyone.
    function onVaultPayment(address payer, uint256 amount, bytes calldata data) external returns (bytes4) {
        if (msg.sender != address(vault)) revert NotVault(msg.sender);
        address node = abi.decode(data, (address));
        if (operatorOf(node) == address(0)) revert UnknownNode(node);
        idleOf[node] += amount;
        emit Staked(node, payer, amount);
        return IVaultReceiver.onVaultPayment.selector;
    }

    /// @inheritdoc INodeRegistry
    function provision(address module, uint64 modelId, uint256 amount) external {
        uint256 idle = idleOf[msg.sender];
        if (idle < amount) revert InsufficientStake(msg.sender, idle, amount);
        idleOf[msg.sender] = idle - amount;
        Provision storage p = _provisions[msg.sender][module][modelId];
        p.amount = SafeCast.toUint72(p.amount + amount);
        if (p.amount != 0) _providers[module][modelId].add(msg.sender);
        emit Provisioned(msg.sender, module, modelId, amount);
    }

    /// @inheritdoc INodeRegistry
    function thaw(address module, uint64 modelId, uint256 amount) external {
        Provision storage p = _provisions[msg.sender][module][modelId];
        uint256 available = _available(p);
        if (available < amount) revert InsufficientProvision(msg.sender, module, modelId, available, amount);
        p.thawing = SafeCast.toUint72(p.thawing + amount);
        p.thawedAt = (block.timestamp + thawPeriod).toUint40();
        emit ThawStarted(msg.sender, module, modelId, amount, p.thawedAt);
    }

    /// @inheritdoc INodeRegistry
    function deprovision(address module, uint64 modelId) external returns (uint256 amount) {
        Provision storage p = _provisions[msg.sender][module][modelId];
        amount = p.thawing;
        if (amount == 0) revert NothingThawing(msg.sender, module, modelId);
        if (block.timestamp < p.thawedAt) revert StillThawing(p.thawedAt, block.timestamp);
        p.thawing = 0;
        p.amount = SafeCast.toUint72(p.amount - amount);
        idleOf[msg.sender] += amount;
        _delistIfEmpty(msg.sender, module, modelId);
        emit Deprovisioned(msg.sender, module, modelId, amount);
    }

    /// @inheritdoc INodeRegistry
    function unstake(address to, uint256 amount) external nonReentrant {
        uint256 idle = idleOf[msg.sender];
        if (idle < amount) revert InsufficientStake(msg.sender, idle, amount);
        idleOf[msg.sender] = idle - amount;
        emit Unstaked(msg.sender, to, amount);
        vault.pay(to, amount);
    }

    /// @inheritdoc INodeRegistry
    function reserve(address node, uint64 modelId, uint256 amount) external returns (address) {
        Provision storage p = _provisions[node][msg.sender][modelId];
        uint256 available = _available(p);
        if (available < amount) revert InsufficientProvision(node, msg.sender, modelId, available, amount);
        p.reserved = SafeCast.toUint72(p.reserved + amount);
        return operatorOf(node);
    }

    /// @inheritdoc INodeRegistry
    function release(address node, uint64 modelId, uint256 amount) external {
        Provision storage p = _provisions[node][msg.sender][modelId];
        // Bound: min(amount, reserved) <= reserved.
        unchecked {
            p.reserved -= uint72(Math.min(amount, p.reserved));
        }
    }

    /// @inheritdoc INodeRegistry
    function slash(address node, uint64 modelId, uint256 amount) external nonReentrant returns (uint256 taken) {
        Provision storage p = _provisions[node][msg.sender][modelId];
        taken = Math.min(amount, p.reserved);
        // Bound: taken <= reserved <= amount.
        unchecked {
            p.reserved -= uint72(taken);
            p.amount -= uint72(taken);
        }
        _delistIfEmpty(node, msg.sender, modelId);
        emit Slashed(node, msg.sender, modelId, taken);
        vault.pay(msg.sender, taken);
    }

    /// @inheritdoc INodeRegistry
    function nodeOf(address node) external view returns (Node memory) {
        return _nodes[node];
    }

    /// @inheritdoc INodeRegistry
    function operatorOf(address node) public view returns (address) {
        return _nodes[node].operator;
    }

    /// @inheritdoc INodeRegistry
    function wasOperator(address node, address key, uint64 time) external view returns (bool) {
        if (key == address(0)) return false;
        uint64 retiredAt = _retiredAt[node][key];
        // Zero: never retired, which must not make everybody an operator at time 0.
        return operatorOf(node) == key || (retiredAt != 0 && time <= retiredAt);
    }

    /// @inheritdoc INodeRegistry
    function provisionOf(address node, address module, uint64 modelId) external view returns (Provision memory) {
        return _provisions[node][module][modelId];
    }

    /// @inheritdoc INodeRegistry
    function providers(address module, uint64 modelId, uint256 start, uint256 end)
        external
        view
        returns (address[] memory)
    {
        return _providers[module][modelId].values(start, end);
    }

    /// @inheritdoc INodeRegistry
    function providerCount(address module, uint64 modelId) external view returns (uint256) {
        return _providers[module][modelId].length();
    }

    function _setEndpoint(address node, bytes32 encryptionKey, string calldata endpoint) private {
        if (bytes(endpoint).length > MAX_ENDPOINT) revert EndpointTooLong(bytes(endpoint).length, MAX_ENDPOINT);
        _nodes[node].encryptionKey = encryptionKey;
        _nodes[node].endpoint = endpoint;
        emit NodeUpdated(node, operatorOf(node), encryptionKey, endpoint);
    }

    function _delistIfEmpty(address node, address module, uint64 modelId) private {
        if (_provisions[node][module][modelId].amount == 0) _providers[module][modelId].remove(node);
    }

    function _available(Provision storage p) private view returns (uint256) {
        return uint256(p.amount) - p.reserved - p.thawing;
    }
}
