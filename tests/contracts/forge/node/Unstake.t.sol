// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, INodeRegistry, IVault} from "../Base.t.sol";

contract UnstakeTest is Base {
    function test_paysToAnyLedgerAccount() public {
        uint256 idle = registry.idleOf(node);
        vm.expectEmit(address(registry));
        emit INodeRegistry.Unstaked(node, stranger, 40e6);
        vm.prank(node);
        registry.unstake(stranger, 40e6);
        assertEq(registry.idleOf(node), idle - 40e6);
        assertEq(vault.balanceOf(stranger), 40e6);
    }

    function testFuzz_neverMoreThanIdle(uint256 amount) public {
        uint256 idle = registry.idleOf(node);
        vm.prank(node);
        if (amount > idle) {
            vm.expectRevert(abi.encodeWithSelector(INodeRegistry.InsufficientStake.selector, node, idle, amount));
        }
        registry.unstake(stranger, amount);
        assertEq(vault.balanceOf(stranger), amount > idle ? 0 : amount);
    }

    /// @dev The operator key signs and sends, but never takes the stake.
    function test_notTheOperator() public {
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.InsufficientStake.selector, operator, 0, 1));
        registry.unstake(operator, 1);
    }

    function test_refusesTheZeroAccount() public {
        vm.prank(node);
        vm.expectRevert(IVault.ZeroAddress.selector);
        registry.unstake(address(0), 1);
    }
}
