// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, IDevUSD} from "../Base.t.sol";

contract DevUSDTest is Base {
    function test_faucet() public {
        token.faucet(stranger, 1_000_000e6);
        assertEq(token.balanceOf(stranger), 1_000_000e6);
        assertEq(token.decimals(), 6);
        vm.expectRevert(abi.encodeWithSelector(IDevUSD.FaucetLimit.selector, 1_000_000e6 + 1, 1_000_000e6));
        token.faucet(stranger, 1_000_000e6 + 1);
    }

    function test_localChainsAlone() public {
        vm.chainId(1);
        vm.expectRevert(abi.encodeWithSelector(IDevUSD.NotALocalChain.selector, 1));
        deployCode("DevUSD.sol:DevUSD");
        vm.chainId(1337);
        deployCode("DevUSD.sol:DevUSD");
    }
}
