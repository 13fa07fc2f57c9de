// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {IVault, Payment} from "contracts/interfaces/IVault.sol";
import {INodeRegistry, Node, Provision} from "contracts/interfaces/INodeRegistry.sol";
import {IModelRegistry, Version} from "contracts/interfaces/IModelRegistry.sol";
import {ITuningGovernor} from "contracts/interfaces/ITuningGovernor.sol";
import {
    IJobEscrow,
    IJobEscrowPayments,
    EscrowConfig,
    Job,
    Completion,
    Status
} from "contracts/interfaces/IJobEscrow.sol";
import {ICourt, Case} from "contracts/interfaces/ICourt.sol";
import {IDisputable, Ruling} from "contracts/interfaces/IDisputable.sol";
import {IDisputeCourt} from "contracts/interfaces/IDisputeCourt.sol";
import {IEpochRewards} from "contracts/interfaces/IEpochRewards.sol";
import {IRandomness} from "contracts/interfaces/IRandomness.sol";
import {ITuningTasks} from "contracts/interfaces/ITuningTasks.sol";
import {CourtDouble} from "./doubles/CourtDouble.sol";
import {TuningFixture} from "./TuningFixture.sol";

interface IDevUSD is IERC20, IERC20Permit {
    error NotALocalChain(uint256 chainId);
    error FaucetLimit(uint256 amount, uint256 limit);

    function faucet(address to, uint256 amount) external;
    function decimals() external view returns (uint8);
}

