// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {INodeRegistry} from "contracts/interfaces/INodeRegistry.sol";
import {IVault} from "contracts/interfaces/IVault.sol";
import {CourtBase, CourtConfig, EscrowConfig, IDisputeCourt, IJobEscrow} from "./CourtBase.t.sol";

contract CourtConstructorTest is CourtBase {
    /// @dev Calls out, so that the revert is one frame below.
    function deploy(string calldata what, bytes calldata arguments) external {
        bytes memory code = bytes.concat(vm.getCode(what), arguments);
        assembly ("memory-safe") {
            if iszero(create(0, add(code, 32), mload(code))) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
    }

    function deploys(CourtConfig memory c) private {
        this.deploy("DisputeCourt.sol:DisputeCourt", abi.encode(c));
    }

    function deploys(EscrowConfig memory c) private {
        this.deploy("JobEscrow.sol:JobEscrow", abi.encode(c));
    }

    function refused(CourtConfig memory c, string memory field) private {
        vm.expectRevert(abi.encodeWithSelector(IDisputeCourt.BadConfig.selector, field));
        deploys(c);
    }

    function test_saysWhatItIs() public view {
        assertEq(keccak256(abi.encode(dc.config())), keccak256(abi.encode(courtConfig())));
        assertEq(dc.longest(), 3 * DRAW_WINDOW + 2 * (COMMIT_WINDOW + REVEAL_WINDOW) + APPEAL_WINDOW);
        assertEq(dc.highestCost(), dc.bondFor(16_384) + dc.appealCost(16_384));
        assertEq(dc.seatStake(), SEAT_STAKE);
        assertEq(dc.periodLength(), PERIOD);
        assertEq(address(dc.nodes()), address(registry));
        assertEq(address(dc.vault()), address(vault));
    }

    function test_anotherVaultsRegistry() public {
        CourtConfig memory c = courtConfig();
        c.vault = IVault(deployCode("Vault.sol:Vault", abi.encode(token)));
        refused(c, "nodes");
    }

    function test_sizes() public {
        CourtConfig memory c = courtConfig();
        c.firstSeats = 1;
        refused(c, "firstSeats");
        c.firstSeats = 4;
        refused(c, "firstSeats");
        c = courtConfig();
        c.appealSeats = 17;
        refused(c, "appealSeats");
        c.appealSeats = 14;
        refused(c, "appealSeats");
        c.firstSeats = 5;
        c.appealSeats = 3;
        refused(c, "appealSeats");
        c = courtConfig();
        c.appealQuorum = 1;
        refused(c, "appealQuorum");
        c.appealQuorum = 9;
        refused(c, "appealQuorum");
    }

    function test_shares() public {
        CourtConfig memory c = courtConfig();
        c.appealShare = 5001;
        refused(c, "appealShare");
        c.appealShare = 3000;
        refused(c, "seatStake");
        c = courtConfig();
        c.silentFine = SEAT_STAKE + 1;
        refused(c, "silentFine");
        c.silentFine = uint72(dc.feeFor(16_384));
        refused(c, "silentFine");
        c.silentFine += 1;
        deploys(c);
    }

    function test_windows() public {
        string[5] memory fields = ["period", "drawWindow", "commitWindow", "revealWindow", "appealWindow"];
        for (uint256 i = 0; i < 5; ++i) {
            for (uint256 j = 0; j < 2; ++j) {
                CourtConfig memory c = courtConfig();
                uint40 bad = j == 0 ? 0 : 30 days + 1;
                if (i == 0) c.period = bad;
                if (i == 1) c.drawWindow = bad;
                if (i == 2) c.commitWindow = bad;
                if (i == 3) c.revealWindow = bad;
                if (i == 4) c.appealWindow = bad;
                refused(c, fields[i]);
            }
        }
    }

    /// @dev The escrow's side: what is won must be more than all rounds can cost.
    function test_thePenaltyMustBeWorthIt() public {
        EscrowConfig memory c = defaultConfig();
        c.court = dc;
        c.penalty = uint72(dc.highestCost() * 10_000 / WINNER_SHARE) - 1;
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.BadConfig.selector, "penalty"));
        deploys(c);
        c.penalty += 1;
        deploys(c);
        assertGt(c.penalty, 2 * dc.highestCost());
    }
}
