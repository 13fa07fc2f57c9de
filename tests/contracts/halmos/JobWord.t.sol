// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Status} from "contracts/interfaces/IJobEscrow.sol";
import {JobWord, JobWords} from "contracts/libraries/JobWord.sol";

/// @notice What is packed comes out again, and no part touches another. Run by `make fuzz`.
contract JobWordProof {
    function check_open(uint40 deadline, address operator, uint16 maxTokens) external pure {
        JobWord word = JobWords.open(deadline, operator, maxTokens);
        assert(word.status() == Status.Open);
        assert(word.time() == deadline);
        assert(word.operator() == operator);
        assert(word.maxTokens() == maxTokens);
    }

    function check_committed(uint8 status, uint40 until, bytes32 hash, bytes32 other) external pure {
        if (status < uint8(Status.Completed) || status >= uint8(Status.Final)) return;
        JobWord word = JobWords.committed(Status(status), until, hash);
        assert(word.status() == Status(status));
        assert(word.time() == until);
        assert(word.commits(hash));
        assert(word.commits(other) == (hash >> 48 == other >> 48));
    }

    function check_moved(uint8 from, uint8 to, uint40 first, uint40 second, bytes32 hash, bytes32 other) external pure {
        if (from < uint8(Status.Completed) || from >= uint8(Status.Final)) return;
        if (to <= from || to >= uint8(Status.Final)) return;
        JobWord word = JobWords.committed(Status(from), first, hash).moved(Status(to), second);
        assert(word.status() == Status(to));
        assert(word.time() == second);
        assert(word.commits(other) == (hash >> 48 == other >> 48));
    }
}
