import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStage, type TunnelStage } from "./stage.ts";

/** Another user of the server's machine, who would like to be the application. */

let root: string;
let stage: TunnelStage;
let thief: Bun.Server<undefined>;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "squat-"));
});
afterEach(async () => {
  await thief.stop(true);
  await stage.stop();
  rmSync(root, { recursive: true });
});

/** Listens where a socket of ours would be, under the id of a process that is there. */
function squat(directory: string, name = `home..${process.pid}-77`): void {
  thief = Bun.serve({ unix: join(directory, name), fetch: () => new Response("stolen") });
}

const CASES: readonly (readonly [what: string, make: (directory: string) => string])[] = [
  [
    "to which others may write",
    (directory) => {
      mkdirSync(directory);
      chmodSync(directory, 0o777);
      return directory;
    },
  ],
  [
    "that is a link to one",
    (directory) => {
      mkdirSync(`${directory}-theirs`, { mode: 0o700 });
      symlinkSync(`${directory}-theirs`, directory);
      return directory;
    },
  ],
  [
    "in one where others could put another in its place",
    (directory) => {
      mkdirSync(directory, { mode: 0o700 });
      chmodSync(root, 0o777);
      return directory;
    },
  ],
];

describe("a socket in a directory", () => {
  for (const [what, make] of CASES) {
    test(`${what} is not connected to, and no connector's is put there`, async () => {
      const directory = make(join(root, "sockets"));
      squat(directory);
      stage = await openStage({ env: { RUNEGATE_TUNNEL_DIRECTORY: directory } });
      expect((await stage.get("/")).status).toBe(503);
      // Not told of it, the connector would only wait.
      const connector = stage.knock();
      await connector.closed;
      expect(stage.gateway.lines.join("\n")).toContain("a tunnel has no socket");
      expect((await stage.get("/")).status).toBe(503);
    });
  }

  test("where a tunnel without a connector would be, is not connected to", async () => {
    const directory = join(root, "sockets");
    mkdirSync(directory, { mode: 0o700 });
    chmodSync(directory, 0o777);
    squat(directory, "none");
    stage = await openStage({ env: { RUNEGATE_TUNNEL_DIRECTORY: directory } });
    expect((await stage.get("/")).status).toBe(503);
  });

  test("that somebody exchanges while it is in use is not connected to", async () => {
    const directory = join(root, "sockets");
    mkdirSync(directory, { mode: 0o700 });
    stage = await openStage({ env: { RUNEGATE_TUNNEL_DIRECTORY: directory } });
    expect((await stage.get("/")).status).toBe(503);
    renameSync(directory, `${directory}-ours`);
    mkdirSync(directory);
    chmodSync(directory, 0o777);
    squat(directory);
    expect((await stage.get("/")).status).toBe(503);
  });
});
