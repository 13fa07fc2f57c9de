// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CollectorBase, CollectorConfig, ICourt, IVault, IVoucherCollector} from "./CollectorBase.t.sol";
import {IDisputeCourt} from "contracts/interfaces/IDisputeCourt.sol";
import {INodeRegistry} from "contracts/interfaces/INodeRegistry.sol";
import {IModelRegistry} from "contracts/interfaces/IModelRegistry.sol";

contract CollectorConstructorTest is CollectorBase {
    function refuses(CollectorConfig memory c, string memory field) private {
        vm.expectRevert(abi.encodeWithSelector(IVoucherCollector.BadConfig.selector, field));
        deployCollector(c);
    }

    function test_showsItsConfig() public view {
        assertEq(keccak256(abi.encode(collector.config())), keccak256(abi.encode(collectorConfig())));
        assertEq(address(collector.vault()), address(vault));
    }

    /// @dev All on one Vault, and the models those that the governor can pay for: or money could get stuck between them.
    function test_itsNeighboursKnowEachOther() public {
        IVault otherVault = IVault(deployCode("Vault.sol:Vault", abi.encode(token)));
        CollectorConfig memory c = collectorConfig();
        c.models = IModelRegistry(address(0));
        refuses(c, "governor");
        c = collectorConfig();
        INodeRegistry otherNodes =
            INodeRegistry(deployCode("NodeRegistry.sol:NodeRegistry", abi.encode(otherVault, THAW)));
        c.nodes = otherNodes;
        refuses(c, "nodes");
        c = collectorConfig();
        c.governor = deployTuning(otherVault, otherNodes, IDisputeCourt(address(0)));
        c.models = c.governor.models();
        refuses(c, "governor");
        c = collectorConfig();
        c.vault = otherVault;
        refuses(c, "nodes");
    }

    function test_boundsAmounts() public {
        CollectorConfig memory c = collectorConfig();
        c.penalty = 0;
        refuses(c, "penalty");
        c = collectorConfig();
        c.winnerShare = 5001;
        refuses(c, "winnerShare");
        c.winnerShare = 5000;
        deployCollector(c);
    }

    function test_boundsTimes() public {
        CollectorConfig memory c = collectorConfig();
        c.challengeWindow = 0;
        refuses(c, "challengeWindow");
        c.challengeWindow = 30 days + 1;
        refuses(c, "challengeWindow");
        c = collectorConfig();
        // The payer's exit thaws longer than a window.
        c.exitPeriod = CHALLENGE_WINDOW;
        refuses(c, "exitPeriod");
        c.exitPeriod = 90 days + 1;
        refuses(c, "exitPeriod");
        c.exitPeriod = CHALLENGE_WINDOW + 1;
        deployCollector(c);
        c = collectorConfig();
        c.disputeLimit = 0;
        refuses(c, "disputeLimit");
        c.disputeLimit = 90 days + 1;
        refuses(c, "disputeLimit");
    }

    function test_outlastsTheCourt() public {
        CollectorConfig memory c = collectorConfig();
        c.disputeLimit = court.longest();
        refuses(c, "disputeLimit");
        c.disputeLimit += 1;
        deployCollector(c);
        c.court = ICourt(address(0));
        c.disputeLimit = 1;
        deployCollector(c);
    }

    function test_beingRightPaysForAllRounds() public {
        uint256 won = uint256(PENALTY) * WINNER_SHARE / 10_000;
        vm.mockCall(address(court), abi.encodeCall(ICourt.highestCost, ()), abi.encode(won + 1));
        refuses(collectorConfig(), "penalty");
        vm.mockCall(address(court), abi.encodeCall(ICourt.highestCost, ()), abi.encode(won));
        deployCollector(collectorConfig());
    }

    /// @dev Stake must outlive an exit, the last window and a dispute opened in its last second.
    function test_stakeOutlivesEveryChannel() public {
        CollectorConfig memory c = collectorConfig();
        c.disputeLimit = THAW - EXIT_PERIOD - CHALLENGE_WINDOW;
        refuses(c, "thawPeriod");
        c.disputeLimit -= 1;
        deployCollector(c);
    }
}
