// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";
import {ChannelStatus} from "contracts/interfaces/IVoucherCollector.sol";
import {Account as Books, Accounts, Released} from "contracts/libraries/Accounts.sol";

contract AccountsTest is Test {
    using Accounts for Books;
    using Accounts for Released;
    using Accounts for uint256;

    function testFuzz_packing(uint8 status, uint56 deposit, uint56 collected, uint56 fee, uint40 rest, uint40 exit)
        public
        pure
    {
        Books memory a = Books(ChannelStatus(status % 4), deposit, collected, fee, rest, exit);
        uint256 word = a.pack();
        assertEq(keccak256(abi.encode(word.unpack())), keccak256(abi.encode(a)));
        assertEq(uint256(word.status()), status % 4);
        assertEq(word == 0, status % 4 == 0 && deposit | collected | fee | rest | exit == 0);
    }

    function testFuzz_packingOfWhatWasReleased(uint56 amount, uint56 fee) public pure {
        Released memory r = Released(amount, fee);
        assertEq(keccak256(abi.encode(r.pack().unpackReleased())), keccak256(abi.encode(r)));
    }
}
