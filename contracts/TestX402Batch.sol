// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC1271, TestPermit2} from "./TestPermit2.sol";

interface IERC20Pays {
    function transfer(address to, uint256 value) external returns (bool);
    function balanceOf(address account) external view returns (uint256);
}

interface IReceiveWithAuthorization {
    function receiveWithAuthorization(
        address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes memory signature
    ) external;
}

interface IERC2612 {
    function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;
}

interface IDepositCollector {
    function collect(
        address payer, address token, uint256 amount, bytes32 channelId, address caller, bytes calldata collectorData
    ) external;
}

/// @title x402's batch settlement, written anew for the local chain from its published interface: payers deposit into channels,
/// receivers claim what signed vouchers allow, many at once, and payers can always leave after a delay.
/// @notice A channel's balance is all that was ever put in and not taken out by its payer; what is left is balance less claimed.
contract TestX402Batch {
    struct ChannelConfig {
        address payer;
        address payerAuthorizer;
        address receiver;
        address receiverAuthorizer;
        address token;
        uint40 withdrawDelay;
        bytes32 salt;
    }

    struct Channel {
        uint128 balance;
        uint128 totalClaimed;
    }

    struct Withdrawal {
        uint128 amount;
        uint40 initiatedAt;
    }

    struct Receiver {
        uint128 totalClaimed;
        uint128 totalSettled;
    }

    struct Voucher {
        ChannelConfig channel;
        uint128 maxClaimableAmount;
    }

    struct VoucherClaim {
        Voucher voucher;
        bytes signature;
        uint128 totalClaimed;
    }

    error InvalidAmount();
    error InvalidChannel();
    error InvalidSignature();
    error InvalidNonce();
    error NotAuthorized();
    error ClaimExceedsVoucher();
    error ClaimExceedsBalance();
    error WithdrawalNotReady();
    error DepositNotReceived();
    error CallFailed();

    event Deposited(bytes32 indexed channelId, address indexed payer, uint128 amount);
    event Claimed(bytes32 indexed channelId, uint128 totalClaimed);
    event Settled(address indexed receiver, address indexed token, address indexed sender, uint128 amount);
    event Refunded(bytes32 indexed channelId, uint128 amount);
    event WithdrawalInitiated(bytes32 indexed channelId, uint128 amount);
    event WithdrawalFinalized(bytes32 indexed channelId, uint128 amount);

    uint40 private constant DELAY_MIN = 15 minutes;
    uint40 private constant DELAY_MAX = 30 days;
    bytes32 public constant CHANNEL_CONFIG_TYPEHASH = keccak256(
        "ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)"
    );
    bytes32 private constant VOUCHER_TYPEHASH = keccak256("Voucher(bytes32 channelId,uint128 maxClaimableAmount)");
    bytes32 private constant REFUND_TYPEHASH = keccak256("Refund(bytes32 channelId,uint256 nonce,uint128 amount)");
    bytes32 private constant CLAIM_ENTRY_TYPEHASH =
        keccak256("ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)");
    bytes32 private constant CLAIM_BATCH_TYPEHASH = keccak256(
        "ClaimBatch(ClaimEntry[] claims)ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
    );
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    /// Half of secp256k1's order: a higher s is the malleable twin of a lower one (EIP-2).
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    mapping(bytes32 => Channel) public channels;
    mapping(bytes32 => Withdrawal) public pendingWithdrawals;
    mapping(address => mapping(address => Receiver)) public receivers;
    mapping(bytes32 => uint256) public refundNonce;

    function multicall(bytes[] calldata data) external returns (bytes[] memory results) {
        results = new bytes[](data.length);
        for (uint256 i = 0; i < data.length; i++) {
            (bool ok, bytes memory result) = address(this).delegatecall(data[i]);
            if (!ok) {
                assembly {
                    revert(add(result, 32), mload(result))
                }
            }
            results[i] = result;
        }
    }

    // In

    function deposit(ChannelConfig calldata config, uint128 amount, address collector, bytes calldata collectorData) external {
        if (amount == 0) revert InvalidAmount();
        if (
            config.payer == address(0) || config.receiver == address(0) || config.receiverAuthorizer == address(0)
                || config.withdrawDelay < DELAY_MIN || config.withdrawDelay > DELAY_MAX
        ) revert InvalidChannel();
        bytes32 id = getChannelId(config);
        uint256 before = IERC20Pays(config.token).balanceOf(address(this));
        IDepositCollector(collector).collect(config.payer, config.token, amount, id, msg.sender, collectorData);
        if (IERC20Pays(config.token).balanceOf(address(this)) != before + amount) revert DepositNotReceived();
        channels[id].balance += amount;
        emit Deposited(id, config.payer, amount);
    }

    // Claimed and settled

    function claim(VoucherClaim[] calldata voucherClaims) external {
        for (uint256 i = 0; i < voucherClaims.length; i++) {
            if (msg.sender != voucherClaims[i].voucher.channel.receiverAuthorizer) revert NotAuthorized();
            claimOne(voucherClaims[i]);
        }
    }

    function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature) external {
        if (voucherClaims.length == 0) return;
        address authorizer = voucherClaims[0].voucher.channel.receiverAuthorizer;
        requireSigned(authorizer, getClaimBatchDigest(voucherClaims), authorizerSignature);
        for (uint256 i = 0; i < voucherClaims.length; i++) {
            if (authorizer != voucherClaims[i].voucher.channel.receiverAuthorizer) revert NotAuthorized();
            claimOne(voucherClaims[i]);
        }
    }

    function claimOne(VoucherClaim calldata one) private {
        ChannelConfig calldata config = one.voucher.channel;
        bytes32 id = getChannelId(config);
        Channel storage channel = channels[id];
        if (one.totalClaimed <= channel.totalClaimed) return; // claimed before: nothing to do, and nothing wrong
        if (one.totalClaimed > one.voucher.maxClaimableAmount) revert ClaimExceedsVoucher();
        if (one.totalClaimed > channel.balance) revert ClaimExceedsBalance();
        bytes32 digest = getVoucherDigest(id, one.voucher.maxClaimableAmount);
        if (config.payerAuthorizer != address(0)) {
            if (recover(digest, one.signature) != config.payerAuthorizer) revert InvalidSignature();
        } else {
            requireSigned(config.payer, digest, one.signature);
        }
        receivers[config.receiver][config.token].totalClaimed += one.totalClaimed - channel.totalClaimed;
        channel.totalClaimed = one.totalClaimed;
        emit Claimed(id, one.totalClaimed);
    }

    function settle(address receiver, address token) external {
        Receiver storage sums = receivers[receiver][token];
        uint128 amount = sums.totalClaimed - sums.totalSettled;
        if (amount == 0) return;
        sums.totalSettled = sums.totalClaimed;
        pay(token, receiver, amount);
        emit Settled(receiver, token, msg.sender, amount);
    }

    // Out

    function refund(ChannelConfig calldata config, uint128 amount) external {
        if (msg.sender != config.receiverAuthorizer) revert NotAuthorized();
        refundTo(config, getChannelId(config), amount);
    }

    function refundWithSignature(
        ChannelConfig calldata config, uint128 amount, uint256 nonce, bytes calldata receiverAuthorizerSignature
    ) external {
        bytes32 id = getChannelId(config);
        if (nonce != refundNonce[id]) revert InvalidNonce();
        refundNonce[id] = nonce + 1;
        requireSigned(config.receiverAuthorizer, getRefundDigest(id, nonce, amount), receiverAuthorizerSignature);
        refundTo(config, id, amount);
    }

    /// Gives back at most what is left.
    function refundTo(ChannelConfig calldata config, bytes32 id, uint128 wanted) private {
        Channel storage channel = channels[id];
        uint128 left = channel.balance - channel.totalClaimed;
        uint128 amount = wanted > left ? left : wanted;
        if (amount == 0) revert InvalidAmount();
        channel.balance -= amount;
        pay(config.token, config.payer, amount);
        emit Refunded(id, amount);
    }

    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external {
        if (msg.sender != config.payer && msg.sender != config.payerAuthorizer) revert NotAuthorized();
        if (amount == 0) revert InvalidAmount();
        bytes32 id = getChannelId(config);
        pendingWithdrawals[id] = Withdrawal(amount, uint40(block.timestamp));
        emit WithdrawalInitiated(id, amount);
    }

    function finalizeWithdraw(ChannelConfig calldata config) external {
        bytes32 id = getChannelId(config);
        Withdrawal memory wanted = pendingWithdrawals[id];
        if (wanted.initiatedAt == 0 || block.timestamp < uint256(wanted.initiatedAt) + config.withdrawDelay) {
            revert WithdrawalNotReady();
        }
        delete pendingWithdrawals[id];
        Channel storage channel = channels[id];
        uint128 left = channel.balance - channel.totalClaimed;
        uint128 amount = wanted.amount > left ? left : wanted.amount;
        channel.balance -= amount;
        if (amount > 0) pay(config.token, config.payer, amount);
        emit WithdrawalFinalized(id, amount);
    }

    // Hashes (EIP-712)

    function getChannelId(ChannelConfig calldata config) public view returns (bytes32) {
        return typed(keccak256(abi.encode(CHANNEL_CONFIG_TYPEHASH, config)));
    }

    function getVoucherDigest(bytes32 channelId, uint128 maxClaimableAmount) public view returns (bytes32) {
        return typed(keccak256(abi.encode(VOUCHER_TYPEHASH, channelId, maxClaimableAmount)));
    }

    function getRefundDigest(bytes32 channelId, uint256 nonce, uint128 amount) public view returns (bytes32) {
        return typed(keccak256(abi.encode(REFUND_TYPEHASH, channelId, nonce, amount)));
    }

    function getClaimBatchDigest(VoucherClaim[] calldata voucherClaims) public view returns (bytes32) {
        bytes32[] memory entries = new bytes32[](voucherClaims.length);
        for (uint256 i = 0; i < voucherClaims.length; i++) {
            entries[i] = keccak256(
                abi.encode(
                    CLAIM_ENTRY_TYPEHASH,
                    getChannelId(voucherClaims[i].voucher.channel),
                    voucherClaims[i].voucher.maxClaimableAmount,
                    voucherClaims[i].totalClaimed
                )
            );
        }
        return typed(keccak256(abi.encode(CLAIM_BATCH_TYPEHASH, keccak256(abi.encodePacked(entries)))));
    }

    function typed(bytes32 structHash) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("x402 Batch Settlement"), keccak256("1"), block.chainid, address(this))
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function requireSigned(address signer, bytes32 digest, bytes calldata signature) private view {
        if (signer.code.length > 0) {
            if (IERC1271(signer).isValidSignature(digest, signature) != IERC1271.isValidSignature.selector) {
                revert InvalidSignature();
            }
        } else if (recover(digest, signature) != signer) {
            revert InvalidSignature();
        }
    }

    function recover(bytes32 digest, bytes calldata signature) private pure returns (address signer) {
        if (signature.length != 65 || uint256(bytes32(signature[32:64])) > HALF_ORDER) revert InvalidSignature();
        signer = ecrecover(digest, uint8(signature[64]), bytes32(signature[:32]), bytes32(signature[32:64]));
        if (signer == address(0)) revert InvalidSignature();
    }

    function pay(address token, address to, uint256 amount) private {
        (bool ok, bytes memory answer) = token.call(abi.encodeCall(IERC20Pays.transfer, (to, amount)));
        if (!ok || (answer.length > 0 && !abi.decode(answer, (bool)))) revert CallFailed();
    }
}

