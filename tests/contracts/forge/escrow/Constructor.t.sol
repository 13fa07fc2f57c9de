// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {
    Base,
    IJobEscrow,
    EscrowConfig,
    IVault,
    INodeRegistry,
    IModelRegistry,
    ITuningGovernor,
    ICourt,
    IDisputeCourt
} from "../Base.t.sol";

contract ConstructorTest is Base {
    function refuses(EscrowConfig memory c, string memory field) private {
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.BadConfig.selector, field));
        deployEscrow(c);
    }

    function test_showsItsConfig() public view {
        assertEq(keccak256(abi.encode(escrow.config())), keccak256(abi.encode(defaultConfig())));
    }

    function test_needsItsNeighbours() public {
        EscrowConfig memory c = defaultConfig();
        c.nodes = INodeRegistry(address(0));
        vm.expectRevert();
        deployEscrow(c);
        c = defaultConfig();
        c.governor = ITuningGovernor(address(0));
        vm.expectRevert();
        deployEscrow(c);
        c = defaultConfig();
        c.vault = IVault(address(0));
        vm.expectRevert();
        deployEscrow(c);
    }

    /// @dev All on one Vault, and the models those that the governor can pay for: or money could get stuck between them.
    function test_itsNeighboursKnowEachOther() public {
        IVault otherVault = IVault(deployCode("Vault.sol:Vault", abi.encode(token)));
        EscrowConfig memory c = defaultConfig();
        c.models = IModelRegistry(address(0));
        refuses(c, "governor");
        c.models = IModelRegistry(deployCode("ModelRegistry.sol:ModelRegistry", abi.encode(governor)));
        refuses(c, "governor");
        c = defaultConfig();
        c.nodes = INodeRegistry(deployCode("NodeRegistry.sol:NodeRegistry", abi.encode(otherVault, THAW)));
        refuses(c, "nodes");
        c = defaultConfig();
        INodeRegistry otherNodes =
            INodeRegistry(deployCode("NodeRegistry.sol:NodeRegistry", abi.encode(otherVault, THAW)));
        c.governor = deployTuning(otherVault, otherNodes, IDisputeCourt(address(0)));
        c.models = c.governor.models();
        refuses(c, "governor");
        c = defaultConfig();
        c.vault = otherVault;
        refuses(c, "nodes");
    }

    function test_outlastsTheCourt() public {
        EscrowConfig memory c = defaultConfig();
        c.disputeLimit = court.longest();
        refuses(c, "disputeLimit");
        c.disputeLimit += 1;
        deployEscrow(c);
    }

    /// @dev What an upheld dispute wins is worth all its rounds, to the unit; the share is at most half, so the penalty is twice that.
    function test_beingRightPaysForEveryRound() public {
        EscrowConfig memory c = defaultConfig();
        uint256 won = uint256(c.penalty) * c.winnerShare / 10_000;
        court.costs(won + 1);
        refuses(c, "penalty");
        court.costs(won);
        deployEscrow(c);
        c.penalty -= 1;
        refuses(c, "penalty");
        // Without a court nothing is asked.
        c.court = ICourt(address(0));
        deployEscrow(c);
    }

    function test_worksWithoutACourt() public {
        EscrowConfig memory c = defaultConfig();
        c.court = ICourt(address(0));
        deployEscrow(c);
    }

    function test_boundsAmounts() public {
        EscrowConfig memory c = defaultConfig();
        (c.penalty, c.missPenalty) = (0, 0);
        refuses(c, "penalty");
        (c.penalty, c.missPenalty) = (10, 11);
        refuses(c, "missPenalty");
        (c.penalty, c.missPenalty) = (10, 10);
        deployEscrow(c);
        c.winnerShare = 5001;
        refuses(c, "winnerShare");
        c.winnerShare = 5000;
        deployEscrow(c);
        c.winnerShare = 0;
        deployEscrow(c);
    }

    function test_boundsTimes() public {
        EscrowConfig memory c = defaultConfig();
        c.challengeWindow = 0;
        refuses(c, "challengeWindow");
        c.challengeWindow = 30 days + 1;
        refuses(c, "challengeWindow");
        c = defaultConfig();
        c.deliveryWindow = 0;
        refuses(c, "deliveryWindow");
        c.deliveryWindow = 30 days + 1;
        refuses(c, "deliveryWindow");
        c = defaultConfig();
        c.disputeLimit = 0;
        refuses(c, "disputeLimit");
        c.disputeLimit = 90 days + 1;
        refuses(c, "disputeLimit");
        c = defaultConfig();
        c.maxJobTime = 0;
        refuses(c, "maxJobTime");
        c.maxJobTime = 30 days + 1;
        refuses(c, "maxJobTime");
    }

    /// @dev Stake must outlive the longest life of a job: maxJobTime + 2 challenge windows + delivery + dispute.
    function test_stakeOutlivesEveryJob() public {
        EscrowConfig memory c = defaultConfig();
        c.disputeLimit = THAW - MAX_JOB_TIME - 2 * CHALLENGE_WINDOW - DELIVERY_WINDOW;
        refuses(c, "thawPeriod");
        c.disputeLimit -= 1;
        deployEscrow(c);
    }
}
