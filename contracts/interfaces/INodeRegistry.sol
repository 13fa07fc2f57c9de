// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVaultClient} from "./IVaultClient.sol";
import {IVaultReceiver} from "./IVaultReceiver.sol";

/// @notice Who a node is. The node's id is its owner's address; the operator key signs and sends.
struct Node {
    address operator;
    bytes32 encryptionKey;
    string endpoint;
}

/// @notice Stake that `node` put at one contract's disposal for one model, in token base units.
/// @dev reserved + thawing <= amount, always.
struct Provision {
    uint72 amount;
    uint72 reserved;
    uint72 thawing;
    uint40 thawedAt;
}

/// @title INodeRegistry
/// @notice Endpoints, keys and stake. Stake is idle, or provisioned to (contract, model): that contract can then reserve part of
/// it when an obligation starts, and slash no more than it reserved. A node's other stake is out of its reach.
interface INodeRegistry is IVaultReceiver, IVaultClient {
    event NodeUpdated(address indexed node, address operator, bytes32 encryptionKey, string endpoint);
    event Staked(address indexed node, address indexed payer, uint256 amount);
    event Unstaked(address indexed node, address indexed to, uint256 amount);
    event Provisioned(address indexed node, address indexed module, uint64 indexed modelId, uint256 amount);
    event ThawStarted(
        address indexed node, address indexed module, uint64 indexed modelId, uint256 amount, uint256 thawedAt
    );
    event Deprovisioned(address indexed node, address indexed module, uint64 indexed modelId, uint256 amount);
    event Slashed(address indexed node, address indexed module, uint64 indexed modelId, uint256 amount);

    error NotVault(address caller);
    error NotNode(address caller, address node);
    error UnknownNode(address node);
    error ZeroOperator();
    error EndpointTooLong(uint256 length, uint256 limit);
    error InsufficientStake(address node, uint256 idle, uint256 needed);
    error InsufficientProvision(address node, address module, uint64 modelId, uint256 available, uint256 needed);
    error StillThawing(uint256 thawedAt, uint256 time);
    error NothingThawing(address node, address module, uint64 modelId);
    error BadThawPeriod(uint256 thawPeriod);

    /// @notice Seconds between asking for provisioned stake back and having it.
    function thawPeriod() external view returns (uint40);

    /// @notice Create or change the caller's node. The former operator stays answerable for what it signed until now.
    /// @param encryptionKey X25519 public key that prompts are sealed to.
    /// @param endpoint Base URL of the node's HTTP interface, at most 256 bytes.
    function setNode(address operator, bytes32 encryptionKey, string calldata endpoint) external;

    /// @notice Change what an operator may change without the owner: where the node listens.
    function setEndpoint(address node, bytes32 encryptionKey, string calldata endpoint) external;

    /// @notice Assign `amount` of the caller's idle stake to `module` for `modelId`.
    function provision(address module, uint64 modelId, uint256 amount) external;

    /// @notice Start to take `amount`, not reserved, back. A second call adds to the first and starts its time anew.
    function thaw(address module, uint64 modelId, uint256 amount) external;

    /// @notice Make thawed stake idle again.
    function deprovision(address module, uint64 modelId) external returns (uint256 amount);

    /// @notice Move `amount` of the caller's idle stake to ledger account `to`.
    function unstake(address to, uint256 amount) external;

    /// @notice Bind `amount` of what `node` provisioned to the caller for one obligation.
    /// @return operator The node's operator key.
    function reserve(address node, uint64 modelId, uint256 amount) external returns (address operator);

    /// @notice Give a reservation back; more than is reserved counts as all of it.
    function release(address node, uint64 modelId, uint256 amount) external;

    /// @notice Take up to `amount` of what the caller reserved and pay it to the caller's ledger account. Never reverts.
    /// @return taken Token base units moved.
    function slash(address node, uint64 modelId, uint256 amount) external returns (uint256 taken);

    function nodeOf(address node) external view returns (Node memory);
    function operatorOf(address node) external view returns (address);

    /// @notice Whether `key` was `node`'s operator at `time` (seconds), for evidence signed then.
    function wasOperator(address node, address key, uint64 time) external view returns (bool);

    /// @notice Idle stake, in token base units.
    function idleOf(address node) external view returns (uint256);
    function provisionOf(address node, address module, uint64 modelId) external view returns (Provision memory);

    /// @notice The nodes with stake provisioned to (module, model), from index `start` to before `end`; their order can change.
    function providers(address module, uint64 modelId, uint256 start, uint256 end)
        external
        view
        returns (address[] memory);
    function providerCount(address module, uint64 modelId) external view returns (uint256);
}
