// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ChannelStatus} from "../interfaces/IVoucherCollector.sol";

/// @notice What collecting reads and writes of a channel; see ChannelState. Amounts below 2^56, times below 2^40.
struct Account {
    ChannelStatus status;
    uint256 deposit;
    uint256 collected;
    uint256 modelFee;
    uint256 restUntil;
    uint256 exitAt;
}

/// @notice What releasing writes: cumulative, as what was collected.
struct Released {
    uint256 amount;
    uint256 modelFee;
}

/// @title Accounts
/// @notice Packing of a channel's books into two words, so that each is read and written once.
/// @dev From the low bits, the first word: status (8), restUntil (40), exitAt (40), deposit, collected, modelFee (56 each); the second: amount,
/// modelFee. Who packs has checked that the members fit.
library Accounts {
    uint256 private constant AMOUNT = type(uint56).max;
    uint256 private constant TIME = type(uint40).max;

    function pack(Account memory a) internal pure returns (uint256) {
        return uint256(a.status) | a.restUntil << 8 | a.exitAt << 48 | a.deposit << 88 | a.collected << 144 | a.modelFee
            << 200;
    }

    function unpack(uint256 word) internal pure returns (Account memory a) {
        a.status = status(word);
        a.restUntil = word >> 8 & TIME;
        a.exitAt = word >> 48 & TIME;
        a.deposit = word >> 88 & AMOUNT;
        a.collected = word >> 144 & AMOUNT;
        a.modelFee = word >> 200;
    }

    function status(uint256 word) internal pure returns (ChannelStatus) {
        return ChannelStatus(uint8(word));
    }

    function pack(Released memory r) internal pure returns (uint256) {
        return r.amount | r.modelFee << 56;
    }

    function unpackReleased(uint256 word) internal pure returns (Released memory) {
        return Released(word & AMOUNT, word >> 56);
    }
}
