// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CourtBase, IRandomness} from "./CourtBase.t.sol";

interface IBlockHashRandomness is IRandomness {
    error BadDelay(uint256 delay, uint256 limit);

    function delay() external view returns (uint256);
}

contract RandomnessTest is CourtBase {
    function deploy(uint256 delay) external returns (IBlockHashRandomness) {
        bytes memory code = bytes.concat(vm.getCode("BlockHashRandomness.sol:BlockHashRandomness"), abi.encode(delay));
        IBlockHashRandomness made;
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
            if iszero(made) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
        return made;
    }

    function test_delays() public {
        vm.expectRevert(abi.encodeWithSelector(IBlockHashRandomness.BadDelay.selector, 0, 64));
        this.deploy(0);
        vm.expectRevert(abi.encodeWithSelector(IBlockHashRandomness.BadDelay.selector, 65, 64));
        this.deploy(65);
        assertEq(this.deploy(64).delay(), 64);
    }

    function test_fromTheOpcodeThenFromTheHistory() public {
        uint64 ticket = randomness.request();
        assertEq(ticket, block.number + 2);
        vm.roll(ticket);
        vm.expectRevert(abi.encodeWithSelector(IRandomness.NotYet.selector, ticket, ticket));
        randomness.read(ticket);
        vm.roll(ticket + 1);
        bytes32 hash = keccak256("the block's");
        vm.setBlockhash(ticket, hash);
        assertEq(randomness.read(ticket), hash);
        // As the chain itself does at the start of each block.
        vm.prank(SYSTEM);
        (bool stored,) = HISTORY.call(abi.encode(hash));
        assertTrue(stored);
        vm.roll(ticket + 8191);
        assertEq(randomness.read(ticket), hash);
        vm.roll(ticket + 8192);
        vm.expectRevert(abi.encodeWithSelector(IRandomness.Missed.selector, ticket, block.number));
        randomness.read(ticket);
    }

    function test_withoutAHistory() public {
        vm.etch(HISTORY, "");
        uint64 ticket = randomness.request();
        vm.roll(ticket + 300);
        vm.expectRevert(abi.encodeWithSelector(IRandomness.Missed.selector, ticket, block.number));
        randomness.read(ticket);
    }
}
