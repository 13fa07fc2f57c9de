// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @notice A number as it stood in every period. `latest` is a packed entry: its position (64 bits), period (96) and value (96); those
/// before it lie in `older`. 0 while there is none.
struct Trace {
    uint256 latest;
    mapping(uint256 position => uint256) older;
}

/// @title Traces
/// @notice Like OpenZeppelin's Checkpoints, in one slot where only the latest entry matters: a draw reads many of these, each once.
library Traces {
    /// @dev What a reader of the last period has to step over: entries of this period and of the next.
    uint256 private constant RECENT = 2;

    error PeriodPassed(uint256 period, uint256 latest);

    /// @notice `value` from `period` on, which is no earlier than that of the latest entry.
    /// @param period Below 2^96, and `value` too.
    function push(Trace storage trace, uint256 period, uint256 value) internal {
        uint256 entry = trace.latest;
        uint256 position = 0;
        if (entry != 0) {
            if (period < _period(entry)) revert PeriodPassed(period, _period(entry));
            position = entry >> 192;
            if (_period(entry) != period) trace.older[position++] = entry;
        }
        trace.latest = position << 192 | period << 96 | value;
    }

    function last(Trace storage trace) internal view returns (uint256) {
        return _value(trace.latest);
    }

    /// @notice The value in `period`; 0 before the first entry.
    function at(Trace storage trace, uint256 period) internal view returns (uint256) {
        uint256 entry = trace.latest;
        if (_period(entry) <= period) return _value(entry);
        uint256 high = entry >> 192;
        for (uint256 i = 0; i < RECENT; ++i) {
            if (high == 0) return 0;
            entry = trace.older[--high];
            if (_period(entry) <= period) return _value(entry);
        }
        // The last entry not after `period` is below `high`, if there is one.
        uint256 low = 0;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_period(trace.older[middle]) <= period) low = middle + 1;
            else high = middle;
        }
        return low == 0 ? 0 : _value(trace.older[low - 1]);
    }

    function _period(uint256 entry) private pure returns (uint256) {
        return uint96(entry >> 96);
    }

    function _value(uint256 entry) private pure returns (uint256) {
        return uint96(entry);
    }
}
