// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IRandomness} from "./interfaces/IRandomness.sol";

/// @title BlockHashRandomness
/// @notice The hash of the block `delay` blocks after the request, readable for 8,191 blocks. The ticket is that block's number.
/// @dev Whoever builds that block, or a sequencer, can try as many hashes as it can compute in its turn, and so choose a draw; a chain where that
/// is cheap plugs in another IRandomness. Not for chains whose NUMBER is another chain's block.
contract BlockHashRandomness is IRandomness {
    using SafeCast for uint256;

    /// @dev EIP-2935's system contract.
    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
    uint256 private constant MAX_DELAY = 64;

    /// @notice Blocks between a request and the block whose hash it reads.
    uint256 public immutable delay;

    error BadDelay(uint256 delay, uint256 limit);

    constructor(uint256 delay_) {
        if (delay_ == 0 || delay_ > MAX_DELAY) revert BadDelay(delay_, MAX_DELAY);
        delay = delay_;
    }

    /// @inheritdoc IRandomness
    function request() external view returns (uint64) {
        return (block.number + delay).toUint64();
    }

    /// @inheritdoc IRandomness
    function read(uint64 ticket) external view returns (bytes32 hash) {
        if (block.number <= ticket) revert NotYet(ticket, block.number);
        hash = blockhash(ticket);
        if (hash != 0) return hash;
        (bool known, bytes memory found) = HISTORY.staticcall(abi.encode(ticket));
        if (known && found.length == 32) hash = abi.decode(found, (bytes32));
        if (hash == 0) revert Missed(ticket, block.number);
    }
}
