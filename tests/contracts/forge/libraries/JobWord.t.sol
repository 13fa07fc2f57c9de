// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";
import {Status} from "contracts/interfaces/IJobEscrow.sol";
import {JobWord, JobWords} from "contracts/libraries/JobWord.sol";

contract JobWordTest is Test {
    function testFuzz_open(uint40 deadline, address operator, uint16 maxTokens) public pure {
        JobWord word = JobWords.open(deadline, operator, maxTokens);
        assertEq(uint256(word.status()), uint256(Status.Open));
        assertEq(word.time(), deadline);
        assertEq(word.operator(), operator);
        assertEq(word.maxTokens(), maxTokens);
    }

    function testFuzz_committed(uint8 status, uint40 until, bytes32 hash, bytes32 other) public pure {
        Status status_ = Status(bound(status, uint8(Status.Completed), uint8(Status.RuledUndecided)));
        JobWord word = JobWords.committed(status_, until, hash);
        assertEq(uint256(word.status()), uint256(status_));
        assertEq(word.time(), until);
        assertTrue(word.commits(hash));
        assertEq(word.commits(other), other >> 48 == hash >> 48);
    }

    /// @dev One bit of the committed part that differs is another completion.
    function test_everyBitCommits() public pure {
        bytes32 hash = keccak256("completion");
        JobWord word = JobWords.committed(Status.Completed, 1, hash);
        for (uint256 bit = 48; bit < 256; ++bit) {
            assertFalse(word.commits(hash ^ bytes32(uint256(1) << bit)));
        }
    }

    function testFuzz_movedKeepsTheCommitment(bytes32 hash, uint8 from, uint8 to, uint40 first, uint40 second)
        public
        pure
    {
        Status from_ = Status(bound(from, uint8(Status.Completed), uint8(Status.RuledUndecided)));
        Status to_ = Status(bound(to, uint8(Status.Completed), uint8(Status.RuledUndecided)));
        JobWord word = JobWords.committed(from_, first, hash).moved(to_, second);
        assertEq(uint256(word.status()), uint256(to_));
        assertEq(word.time(), second);
        assertTrue(word.commits(hash));
    }

    function test_closed() public pure {
        assertEq(uint256(JobWords.closed().status()), uint256(Status.Final));
        assertEq(JobWords.closed().time(), 0);
    }
}
