// solc's command line, as far as forge, ape and slither use it, in front of npm's WebAssembly compiler:
//   --version
//   --standard-json [--base-path DIR] [--include-path DIR]… [--allow-paths LIST]   (input on stdin)
"use strict";
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const argv = process.argv.slice(2);

// A pipe takes only so much at once: write until all is out.
function write(text) {
  const data = Buffer.from(text, "utf8");
  let at = 0;
  while (at < data.length) {
    try {
      at += fs.writeSync(1, data, at);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

if (argv.includes("--version")) {
  write(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`);
} else if (argv.includes("--standard-json")) {
  const folders = [];
  argv.forEach((word, i) => {
    if (word === "--base-path") folders.unshift(argv[i + 1]);
    if (word === "--include-path") folders.push(argv[i + 1]);
  });
  if (folders.length === 0) folders.push(process.cwd());
  const read = (name) => {
    for (const file of folders.map((folder) => path.resolve(folder, name))) {
      try {
        return { contents: fs.readFileSync(file, "utf8") };
      } catch (error) {
        if (error.code !== "ENOENT" && error.code !== "EISDIR" && error.code !== "ENOTDIR") throw error;
      }
    }
    return { error: `File not found: ${name}` };
  };
  write(solc.compile(fs.readFileSync(0, "utf8"), { import: read }));
} else {
  process.stderr.write(`This solc knows --version and --standard-json, not: ${argv.join(" ")}\n`);
  process.exit(1);
}
