// A second EVM, beside anvil: hardhat's own.
module.exports = { solidity: "0.8.28", networks: { hardhat: { chainId: 84532, hardfork: "cancun" } } };
