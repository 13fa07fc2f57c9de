// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {Base, IVault} from "../Base.t.sol";
import {SilentToken} from "../doubles/Tokens.sol";

contract DepositWithPermitTest is Base {
    uint256 private constant AMOUNT = 9e6;

    function permit(address owner, uint256 key, uint256 amount, uint256 deadline)
        private
        view
        returns (uint8, bytes32, bytes32)
    {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 hash = keccak256(abi.encode(typeHash, owner, address(vault), amount, token.nonces(owner), deadline));
        return vm.sign(key, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), hash)));
    }

    function setUp() public override {
        super.setUp();
        deal(address(token), client, AMOUNT);
    }

    function test_needsNoAllowanceBefore() public {
        (uint8 v, bytes32 r, bytes32 s) = permit(client, clientKey, AMOUNT, block.timestamp);
        uint256 before = vault.balanceOf(client);
        vm.prank(client);
        vault.depositWithPermit(client, AMOUNT, block.timestamp, v, r, s);
        assertEq(vault.balanceOf(client), before + AMOUNT);
        assertEq(token.allowance(client, address(vault)), 0);
    }

    function test_worksWhenSomebodySentThePermitFirst() public {
        (uint8 v, bytes32 r, bytes32 s) = permit(client, clientKey, AMOUNT, block.timestamp);
        vm.prank(stranger);
        token.permit(client, address(vault), AMOUNT, block.timestamp, v, r, s);
        vm.prank(client);
        vault.depositWithPermit(trainer, AMOUNT, block.timestamp, v, r, s);
        assertEq(vault.balanceOf(trainer), AMOUNT);
    }

    function test_refusesAnExpiredPermit() public {
        (uint8 v, bytes32 r, bytes32 s) = permit(client, clientKey, AMOUNT, block.timestamp - 1);
        vm.prank(client);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(vault), 0, AMOUNT)
        );
        vault.depositWithPermit(client, AMOUNT, block.timestamp - 1, v, r, s);
    }

    /// @dev A stranger who holds the permit can't deposit its maker's tokens, to whatever account.
    function test_refusesAnothersPermit() public {
        (uint8 v, bytes32 r, bytes32 s) = permit(client, clientKey, AMOUNT, block.timestamp);
        vm.prank(stranger);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(vault), 0, AMOUNT)
        );
        vault.depositWithPermit(stranger, AMOUNT, block.timestamp, v, r, s);
        assertEq(token.balanceOf(client), AMOUNT);
    }

    function test_tokenWithoutPermit_usesTheAllowance() public {
        SilentToken odd = new SilentToken();
        IVault other = IVault(deployCode("Vault.sol:Vault", abi.encode(odd)));
        odd.mint(address(this), 1000);
        odd.approve(address(other), 1000);
        other.depositWithPermit(client, 1000, block.timestamp, 27, 0, 0);
        assertEq(other.balanceOf(client), 1000);
    }
}
