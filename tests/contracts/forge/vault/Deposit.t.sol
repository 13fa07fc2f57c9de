// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Base, IVault} from "../Base.t.sol";
import {FeeToken, FalseToken, SilentToken, HookToken} from "../doubles/Tokens.sol";

contract DepositTest is Base {
    function vaultOf(address token_) private returns (IVault) {
        return IVault(deployCode("Vault.sol:Vault", abi.encode(token_)));
    }

    function test_constructor_refusesNoToken() public {
        vm.expectRevert(IVault.ZeroAddress.selector);
        vaultOf(address(0));
    }

    function test_constructor_namesItsToken() public view {
        assertEq(address(vault.token()), address(token));
    }

    function test_creditsAnyAccount() public {
        deal(address(token), stranger, 7e6);
        vm.startPrank(stranger);
        token.approve(address(vault), 7e6);
        vm.expectEmit(address(vault));
        emit IVault.Deposited(trainer, stranger, 7e6);
        vault.deposit(trainer, 7e6);
        assertEq(vault.balanceOf(trainer), 7e6);
        assertEq(vault.balanceOf(stranger), 0);
        assertEq(token.balanceOf(stranger), 0);
    }

    function testFuzz_tokensHeldEqualTheLedger(uint256 first, uint256 second) public {
        (first, second) = (bound(first, 0, 1_000_000e6), bound(second, 0, 1_000_000e6));
        uint256 before = token.balanceOf(address(vault));
        fund(trainer, first);
        fund(trainer, second);
        assertEq(vault.balanceOf(trainer), first + second);
        assertEq(token.balanceOf(address(vault)), before + first + second);
    }

    function test_refusesTheZeroAccount() public {
        vm.expectRevert(IVault.ZeroAddress.selector);
        vault.deposit(address(0), 1);
    }

    function test_refusesTheVault() public {
        vm.expectRevert(abi.encodeWithSelector(IVault.NoSelfTransfer.selector, address(vault)));
        vault.deposit(address(vault), 1);
    }

    function test_refusesWithoutAllowance() public {
        deal(address(token), stranger, 7e6);
        vm.prank(stranger);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(vault), 0, 7e6)
        );
        vault.deposit(stranger, 7e6);
    }

    function test_feeOnTransfer_creditsWhatArrived() public {
        FeeToken odd = new FeeToken();
        IVault other = vaultOf(address(odd));
        odd.mint(address(this), 1000);
        odd.approve(address(other), 1000);
        other.deposit(client, 1000);
        assertEq(other.balanceOf(client), 990);
        assertEq(odd.balanceOf(address(other)), 990);
        vm.prank(client);
        other.withdraw(client, 990);
        assertEq(odd.balanceOf(address(other)), 0);
    }

    function test_falseReturning_creditsNothing() public {
        FalseToken odd = new FalseToken();
        IVault other = vaultOf(address(odd));
        odd.mint(address(this), 1000);
        odd.approve(address(other), 1000);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(odd)));
        other.deposit(client, 1000);
        assertEq(other.balanceOf(client), 0);
    }

    function test_nothingReturning_works() public {
        SilentToken odd = new SilentToken();
        IVault other = vaultOf(address(odd));
        odd.mint(address(this), 1000);
        odd.approve(address(other), 1000);
        other.deposit(client, 1000);
        vm.prank(client);
        other.withdraw(stranger, 400);
        assertEq(other.balanceOf(client), 600);
        assertEq(odd.balanceOf(stranger), 400);
    }

    /// @dev Each verb that moves money, from within the token's transfer of a deposit.
    function test_reentrantToken_gainsNothing() public {
        HookToken odd = new HookToken();
        IVault other = vaultOf(address(odd));
        odd.mint(address(this), 2000);
        odd.approve(address(other), 2000);
        other.deposit(address(odd), 500);
        bytes[4] memory calls = [
            abi.encodeCall(IVault.deposit, (address(odd), 0)),
            abi.encodeCall(IVault.withdraw, (address(odd), 500)),
            abi.encodeCall(IVault.pay, (client, 500)),
            abi.encodeCall(IVault.payAndCall, (address(this), 500, ""))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            odd.hook(address(other), calls[i]);
            other.deposit(client, 100);
            assertFalse(odd.succeeded());
            assertEq(bytes4(odd.result()), ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        }
        assertEq(other.balanceOf(client), 400);
        assertEq(other.balanceOf(address(odd)), 500);
        assertEq(odd.balanceOf(address(other)), 900);
    }
}
