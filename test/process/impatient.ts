import { runGateway } from "../../src/commands/run-gateway.ts";
import { main } from "../../src/main.ts";

/** `runegate serve` whose supervisor waits for nothing as long as the real one does. */

const io = {
  out: (line: string) => console.log(line),
  err: (line: string) => console.error(line),
  env: process.env,
};
const [command] = process.argv.slice(2);
const ended =
  command === "serve"
    ? runGateway(io, { supervision: { firstWait: 100, longestWait: 800, settled: 60_000, pingEvery: 100 } })
    : main(process.argv.slice(2), io);
process.exit(await ended);
