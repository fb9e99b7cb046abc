import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HELP, readOptions, type SimulationOptions } from "./options.ts";
import { simulate } from "./simulate.ts";

/** `npm run simulate`: whether all that is promised holds for three gateways over one store, whatever happens to them. */

/** Everything runs in namespaces of its own and ends with them, however this one ends. */
const ALONE = ["unshare", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"] as const;
const MARK = "RUNEGATE_SIMULATION";

async function main(args: string[]): Promise<number> {
  let options: SimulationOptions | undefined;
  try {
    options = readOptions(args);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`simulate: ${error.message}\n\n${HELP}`);
    return 64;
  }
  if (options === undefined) {
    console.log(HELP);
    return 0;
  }
  if (process.env[MARK] === undefined) {
    const directory = mkdtempSync(join(tmpdir(), "runegate-simulation-"));
    // PostgreSQL does not run as root, and has its files in there.
    chmodSync(directory, 0o711);
    // The seed is drawn once.
    const again = [process.execPath, import.meta.path, ...args, "--seed", String(options.seed)];
    const child = Bun.spawn([...ALONE, ...again], {
      env: { ...process.env, [MARK]: "1", TMPDIR: directory },
      stdio: ["ignore", "inherit", "inherit"],
    });
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => child.kill("SIGKILL"));
    const code = await child.exited;
    if (code === 0) rmSync(directory, { recursive: true });
    else console.error(`The logs of the gateways are in ${directory}.`);
    return code;
  }
  const outcome = await simulate(options, (line) => console.error(line));
  console.log(outcome.text);
  return outcome.violations === 0 ? 0 : 1;
}

process.exit(await main(process.argv.slice(2)));
