// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVault} from "contracts/interfaces/IVault.sol";
import {Provision} from "contracts/interfaces/INodeRegistry.sol";
import {NodeRegistry} from "contracts/NodeRegistry.sol";

/// @notice A ledger that only counts, so that the registry's own arithmetic is what is proved.
contract CountingVault {
    uint256 public paid;

    function domainSeparator() external pure returns (bytes32) {
        return 0;
    }

    function pay(address, uint256 amount) external {
        paid += amount;
    }

    function stake(NodeRegistry registry, address node, uint256 amount) external {
        registry.onVaultPayment(address(this), amount, abi.encode(node));
    }
}

/// @notice Slash, release and thaw for every amount: nothing reverts that must not, nothing is taken twice. Run by `make fuzz`.
/// @dev This contract is node, owner and module at once.
contract NodeRegistryProof {
    uint64 private constant MODEL = 1;

    CountingVault private vault;
    NodeRegistry private registry;

    function setUp() public {
        vault = new CountingVault();
        registry = new NodeRegistry(IVault(address(vault)), 1 days);
        registry.setNode(address(this), 0, "");
    }

    function given(uint72 amount, uint72 reserved, uint72 thawing) private returns (bool) {
        if (uint256(reserved) + thawing > amount) return false;
        vault.stake(registry, address(this), amount);
        registry.provision(address(this), MODEL, amount);
        registry.reserve(address(this), MODEL, reserved);
        registry.thaw(address(this), MODEL, thawing);
        return true;
    }

    function held() private view returns (Provision memory) {
        return registry.provisionOf(address(this), address(this), MODEL);
    }

    function check_slash(uint72 amount, uint72 reserved, uint72 thawing, uint256 asked) external {
        if (!given(amount, reserved, thawing)) return;
        uint256 taken = registry.slash(address(this), MODEL, asked);
        assert(taken == (asked < reserved ? asked : reserved));
        assert(vault.paid() == taken);
        Provision memory p = held();
        assert(p.amount == amount - taken);
        assert(p.reserved == reserved - taken);
        assert(p.thawing == thawing);
        assert(uint256(p.reserved) + p.thawing <= p.amount);
    }

    function check_release(uint72 amount, uint72 reserved, uint72 thawing, uint256 asked) external {
        if (!given(amount, reserved, thawing)) return;
        registry.release(address(this), MODEL, asked);
        Provision memory p = held();
        assert(p.amount == amount);
        assert(p.reserved == (asked < reserved ? reserved - asked : 0));
        assert(p.thawing == thawing);
    }

    /// @dev Reserved and thawing never overlap, so each can be honoured whatever becomes of the other.
    function check_reserveAndThaw(uint72 amount, uint72 reserved, uint72 thawing, uint256 more) external {
        if (!given(amount, reserved, thawing)) return;
        uint256 available = uint256(amount) - reserved - thawing;
        (bool reserves,) = address(registry).call(abi.encodeCall(registry.reserve, (address(this), MODEL, more)));
        assert(reserves == (more <= available));
        Provision memory p = held();
        assert(uint256(p.reserved) + p.thawing <= p.amount);
        (bool thaws,) = address(registry).call(abi.encodeCall(registry.thaw, (address(this), MODEL, 1)));
        assert(thaws == (uint256(p.amount) - p.reserved - p.thawing >= 1));
    }
}
