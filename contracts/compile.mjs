// Compiles the contracts of this folder with npm's solc and writes NAME.json (abi, runtime bytecode, compiler) beside each.
// Usage: npm ci && node compile.mjs [--check]; --check fails where a committed artifact differs from its source.
import { readFileSync, writeFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = dirname(fileURLToPath(import.meta.url));
const check = process.argv.includes("--check");
const files = readdirSync(here).filter((f) => f.endsWith(".sol"));
const input = {
  language: "Solidity",
  sources: Object.fromEntries(files.map((f) => [f, { content: readFileSync(join(here, f), "utf8") }])),
  settings: {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "cancun",
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["abi", "evm.deployedBytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const e of output.errors ?? []) console.error(e.formattedMessage);
if ((output.errors ?? []).some((e) => e.severity === "error")) process.exit(1);

let stale = 0;
for (const file of files) {
  for (const [name, contract] of Object.entries(output.contracts[file])) {
    if (contract.evm.deployedBytecode.object === "") continue; // an interface or an abstract contract
    const artifact = { contract: name, compiler: "solc " + solc.version().split("+")[0], runtime: "0x" + contract.evm.deployedBytecode.object, abi: contract.abi };
    const text = JSON.stringify(artifact, null, 1) + "\n";
    const path = join(here, name + ".json");
    if (!check) writeFileSync(path, text);
    else if (readFileSync(path, "utf8") !== text) {
      console.error(`${name}.json is not what ${file} compiles to: run node compile.mjs`);
      stale++;
    }
  }
}
process.exit(stale ? 1 : 0);
