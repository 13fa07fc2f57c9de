// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Base, IVault} from "../Base.t.sol";
import {FalseToken, HookToken} from "../doubles/Tokens.sol";

contract WithdrawTest is Base {
    function test_sendsTokensOut() public {
        uint256 before = vault.balanceOf(client);
        vm.expectEmit(address(vault));
        emit IVault.Withdrawn(client, stranger, 4e6);
        vm.prank(client);
        vault.withdraw(stranger, 4e6);
        assertEq(vault.balanceOf(client), before - 4e6);
        assertEq(token.balanceOf(stranger), 4e6);
    }

    function testFuzz_neverMoreThanTheBalance(uint256 balance, uint256 amount) public {
        balance = bound(balance, 0, 1_000_000e6);
        fund(stranger, balance);
        vm.prank(stranger);
        if (amount > balance) {
            vm.expectRevert(abi.encodeWithSelector(IVault.InsufficientBalance.selector, stranger, balance, amount));
        }
        vault.withdraw(stranger, amount);
        uint256 sent = amount > balance ? 0 : amount;
        assertEq(vault.balanceOf(stranger), balance - sent);
        assertEq(token.balanceOf(stranger), sent);
    }

    function test_refusesTheZeroAddress() public {
        vm.prank(client);
        vm.expectRevert(IVault.ZeroAddress.selector);
        vault.withdraw(address(0), 1);
    }

    /// @dev Tokens sent to the Vault itself would belong to nobody.
    function test_refusesTheVault() public {
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IVault.NoSelfTransfer.selector, address(vault)));
        vault.withdraw(address(vault), 1);
    }

    function test_falseReturning_keepsTheBalance() public {
        FalseToken odd = new FalseToken();
        IVault other = IVault(deployCode("Vault.sol:Vault", abi.encode(odd)));
        vm.mockCall(address(odd), abi.encodeWithSelector(odd.transferFrom.selector), abi.encode(true));
        vm.mockCall(address(odd), abi.encodeWithSelector(odd.balanceOf.selector), abi.encode(0));
        other.deposit(client, 0);
        vm.clearMockedCalls();
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(odd)));
        other.withdraw(client, 0);
    }

    /// @dev The recipient tries to spend again while the tokens are on their way.
    function test_reentrantToken_gainsNothing() public {
        HookToken odd = new HookToken();
        IVault other = IVault(deployCode("Vault.sol:Vault", abi.encode(odd)));
        odd.mint(address(this), 1000);
        odd.approve(address(other), 1000);
        other.deposit(address(odd), 500);
        other.deposit(client, 500);
        bytes[3] memory calls = [
            abi.encodeCall(IVault.withdraw, (address(odd), 500)),
            abi.encodeCall(IVault.pay, (client, 500)),
            abi.encodeCall(IVault.deposit, (address(odd), 0))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            odd.hook(address(other), calls[i]);
            vm.prank(client);
            other.withdraw(stranger, 100);
            assertFalse(odd.succeeded());
            assertEq(bytes4(odd.result()), ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        }
        assertEq(other.balanceOf(address(odd)), 500);
        assertEq(other.balanceOf(client), 200);
        assertEq(odd.balanceOf(address(other)), 700);
    }
}