/// @notice Everything deployed and wired as the deploy script does it, a model, a staked node and a client with money.
/// @dev Contracts come from their artifacts, as compiled for deployment; tests see interfaces alone.
abstract contract Base is Test {
    address internal constant BURNED = 0x000000000000000000000000000000000000dEaD;

    uint72 internal constant PENALTY = 20e6;
    uint72 internal constant MISS_PENALTY = 5e6;
    uint16 internal constant WINNER_SHARE = 4000;
    uint64 internal constant DELIVERY_FEE = 50_000;
    uint64 internal constant DELIVERY_FEE_PER_TOKEN = 100;
    uint40 internal constant CHALLENGE_WINDOW = 1 hours;
    uint40 internal constant DELIVERY_WINDOW = 30 minutes;
    uint40 internal constant DISPUTE_LIMIT = 7 days;
    uint40 internal constant MAX_JOB_TIME = 1 hours;
    uint40 internal constant THAW = 14 days;

    uint64 internal constant MODEL_FEE = 10e6;
    uint32 internal constant PROMPT_TOKENS = 46;
    uint32 internal constant MAX_TOKENS = 256;
    uint32 internal constant OUTPUT_TOKENS = 5;
    uint128 internal constant CEILING = 53_500;
    /// @dev What OUTPUT_TOKENS cost under `aJob`'s terms, worked out by hand: 46·50 + 5·200, of which 51·10 for the model.
    uint128 internal constant PAYMENT = 3300;
    uint128 internal constant FEE = 510;
    uint256 internal constant DELIVERY_COST = 50_500;
    bytes32 internal constant SECRET = keccak256("secret");
    string internal constant MODEL_NAME = "smollm2-135m";
    bytes32 internal constant MANIFEST = keccak256("manifest");
    uint256 internal constant SUPPLY = 1_000_000e18;

    IDevUSD internal token;
    IVault internal vault;
    INodeRegistry internal registry;
    ITuningGovernor internal governor;
    IModelRegistry internal models;
    IJobEscrow internal escrow;
    CourtDouble internal court;

    address internal client;
    uint256 internal clientKey;
    address internal node = makeAddr("node");
    address internal operator;
    uint256 internal operatorKey;
    address internal treasurer = makeAddr("payTo");
    address internal trainer = makeAddr("trainer");
    address internal stranger = makeAddr("stranger");
    uint64 internal modelId;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        (client, clientKey) = makeAddrAndKey("client");
        (operator, operatorKey) = makeAddrAndKey("operator");
        token = IDevUSD(deployCode("DevUSD.sol:DevUSD"));
        vault = IVault(deployCode("Vault.sol:Vault", abi.encode(token)));
        registry = INodeRegistry(deployCode("NodeRegistry.sol:NodeRegistry", abi.encode(vault, THAW)));
        governor = deployTuning(vault, registry, IDisputeCourt(address(0)));
        models = governor.models();
        court = new CourtDouble(vault);
        escrow = deployEscrow(defaultConfig());

        vm.prank(trainer);
        (modelId,) = models.register(MODEL_NAME, "SMOL", MANIFEST, MODEL_FEE, SUPPLY);
        vm.prank(node);
        registry.setNode(operator, keccak256("encryption key"), "https://node.example");
        stake(node, 1000e6);
        vm.prank(node);
        registry.provision(address(escrow), modelId, 500e6);
        fund(client, 100e6);
    }

    // --- deployment

    function defaultConfig() internal view returns (EscrowConfig memory c) {
        c.vault = vault;
        c.nodes = registry;
        c.models = models;
        c.governor = governor;
        c.court = ICourt(address(court));
        c.penalty = PENALTY;
        c.missPenalty = MISS_PENALTY;
        c.winnerShare = WINNER_SHARE;
        c.deliveryFee = DELIVERY_FEE;
        c.deliveryFeePerToken = DELIVERY_FEE_PER_TOKEN;
        c.challengeWindow = CHALLENGE_WINDOW;
        c.deliveryWindow = DELIVERY_WINDOW;
        c.disputeLimit = DISPUTE_LIMIT;
        c.maxJobTime = MAX_JOB_TIME;
    }

    function deployEscrow(EscrowConfig memory c) internal returns (IJobEscrow) {
        return IJobEscrow(deployCode("JobEscrow.sol:JobEscrow", abi.encode(c)));
    }

    /// @dev Rewards, tasks and the governor over them, on TuningFixture's terms.
    function deployTuning(IVault vault_, INodeRegistry nodes_, IDisputeCourt court_)
        internal
        returns (ITuningGovernor)
    {
        IRandomness random = IRandomness(deployCode("BlockHashRandomness.sol:BlockHashRandomness", abi.encode(2)));
        address rewards = deployCode("EpochRewards.sol:EpochRewards", abi.encode(TuningFixture.rewards(vault_, court_)));
        address tasks = deployCode(
            "TuningTasks.sol:TuningTasks",
            abi.encode(TuningFixture.tasks(vault_, nodes_, court_, random, IEpochRewards(rewards)))
        );
        return ITuningGovernor(
            deployCode(
                "TuningGovernor.sol:TuningGovernor",
                abi.encode(TuningFixture.governor(vault_, ITuningTasks(tasks), court_, random))
            )
        );
    }

    // --- money and stake

    /// @dev Tokens from the faucet into `account`'s balance.
    function fund(address account, uint256 amount) internal {
        if (amount == 0) return;
        address bank = makeAddr("bank");
        if (amount <= 1_000_000e6) token.faucet(bank, amount);
        else deal(address(token), bank, amount, true);
        vm.startPrank(bank);
        token.approve(address(vault), amount);
        vault.deposit(account, amount);
        vm.stopPrank();
    }

    function stake(address node_, uint256 amount) internal {
        address backer = makeAddr("backer");
        fund(backer, amount);
        vm.prank(backer);
        vault.payAndCall(address(registry), amount, abi.encode(node_));
    }

    // --- a job and its messages

    function maskedPrompt() internal pure returns (bytes memory) {
        return masked("prompt", PROMPT_TOKENS);
    }

    function maskedOutput() internal pure returns (bytes memory) {
        return masked("output", OUTPUT_TOKENS);
    }

    /// @dev Some bytes of the right length: the contracts hash masked tokens as they are.
    function masked(string memory label, uint256 tokens) internal pure returns (bytes memory text) {
        text = new bytes(4 * tokens + 32);
        for (uint256 i = 0; i < 4 * tokens; i += 32) {
            bytes32 word = keccak256(abi.encode(label, i));
            assembly ("memory-safe") {
                mstore(add(add(text, 32), i), word)
            }
        }
        assembly ("memory-safe") {
            mstore(text, mul(4, tokens))
        }
    }

    function aJob() internal view returns (Job memory job) {
        job.collector = address(escrow);
        job.client = client;
        job.node = node;
        job.modelId = modelId;
        job.promptHash = keccak256(maskedPrompt());
        job.promptTokens = PROMPT_TOKENS;
        job.maxTokens = MAX_TOKENS;
        job.secretHash = keccak256(abi.encodePacked(SECRET));
        job.seed = 7;
        job.temperature = 800_000;
        job.topP = 950_000;
        job.inputPrice = 50e6;
        job.outputPrice = 200e6;
        job.modelFee = MODEL_FEE;
        job.ceiling = CEILING;
        job.deadline = uint64(block.timestamp + 10 minutes);
        job.bitClass = keccak256("class");
        job.clientKey = keccak256("client key");
    }

    function completionOf(Job memory job) internal view returns (Completion memory completion) {
        completion.jobHash = escrow.jobHash(job);
        completion.node = job.node;
        completion.outputHash = keccak256(maskedOutput());
        completion.outputTokens = OUTPUT_TOKENS;
        completion.finish = 0;
        completion.servedAt = uint64(block.timestamp);
        completion.payTo = treasurer;
    }

    function acceptance(bytes32 jobHash, uint64 expires) internal view returns (bytes32) {
        bytes32 hash = keccak256(abi.encode(keccak256("Acceptance(bytes32 jobHash,uint64 expires)"), jobHash, expires));
        return keccak256(abi.encodePacked(hex"1901", vault.domainSeparator(), hash));
    }

    function soon() internal view returns (uint64) {
        return uint64(block.timestamp + 1 minutes);
    }

    function openCall(Job memory job, uint64 expires, uint256 key) internal view returns (bytes memory) {
        (bytes32 r, bytes32 vs) = vm.signCompact(key, acceptance(escrow.jobHash(job), expires));
        return abi.encodeCall(IJobEscrowPayments.open, (job, expires, r, vs));
    }

    function openCall(Job memory job) internal view returns (bytes memory) {
        return openCall(job, soon(), operatorKey);
    }

    // --- verbs, as the party whose verb it is

    function open(Job memory job) internal returns (bytes32 id) {
        bytes memory data = openCall(job);
        vm.prank(job.client);
        vault.payAndCall(address(escrow), job.ceiling, data);
        return escrow.jobHash(job);
    }

    function complete(Completion memory completion) internal {
        vm.prank(operator);
        escrow.complete(completion);
    }

    function completed(Job memory job) internal returns (Completion memory completion) {
        open(job);
        completion = completionOf(job);
        complete(completion);
    }

    function demand(Job memory job, Completion memory completion) internal {
        uint256 cost = escrow.deliveryCost(completion.outputTokens);
        vm.prank(job.client);
        vault.payAndCall(address(escrow), cost, abi.encodeCall(IJobEscrowPayments.demandDelivery, (job, completion)));
    }

    function demanded(Job memory job) internal returns (Completion memory completion) {
        completion = completed(job);
        demand(job, completion);
    }

    function delivered(Job memory job) internal returns (Completion memory completion) {
        completion = demanded(job);
        escrow.deliver(job, completion, maskedOutput());
    }

    function challengeCall(Job memory job, Completion memory completion) internal pure returns (bytes memory) {
        return abi.encodeCall(IJobEscrowPayments.challenge, (job, completion, SECRET, maskedPrompt(), maskedOutput()));
    }

    function challenge(Job memory job, Completion memory completion) internal {
        uint256 bond = court.bondFor(job.promptTokens + completion.outputTokens);
        vm.prank(job.client);
        vault.payAndCall(address(escrow), bond, challengeCall(job, completion));
    }

    function disputed(Job memory job) internal returns (Completion memory completion) {
        completion = completed(job);
        challenge(job, completion);
    }

    function ruled(Job memory job, Ruling ruling, uint256 courtFee) internal returns (Completion memory completion) {
        completion = disputed(job);
        court.rule(escrow, escrow.jobHash(job), ruling, courtFee);
    }

    // --- what everything must look like

    function statusOf(bytes32 id) internal view returns (Status status) {
        (status,) = escrow.jobStatus(id);
    }

    function assertStatus(bytes32 id, Status expected) internal view {
        assertEq(uint256(statusOf(id)), uint256(expected), "status");
    }

    function assertStatus(bytes32 id, Status expected, uint256 until) internal view {
        (Status status, uint256 time) = escrow.jobStatus(id);
        assertEq(uint256(status), uint256(expected), "status");
        assertEq(time, until, "until");
    }

    function reservedOf(address node_) internal view returns (uint256) {
        return registry.provisionOf(node_, address(escrow), modelId).reserved;
    }

    function provisionedBy(address node_) internal view returns (uint256) {
        return registry.provisionOf(node_, address(escrow), modelId).amount;
    }
}