/// @title Collects deposits that payers signed by EIP-3009: ReceiveWithAuthorization towards this contract, bound to the channel.
contract TestERC3009Collector is IDepositCollector {
    address private constant BATCH = 0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003;

    error OnlyBatchSettlement();

    function collect(
        address payer, address token, uint256 amount, bytes32 channelId, address, bytes calldata collectorData
    ) external {
        if (msg.sender != BATCH) revert OnlyBatchSettlement();
        Authorization memory signed = abi.decode(bytes.concat(bytes32(uint256(32)), collectorData), (Authorization));
        take(payer, token, amount, keccak256(abi.encode(channelId, signed.salt)), signed);
        IERC20Pays(token).transfer(BATCH, amount);
    }

    struct Authorization {
        uint256 validAfter;
        uint256 validBefore;
        uint256 salt;
        bytes signature;
    }

    function take(address payer, address token, uint256 amount, bytes32 nonce, Authorization memory signed) private {
        IReceiveWithAuthorization(token).receiveWithAuthorization(
            payer, address(this), amount, signed.validAfter, signed.validBefore, nonce, signed.signature
        );
    }
}

/// @title Collects deposits that payers signed by Permit2, bound to the channel by the witness.
contract TestPermit2Collector is IDepositCollector {
    address private constant BATCH = 0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003;
    TestPermit2 private constant PERMIT2 = TestPermit2(0x000000000022D473030F116dDEE9F6B43aC78BA3);
    bytes32 private constant WITNESS_TYPEHASH = keccak256("DepositWitness(bytes32 channelId)");
    string private constant WITNESS_TYPE_STRING =
        "DepositWitness witness)DepositWitness(bytes32 channelId)TokenPermissions(address token,uint256 amount)";

    error OnlyBatchSettlement();

    function collect(
        address payer, address token, uint256 amount, bytes32 channelId, address, bytes calldata collectorData
    ) external {
        if (msg.sender != BATCH) revert OnlyBatchSettlement();
        (uint256 nonce, uint256 deadline, bytes memory signature, bytes memory eip2612) =
            abi.decode(collectorData, (uint256, uint256, bytes, bytes));
        if (eip2612.length > 0) allow(payer, token, abi.decode(eip2612, (Permit2612)));
        PERMIT2.permitWitnessTransferFrom(
            TestPermit2.PermitTransferFrom(TestPermit2.TokenPermissions(token, amount), nonce, deadline),
            TestPermit2.SignatureTransferDetails(BATCH, amount),
            payer,
            keccak256(abi.encode(WITNESS_TYPEHASH, channelId)),
            WITNESS_TYPE_STRING,
            signature
        );
    }

    struct Permit2612 {
        uint256 value;
        uint256 deadline;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    function allow(address payer, address token, Permit2612 memory p) private {
        try IERC2612(token).permit(payer, address(PERMIT2), p.value, p.deadline, p.v, p.r, p.s) {} catch {}
    }
}
