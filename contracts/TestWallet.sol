// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title A wallet that is a contract (EIP-1271) and belongs to two keys: both must have signed.
/// @notice For the tests. Its code is placed by them, and its owners written into its storage.
contract TestWallet {
    address public first;
    address public second;

    /// @param signature both keys' signatures, 65 bytes each, in their owners' order
    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        bool valid = signature.length == 130 && signed(digest, signature[:65], first) && signed(digest, signature[65:], second);
        return valid ? this.isValidSignature.selector : bytes4(0);
    }

    function signed(bytes32 digest, bytes calldata signature, address owner) private pure returns (bool) {
        return owner != address(0)
            && ecrecover(digest, uint8(signature[64]), bytes32(signature[:32]), bytes32(signature[32:64])) == owner;
    }
}
