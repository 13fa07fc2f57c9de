// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {console} from "forge-std/Test.sol";
import {IRandomness} from "contracts/interfaces/IRandomness.sol";
import {Die} from "../doubles/Die.sol";
import {CourtBase, Case, Vote, Phase, IDisputeCourtPayments} from "./CourtBase.t.sol";

/// @notice Panels drawn by the court itself, over and over: who sits there, and how often liars decide. Each test writes one line of JSON for
/// `python -m bench court`, which asks for more draws by COURT_DRAWS and COURT_APPEALS.
contract DrawsTest is CourtBase {
    uint256 private constant SEATS = 200;
    uint256 private constant CHUNK = 250;
    /// @dev Dishonest shares 10, 15, … 45 %, a lane of 32 bits each, the first in the lowest.
    uint256 private constant SHARES = 8;
    uint256 private constant ONES = 0x0000000100000001000000010000000100000001000000010000000100000001;
    /// @dev Chi-squared with 199 degrees of freedom is above 309 once in a million; thousandths.
    uint256 private constant CRITICAL_199 = 309_000;

    Die private _die;
    Case private _case;
    bytes32 private _id;
    /// @dev Of each seat that can be drawn, one more than its rank; which of the nodes it belongs to, by rank.
    mapping(uint32 seat => uint256) private _rank;
    mapping(address node => uint256) private _number;
    uint256[] private _nodes;

    /// @dev 50 nodes with 1, 2, 3, 5 or 9 seats; some seats left before, which moved others, and some taken too late.
    function setUp() public override {
        super.setUp();
        _die = new Die();
        randomness = IRandomness(address(_die));
        dc = deployCourt(courtConfig());
        uint256[5] memory stakes = [uint256(1), 2, 3, 5, 9];
        for (uint256 i = 0; i < 60; ++i) {
            address account = aJudge(i, modelId, 9);
            _number[account] = i;
            for (uint256 k = 0; k < stakes[i % 5]; ++k) {
                take(account, modelId, 0);
            }
        }
        passPeriods(1);
        for (uint32 seat = 40; seat < 80; ++seat) {
            leave(seat);
        }
        passPeriods(2);
        for (uint256 i = 0; i < 20; ++i) {
            take(judges[5 * i % 60], modelId, 0);
        }
        leave(100);
        list();

        _case = caseOf(aJob(), completionOf(aJob()));
        _case.bitClass = 0;
        _id = dc.disputeId(client, _case);
        vm.prank(client);
        vault.payAndCall(address(dc), BOND, abi.encode(_case, maskedPrompt(), maskedOutput()));
    }

    function leave(uint32 seat) private {
        vm.prank(dc.seatOf(seat).node);
        dc.leaveSeat(seat);
    }

    /// @dev By the seats' numbers, so that whoever is dishonest is so whatever place it has.
    function list() private {
        uint256 period = block.timestamp / PERIOD - 1;
        assertEq(dc.poolSize(modelId, 0, period), SEATS);
        for (uint32 seat = 1; seat <= 240; ++seat) {
            if (seat >= 40 && seat < 80) continue;
            _nodes.push(_number[dc.seatOf(seat).node]);
            _rank[seat] = _nodes.length;
        }
        assertEq(_nodes.length, SEATS);
    }

    function test_firstPanels() public {
        report("first", 0, 3, 2, vm.envOr("COURT_DRAWS", uint256(2000)));
    }

    function test_appealPanels() public {
        drawPanel(_id);
        vote(_id, three(Vote.Upheld, Vote.Upheld, Vote.Upheld));
        uint256 cost = dc.appealCost(TOKENS);
        vm.prank(funder);
        vault.payAndCall(address(dc), cost, abi.encodeCall(IDisputeCourtPayments.appeal, (client, _case)));
        report("appeal", 1, 15, 8, vm.envOr("COURT_APPEALS", uint256(500)));
    }

    /// @param needed Dishonest members that decide, when all vote.
    function report(string memory name, uint256 round, uint256 size, uint256 needed, uint256 runs) private {
        assertPhase(_id, Phase.Drawing);
        uint256[] memory seen = new uint256[](SEATS);
        uint256 wrong;
        for (uint256 start = 0; start < runs; start += CHUNK) {
            uint256 end = start + CHUNK < runs ? start + CHUNK : runs;
            (uint256[] memory some, uint256 more) = this.someDraws(round, size, needed, start, end);
            wrong += more;
            for (uint256 i = 0; i < SEATS; ++i) {
                seen[i] += some[i];
            }
        }
        uint256 chi;
        uint256 expected = runs * size * 1000 / SEATS;
        for (uint256 i = 0; i < SEATS; ++i) {
            uint256 found = seen[i] * 1000;
            uint256 off = found > expected ? found - expected : expected - found;
            chi += off * off / expected;
        }
        // Without replacement the counts vary less.
        assertLt(chi * (SEATS - 1) / (SEATS - size), CRITICAL_199, "chi-squared of the seats, thousandths");
        uint256[] memory lanes = new uint256[](SHARES);
        for (uint256 i = 0; i < SHARES; ++i) {
            lanes[i] = uint32(wrong >> 32 * i);
        }
        vm.serializeUint(name, "draws", runs);
        vm.serializeUint(name, "size", size);
        vm.serializeUint(name, "nodes", _nodes);
        vm.serializeUint(name, "seen", seen);
        console.log(vm.serializeUint(name, "wrong", lanes));
    }

    /// @dev A call of its own, so that memory does not pile up.
    /// @return seen How often each seat was drawn. @return wrong In how many draws liars decide, a lane each share.
    function someDraws(uint256 round, uint256 size, uint256 needed, uint256 start, uint256 end)
        external
        returns (uint256[] memory seen, uint256 wrong)
    {
        seen = new uint256[](SEATS);
        for (uint256 run = start; run < end; ++run) {
            _die.roll(run);
            (, uint32[] memory seats,) = dc.panelOf(_id, round);
            uint256 liars;
            for (uint256 i = 0; i < size; ++i) {
                uint256 rank = _rank[seats[i]] - 1;
                ++seen[rank];
                liars += lanesOf(rank);
            }
            // Counts below 16: the fifth bit of a lane says that it reached `needed`.
            wrong += (liars + (16 - needed) * ONES) >> 4 & ONES;
        }
    }

    /// @dev 1 in each lane in whose share this seat is dishonest: the first 20, 30, … 90 of 200.
    function lanesOf(uint256 rank) private pure returns (uint256) {
        if (rank < 20) return ONES;
        uint256 first = rank / 10 - 1;
        return first < SHARES ? ONES << 32 * first : 0;
    }
}
