// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Provision} from "contracts/interfaces/INodeRegistry.sol";
import {IDisputeCourtPayments, Phase, Vote} from "contracts/interfaces/IDisputeCourt.sol";
import {Progress, Round} from "contracts/libraries/Rounds.sol";
import {CourtBase, Case, Completion, Job, Ruling, Status} from "../court/CourtBase.t.sol";

/// @notice Jobs and their disputes, escrow and court together. Honest people do what is due before the clock moves; a hostile client, a
/// hostile node and their ten seats of thirty-four do what the fuzzer thinks of. Where most of the panel that decides is honest, the truth comes out.
contract Trial is CourtBase {
    struct Affair {
        Job job;
        Completion completion;
        Case case_;
        bytes32 id;
        bool wrong;
        bool challenged;
        bool ended;
        uint256 held;
    }

    struct Ballot {
        Vote vote;
        bytes32 witness;
        bool copied;
    }

    uint256 private constant HONEST = 24;
    uint256 private constant HOSTILE = 10;
    uint256 private constant MAX_AFFAIRS = 8;

    address public rogue = makeAddr("hostile node");
    address public crook = makeAddr("hostile client");
    uint256 public sound;
    uint256 private _time;
    uint256 private _height;
    uint256 private _nonce;
    Affair[] private _affairs;
    mapping(address account => bool) private _hostile;
    mapping(bytes32 id => mapping(uint256 ballot => Ballot)) private _ballots;

    error Broken(string what);

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < HONEST + HOSTILE; ++i) {
            address account = aJudge(i, modelId, i < HONEST ? 1 : 3);
            _hostile[account] = i >= HONEST;
            take(account, modelId, 0);
        }
        _hostile[rogue] = true;
        vm.prank(rogue);
        registry.setNode(operator, 0, "");
        stake(rogue, 200e6);
        vm.prank(rogue);
        registry.provision(address(escrow), modelId, 200e6);
        fund(crook, 500e6);
        fund(client, 500e6);
        fund(funder, 500e6);
        passPeriods(2);
        (_time, _height) = (block.timestamp, block.number);
    }

    modifier inTime() {
        vm.warp(_time);
        vm.roll(_height);
        _;
        (_time, _height) = (block.timestamp, block.number);
    }

    // --- jobs

    function ask(bool hostileClient, bool hostileNode, bool wrong) external inTime {
        if (_affairs.length == MAX_AFFAIRS) return;
        Job memory job = aJob();
        job.seed = uint64(_affairs.length);
        if (hostileClient) job.client = crook;
        if (hostileNode) job.node = rogue;
        Provision memory p = registry.provisionOf(job.node, address(escrow), modelId);
        if (uint256(p.amount) - p.reserved < PENALTY) return;
        Affair storage a = _affairs.push();
        a.completion = completed(job);
        a.job = job;
        a.case_ = caseOf(job, a.completion);
        a.id = idOf(job, a.completion);
        a.wrong = hostileNode && wrong;
    }

    /// @dev A hostile client challenges whatever it likes; an honest one what is wrong (see act).
    function challengeFalsely(uint256 which) external inTime {
        if (_affairs.length == 0) return;
        Affair storage a = _affairs[which % _affairs.length];
        if (a.job.client == crook) challengeIt(a);
    }

    function challengeIt(Affair storage a) private {
        (Status status, uint256 until) = escrow.jobStatus(a.completion.jobHash);
        if (a.challenged || status != Status.Completed || block.timestamp > until) return;
        bytes memory data = challengeCall(a.job, a.completion);
        vm.prank(a.job.client);
        vault.payAndCall(address(escrow), BOND, data);
        (a.challenged, a.held) = (true, BOND);
    }

    // --- honest people

    function act() private {
        for (uint256 i = 0; i < _affairs.length; ++i) {
            Affair storage a = _affairs[i];
            if (a.wrong && a.job.client == client) challengeIt(a);
            if (!a.challenged || a.ended) continue;
            (Phase phase, uint256 round,) = dc.phaseOf(a.id);
            if (phase == Phase.Drawing && block.number > dc.roundOf(a.id, round).lot) dc.draw(a.id);
            (phase,,) = dc.phaseOf(a.id);
            if (phase == Phase.Committing) commitHonestly(a, round);
            (phase,,) = dc.phaseOf(a.id);
            if (phase == Phase.Revealing) revealHonestly(a, round);
            (phase,,) = dc.phaseOf(a.id);
            bool wronged = a.wrong ? a.job.client == client : a.job.node == node;
            if (phase == Phase.Appealable && wronged && dc.rulingOf(a.id) != truthOf(a)) appealBy(funder, a);
        }
    }

    function truthOf(Affair storage a) private view returns (Ruling) {
        return a.wrong ? Ruling.Upheld : Ruling.Dismissed;
    }

    function commitHonestly(Affair storage a, uint256 round) private {
        (,, address[] memory members) = dc.panelOf(a.id, round);
        uint256 committed = dc.roundOf(a.id, round).committed;
        for (uint256 i = 0; i < members.length; ++i) {
            if (_hostile[members[i]] || committed >> i & 1 == 1) continue;
            bytes32 c = commitmentFor(a.id, round, i, members[i], Vote(uint256(truthOf(a))), WITNESS);
            vm.prank(members[i]);
            dc.commit(a.id, i, c);
        }
    }

    function revealHonestly(Affair storage a, uint256 round) private {
        (,, address[] memory members) = dc.panelOf(a.id, round);
        Round memory r = dc.roundOf(a.id, round);
        for (uint256 i = 0; i < members.length; ++i) {
            if (_hostile[members[i]] || r.revealed >> i & 1 == 1) continue;
            if (r.committed >> i & 1 == 0) revert Broken("an honest seat had no time");
            vm.prank(members[i]);
            dc.reveal(a.id, i, Vote(uint256(truthOf(a))), WITNESS, salt(members[i], a.id, i));
        }
    }

    function appealBy(address who, Affair storage a) private {
        vm.prank(who);
        vault.payAndCall(
            address(dc), APPEAL_COST, abi.encodeCall(IDisputeCourtPayments.appeal, (address(escrow), a.case_))
        );
        a.held += APPEAL_COST;
    }

    // --- hostile people

    function appealFalsely(uint256 which) external inTime {
        if (_affairs.length == 0) return;
        Affair storage a = _affairs[which % _affairs.length];
        if (!a.challenged || a.ended) return;
        (Phase phase,,) = dc.phaseOf(a.id);
        if (phase == Phase.Appealable && vault.balanceOf(crook) >= APPEAL_COST) appealBy(crook, a);
    }

    /// @dev All hostile members of a panel: each may vote anything, lazily, copy a neighbour's commitment, or stay away.
    function conspire(uint256 which, uint256 whims) external inTime {
        if (_affairs.length == 0) return;
        Affair storage a = _affairs[which % _affairs.length];
        if (!a.challenged || a.ended) return;
        (Phase phase, uint256 round,) = dc.phaseOf(a.id);
        if (phase != Phase.Committing) return;
        (,, address[] memory members) = dc.panelOf(a.id, round);
        for (uint256 i = 0; i < members.length; ++i) {
            uint256 whim = whims >> 8 * i & 0xff;
            if (_hostile[members[i]] && whim & 3 != 3) commitFalsely(a.id, round, i, members[i], whim);
        }
    }

    function commitFalsely(bytes32 id, uint256 round, uint256 index, address member, uint256 whim) private {
        if (dc.roundOf(id, round).committed >> index & 1 == 1) return;
        Ballot storage b = _ballots[id][16 * round + index];
        b.vote = Vote(1 + (whim >> 2) % 3);
        b.witness = whim & 32 == 0 ? WITNESS : keccak256(abi.encode(++_nonce));
        b.copied = whim & 192 == 192;
        // A copy of what an honest seat sends in the same block.
        address voter = b.copied ? judges[0] : member;
        bytes32 c = commitmentFor(id, round, index, voter, b.vote, b.witness);
        vm.prank(member);
        dc.commit(id, index, c);
    }

    /// @dev In any phase, so early and twice too.
    function revealFalsely(uint256 which, uint256 index) external inTime {
        if (_affairs.length == 0) return;
        Affair storage a = _affairs[which % _affairs.length];
        if (!a.challenged || a.ended) return;
        (Phase phase, uint256 round,) = dc.phaseOf(a.id);
        Round memory r = dc.roundOf(a.id, round);
        if (r.progress == Progress.Requested) return;
        index %= round == 0 ? 3 : 15;
        address member = memberOf(a.id, round, index);
        if (!_hostile[member]) return;
        bool right = phase == Phase.Revealing && r.committed >> index & 1 == 1 && r.revealed >> index & 1 == 0
            && !_ballots[a.id][16 * round + index].copied;
        revealAs(member, a.id, index, _ballots[a.id][16 * round + index], right);
    }

    function revealAs(address member, bytes32 id, uint256 index, Ballot memory b, bool right) private {
        bytes32 salt_ = salt(member, id, index);
        vm.prank(member);
        try dc.reveal(id, index, b.vote, b.witness, salt_) {
            if (!right) revert Broken("revealed what it must not");
        } catch {
            if (right) revert Broken("can't reveal");
        }
    }

    /// @dev Seats taken and left whenever it might help; stake behind them can't be had.
    function shuffleSeats(uint256 who, bool leave, uint32 seat) external inTime {
        address account = judges[HONEST + who % HOSTILE];
        Provision memory p = registry.provisionOf(account, address(dc), modelId);
        if (p.reserved != 0) {
            vm.prank(account);
            try registry.thaw(address(dc), modelId, uint256(p.amount) - p.thawing) {
                revert Broken("bound stake thawed");
            } catch {}
        }
        if (leave) {
            vm.prank(account);
            try dc.leaveSeat(uint32(HONEST + 1 + seat % (3 * HOSTILE))) {} catch {}
        } else if (uint256(p.amount) - p.reserved - p.thawing >= SEAT_STAKE) {
            take(account, modelId, 0);
        }
    }

    // --- ends

    /// @dev Less than any window, and honest people act before and after.
    function wait_(uint256 duration) external inTime {
        advance(bound(duration, 1, 9 minutes));
    }

    function advance(uint256 duration) private {
        act();
        vm.warp(block.timestamp + duration);
        vm.roll(block.number + 3);
        act();
    }

    function end(uint256 which) external inTime {
        if (_affairs.length != 0) endIt(_affairs[which % _affairs.length]);
    }

    function endIt(Affair storage a) private {
        if (a.ended) return;
        bytes32 jobHash = a.completion.jobHash;
        if (!a.challenged) {
            (, uint256 until) = escrow.jobStatus(jobHash);
            if (block.timestamp <= until) return;
            Job[] memory jobs = new Job[](1);
            Completion[] memory completions = new Completion[](1);
            (jobs[0], completions[0]) = (a.job, a.completion);
            escrow.finalize(jobs, completions);
        } else {
            (Phase phase,,) = dc.phaseOf(a.id);
            if (phase != Phase.Final) return;
            judge(a);
        }
        a.ended = true;
        a.held = 0;
        (Status status,) = escrow.jobStatus(jobHash);
        if (status != Status.Final) revert Broken("not ended");
    }

    function judge(Affair storage a) private {
        bool reliable = mostAreHonest(a);
        uint256 staked = ofHonestSeats();
        uint256 had = vault.balanceOf(address(dc));
        dc.close(address(escrow), a.case_);
        if (vault.balanceOf(address(dc)) != had - a.held) revert Broken("others' money moved");
        uint256 ofNode = provisionedBy(a.job.node);
        uint256 ofClient = vault.balanceOf(a.job.client);
        escrow.closeDispute(a.job, a.completion);
        if (!reliable) return;
        ++sound;
        if (dc.rulingOf(a.id) != truthOf(a)) revert Broken("an honest majority was overruled");
        if (ofHonestSeats() != staked) revert Broken("an honest seat was slashed");
        uint256 slashed = ofNode - provisionedBy(a.job.node);
        if (slashed != (a.wrong ? PENALTY : 0)) revert Broken("the wrong side was slashed");
        uint256 back = vault.balanceOf(a.job.client) - ofClient;
        if (a.wrong && back < CEILING + 3 * FEE_PER_SEAT) revert Broken("a client paid for a wrong answer");
        if (!a.wrong && back != CEILING - PAYMENT) revert Broken("a right answer was not paid");
    }

    /// @dev Of the panel that decided.
    function mostAreHonest(Affair storage a) private view returns (bool) {
        (, uint256 round,) = dc.phaseOf(a.id);
        (,, address[] memory members) = dc.panelOf(a.id, round);
        uint256 honest;
        for (uint256 i = 0; i < members.length; ++i) {
            if (!_hostile[members[i]]) ++honest;
        }
        return 2 * honest > members.length;
    }

    function ofHonestSeats() private view returns (uint256 sum) {
        for (uint256 i = 0; i < HONEST; ++i) {
            sum += registry.provisionOf(judges[i], address(dc), modelId).amount;
        }
    }

    /// @dev Time alone brings everything to its end.
    function everythingEnds() external inTime {
        for (uint256 waits = 0; waits < 40; ++waits) {
            advance(9 minutes);
        }
        for (uint256 i = 0; i < _affairs.length; ++i) {
            endIt(_affairs[i]);
            if (!_affairs[i].ended) revert Broken("does not end");
        }
    }

    // --- books

    /// @dev What open disputes brought, open jobs locked, and everybody has together.
    function books() external view returns (uint256 held, uint256 locked, uint256 all) {
        for (uint256 i = 0; i < _affairs.length; ++i) {
            if (_affairs[i].ended) continue;
            held += _affairs[i].held;
            locked += CEILING;
        }
        all = vault.balanceOf(address(dc)) + vault.balanceOf(address(escrow)) + vault.balanceOf(address(registry));
        all += vault.balanceOf(client) + vault.balanceOf(crook) + vault.balanceOf(node) + vault.balanceOf(rogue);
        all += vault.balanceOf(funder) + vault.balanceOf(treasurer) + vault.balanceOf(BURNED);
        for (uint256 i = 0; i < judges.length; ++i) {
            all += vault.balanceOf(judges[i]);
        }
    }

    function inCourt() external view returns (uint256) {
        return vault.balanceOf(address(dc));
    }

    function inEscrow() external view returns (uint256) {
        return vault.balanceOf(address(escrow)) - escrow.feesOf(modelId);
    }

    function reserved() external view returns (uint256) {
        return reservedOf(node) + reservedOf(rogue);
    }
}
