import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Surroundings } from "../../src/config/surroundings.ts";

/** A machine of its own for configuration tests: no `/etc`, no `.env`, and randomness that counts up. */
export type TestMachine = Surroundings & {
  readonly directory: string;
  /** Writes a file below the directory, readable by its owner only, and gives its path. */
  write(name: string, content: string | Uint8Array, mode?: number): string;
} & Disposable;

export function testMachine(): TestMachine {
  const directory = mkdtempSync(join(tmpdir(), "runegate-test-"));
  return {
    directory,
    envFiles: [join(directory, "runegate.env")],
    emailConfigs: [join(directory, "email.toml")],
    routesFiles: [join(directory, "routes.toml")],
    serviceRuntimeDirectory: join(directory, "run"),
    serviceCredentials: join(directory, "credentials"),
    random: { bytes: (length) => Uint8Array.from({ length }, (_, index) => index) },
    write(name, content, mode = 0o600) {
      const path = join(directory, name);
      writeFileSync(path, content, { mode });
      return path;
    },
    [Symbol.dispose]: () => rmSync(directory, { recursive: true }),
  };
}
