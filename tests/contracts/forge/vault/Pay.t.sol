// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IVault} from "../Base.t.sol";

contract PayTest is Base {
    function test_movesBetweenAccounts() public {
        uint256 before = vault.balanceOf(client);
        uint256 held = token.balanceOf(address(vault));
        vm.expectEmit(address(vault));
        emit IVault.Paid(client, stranger, 4e6);
        vm.prank(client);
        vault.pay(stranger, 4e6);
        assertEq(vault.balanceOf(client), before - 4e6);
        assertEq(vault.balanceOf(stranger), 4e6);
        assertEq(token.balanceOf(address(vault)), held);
    }

    function testFuzz_keepsTheSum(uint256 balance, uint256 amount) public {
        balance = bound(balance, 0, 1_000_000e6);
        fund(stranger, balance);
        uint256 sum = vault.balanceOf(stranger) + vault.balanceOf(client);
        vm.prank(stranger);
        if (amount > balance) {
            vm.expectRevert(abi.encodeWithSelector(IVault.InsufficientBalance.selector, stranger, balance, amount));
        }
        vault.pay(client, amount);
        assertEq(vault.balanceOf(stranger) + vault.balanceOf(client), sum);
    }

    function testFuzz_toOneselfChangesNothing(uint256 amount) public {
        uint256 before = vault.balanceOf(client);
        vm.prank(client);
        vault.pay(client, bound(amount, 0, before));
        assertEq(vault.balanceOf(client), before);
    }

    function test_refusesTheZeroAccount() public {
        vm.prank(client);
        vm.expectRevert(IVault.ZeroAddress.selector);
        vault.pay(address(0), 1);
    }

    function test_refusesTheVault() public {
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IVault.NoSelfTransfer.selector, address(vault)));
        vault.pay(address(vault), 1);
    }
}
