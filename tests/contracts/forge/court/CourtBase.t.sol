// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Base, ICourt, Case, Ruling, Job, Completion, EscrowConfig, Status, IJobEscrow} from "../Base.t.sol";
import {Seat} from "contracts/interfaces/ICourtSeats.sol";
import {IDisputeCourt, IDisputeCourtPayments, CourtConfig, Phase, Vote} from "contracts/interfaces/IDisputeCourt.sol";
import {Progress, Round} from "contracts/libraries/Rounds.sol";
import {IRandomness} from "contracts/interfaces/IRandomness.sol";

/// @notice The court itself in the place of its double, an escrow that obeys it, and nodes with seats.
abstract contract CourtBase is Base {
    address internal constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
    address internal constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;
    /// @dev EIP-2935's own code; forge's chain lacks it.
    bytes internal constant HISTORY_CODE =
        hex"3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500";

    uint72 internal constant SEAT_STAKE = 10e6;
    uint72 internal constant SILENT_FINE = 2_500_000;
    uint64 internal constant SEAT_FEE = 150_000;
    uint64 internal constant SEAT_FEE_PER_TOKEN = 10;
    uint64 internal constant NODE_FEE = 500_000;
    uint16 internal constant APPEAL_SHARE = 5000;
    uint40 internal constant PERIOD = 1 hours;
    uint40 internal constant DRAW_WINDOW = 10 minutes;
    uint40 internal constant COMMIT_WINDOW = 20 minutes;
    uint40 internal constant REVEAL_WINDOW = 15 minutes;
    uint40 internal constant APPEAL_WINDOW = 2 hours;
    uint256 internal constant TOKENS = PROMPT_TOKENS + OUTPUT_TOKENS;
    uint256 internal constant FEE_PER_SEAT = SEAT_FEE + TOKENS * SEAT_FEE_PER_TOKEN;
    uint256 internal constant BOND = 3 * FEE_PER_SEAT + NODE_FEE;
    uint256 internal constant APPEAL_COST = 15 * FEE_PER_SEAT;
    bytes32 internal constant WITNESS = bytes32(uint256(0x0102030405060708 << 64) | 0xa1a2a3);
    bytes32 internal constant CLASS = keccak256("class");

    IDisputeCourt internal dc;
    IRandomness internal randomness;
    address internal funder = makeAddr("funder");
    address[] internal judges;
    /// @dev What was challenged last.
    Job internal job_;
    Completion internal completion_;

    function setUp() public virtual override {
        super.setUp();
        vm.etch(HISTORY, HISTORY_CODE);
        vm.roll(1000);
        randomness = IRandomness(deployCode("BlockHashRandomness.sol:BlockHashRandomness", abi.encode(2)));
        dc = deployCourt(courtConfig());
        EscrowConfig memory c = defaultConfig();
        c.court = dc;
        escrow = deployEscrow(c);
        vm.prank(node);
        registry.provision(address(escrow), modelId, 200e6);
        fund(funder, 100e6);
    }

    function courtConfig() internal view returns (CourtConfig memory c) {
        c.vault = vault;
        c.nodes = registry;
        c.randomness = randomness;
        c.seatStake = SEAT_STAKE;
        c.silentFine = SILENT_FINE;
        c.seatFee = SEAT_FEE;
        c.seatFeePerToken = SEAT_FEE_PER_TOKEN;
        c.nodeFee = NODE_FEE;
        c.appealShare = APPEAL_SHARE;
        c.firstSeats = 3;
        c.appealSeats = 15;
        c.appealQuorum = 6;
        c.period = PERIOD;
        c.drawWindow = DRAW_WINDOW;
        c.commitWindow = COMMIT_WINDOW;
        c.revealWindow = REVEAL_WINDOW;
        c.appealWindow = APPEAL_WINDOW;
    }

    function deployCourt(CourtConfig memory c) internal returns (IDisputeCourt) {
        return IDisputeCourt(deployCode("DisputeCourt.sol:DisputeCourt", abi.encode(c)));
    }

    // --- seats

    function judge(uint256 i) internal returns (address account) {
        account = makeAddr(string.concat("judge", vm.toString(i)));
    }

    /// @dev A node with stake for `seats` seats of `model`, and no seat yet.
    function aJudge(uint256 i, uint64 model, uint256 seats) internal returns (address account) {
        account = judge(i);
        judges.push(account);
        vm.prank(account);
        registry.setNode(account, 0, "");
        stake(account, seats * SEAT_STAKE);
        vm.prank(account);
        registry.provision(address(dc), model, seats * SEAT_STAKE);
    }

    function take(address account, uint64 model, bytes32 bitClass) internal returns (uint32 seat) {
        vm.prank(account);
        return dc.takeSeat(account, model, bitClass);
    }

    /// @dev `count` judges of one seat each, from the next period on.
    function seatJudges(uint256 first, uint256 count, uint64 model, bytes32 bitClass) internal {
        for (uint256 i = first; i < first + count; ++i) {
            take(aJudge(i, model, 1), model, bitClass);
        }
    }

    /// @dev Until seats taken now can be drawn.
    function passPeriods(uint256 count) internal {
        vm.warp((block.timestamp / PERIOD + count) * PERIOD);
        vm.roll(block.number + count);
    }

    function seated(uint256 count, bytes32 bitClass) internal {
        seatJudges(0, count, modelId, bitClass);
        passPeriods(2);
    }

    // --- a dispute

    function idOf(Job memory job, Completion memory completion) internal view returns (bytes32) {
        return dc.disputeId(address(escrow), caseOf(job, completion));
    }

    function caseOf(Job memory job, Completion memory completion) internal pure returns (Case memory c) {
        c.subject = completion.jobHash;
        c.challenger = job.client;
        c.node = job.node;
        c.modelId = job.modelId;
        c.version = job.version;
        c.promptTokens = job.promptTokens;
        c.outputTokens = completion.outputTokens;
        c.maxTokens = job.maxTokens;
        c.finish = completion.finish;
        c.seed = job.seed;
        c.temperature = job.temperature;
        c.topP = job.topP;
        c.bitClass = job.bitClass;
        c.secret = SECRET;
    }

    function challenged(Job memory job) internal returns (Completion memory completion, Case memory c, bytes32 id) {
        completion = completed(job);
        uint256 bond = dc.bondFor(uint256(job.promptTokens) + completion.outputTokens);
        vm.prank(job.client);
        vault.payAndCall(address(escrow), bond, challengeCall(job, completion));
        (job_, completion_) = (job, completion);
        return (completion, caseOf(job, completion), idOf(job, completion));
    }

    function challenged() internal returns (Case memory c, bytes32 id) {
        (, c, id) = challenged(aJob());
    }

    function drawPanel(bytes32 id) internal {
        vm.roll(block.number + 3);
        vm.warp(block.timestamp + 3);
        dc.draw(id);
    }

    function drawn() internal returns (Case memory c, bytes32 id) {
        (c, id) = challenged();
        drawPanel(id);
    }

    function memberOf(bytes32 id, uint256 round, uint256 index) internal view returns (address) {
        (,, address[] memory members) = dc.panelOf(id, round);
        return members[index];
    }

    function salt(address voter, bytes32 id, uint256 index) internal pure returns (bytes32) {
        return keccak256(abi.encode("salt", voter, id, index));
    }

    /// @dev As the interface words it.
    function commitmentFor(bytes32 id, uint256 round, uint256 index, address voter, Vote vote_, bytes32 witness)
        internal
        view
        returns (bytes32)
    {
        bytes memory place = abi.encode(block.chainid, dc, id, round, index, voter);
        return keccak256(bytes.concat(place, abi.encode(vote_, witness, salt(voter, id, index))));
    }

    function commitVote(bytes32 id, uint256 index, Vote vote_, bytes32 witness) internal {
        (, uint256 round,) = dc.phaseOf(id);
        address voter = memberOf(id, round, index);
        bytes32 commitment = commitmentFor(id, round, index, voter, vote_, witness);
        vm.prank(voter);
        dc.commit(id, index, commitment);
    }

    function revealVote(bytes32 id, uint256 index, Vote vote_, bytes32 witness) internal {
        (, uint256 round,) = dc.phaseOf(id);
        address voter = memberOf(id, round, index);
        vm.prank(voter);
        dc.reveal(id, index, vote_, witness, salt(voter, id, index));
    }

    /// @dev All of a round's votes, None for silence, each with an honest witness.
    function vote(bytes32 id, Vote[] memory votes) internal {
        bytes32[] memory witnesses = new bytes32[](votes.length);
        for (uint256 i = 0; i < votes.length; ++i) {
            witnesses[i] = WITNESS;
        }
        vote(id, votes, witnesses);
    }

    function vote(bytes32 id, Vote[] memory votes, bytes32[] memory witnesses) internal {
        bool silence;
        for (uint256 i = 0; i < votes.length; ++i) {
            if (votes[i] == Vote.None) silence = true;
            else commitVote(id, i, votes[i], witnesses[i]);
        }
        if (silence) {
            (,, uint256 until) = dc.phaseOf(id);
            vm.warp(until + 1);
        }
        for (uint256 i = 0; i < votes.length; ++i) {
            if (votes[i] != Vote.None) revealVote(id, i, votes[i], witnesses[i]);
        }
    }

    function three(Vote a, Vote b, Vote c) internal pure returns (Vote[] memory votes) {
        votes = new Vote[](3);
        (votes[0], votes[1], votes[2]) = (a, b, c);
    }

    /// @dev `a` votes of one kind, then `b` of another, the rest silent.
    function fifteen(uint256 a, Vote first, uint256 b, Vote second) internal pure returns (Vote[] memory votes) {
        votes = new Vote[](15);
        for (uint256 i = 0; i < a + b; ++i) {
            votes[i] = i < a ? first : second;
        }
    }

    function voted(Vote a, Vote b, Vote c) internal returns (Case memory c_, bytes32 id) {
        (c_, id) = drawn();
        vote(id, three(a, b, c));
    }

    function fundAppeal(Case memory c) internal {
        uint256 cost = dc.appealCost(uint256(c.promptTokens) + c.outputTokens);
        vm.prank(funder);
        vault.payAndCall(address(dc), cost, abi.encodeCall(IDisputeCourtPayments.appeal, (address(escrow), c)));
    }

    function appealed(Vote a, Vote b, Vote c) internal returns (Case memory c_, bytes32 id) {
        (c_, id) = voted(a, b, c);
        fundAppeal(c_);
        drawPanel(id);
    }

    function finish(Case memory c) internal {
        bytes32 id = dc.disputeId(address(escrow), c);
        (Phase phase,, uint256 until) = dc.phaseOf(id);
        while (phase != Phase.Final) {
            vm.warp(until + 1);
            (phase,, until) = dc.phaseOf(id);
        }
        dc.close(address(escrow), c);
    }

    function assertPhase(bytes32 id, Phase expected) internal view {
        (Phase phase,,) = dc.phaseOf(id);
        assertEq(uint256(phase), uint256(expected), "phase");
    }

    function assertRuling(bytes32 id, Ruling expected) internal view {
        assertEq(uint256(dc.rulingOf(id)), uint256(expected), "ruling");
    }
}
