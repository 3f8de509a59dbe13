// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Many calls in one, for the local chain, by the published interface of Multicall3: official packages ask through it.
contract TestMulticall3 {
    struct Call {
        address target;
        bytes callData;
    }

    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    error CallFailed(uint256 index);

    function tryAggregate(bool requireSuccess, Call[] calldata calls) external payable returns (Result[] memory results) {
        results = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; i++) {
            results[i] = run(i, calls[i].target, !requireSuccess, calls[i].callData);
        }
    }

    function aggregate3(Call3[] calldata calls) external payable returns (Result[] memory results) {
        results = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; i++) {
            results[i] = run(i, calls[i].target, calls[i].allowFailure, calls[i].callData);
        }
    }

    function run(uint256 index, address target, bool allowFailure, bytes calldata data) private returns (Result memory result) {
        (result.success, result.returnData) = target.call(data);
        if (!result.success && !allowFailure) revert CallFailed(index);
    }
}
