import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { asOwnerOf, ownerOf } from "../../src/rights.ts";
import { SESSIONS } from "../../src/session/record.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { runegate, startProcess } from "../support/process.ts";
import { SILENT } from "../support/silent.ts";

/**
 * What root's command line does in a directory of the service's user, who may have been broken into: nothing that this user
 * could not do, wherever links lead, and nothing that keeps the service from its files afterwards.
 */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(30_000);

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn("Skipped: what only root can try.");

/** Of nobody on this machine. */
const SERVICE = 54_321;

/** Holds `service`, which is the service's, and `root`, which is root's alone. */
let directory: string;
let service: string;
let root: string;
let store: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "runegate-root-"));
  // Others must be able to come to the service's directory.
  chmodSync(directory, 0o755);
  service = join(directory, "service");
  root = join(directory, "root");
  for (const one of [service, root]) mkdirSync(one, { mode: 0o700 });
  store = join(service, "state.db");
  if (isRoot) chownSync(service, SERVICE, SERVICE);
});
afterEach(() => rmSync(directory, { recursive: true }));

/** A database with a session in it, as the service leaves it. */
function makeStore(path: string, email: string, owner = SERVICE): void {
  const stores = openSqliteStore({ path, clock: systemClock, log: SILENT });
  const now = Date.now();
  const session = { email, createdAt: now, seenAt: now, ip: "192.0.2.1", userAgent: "", seal: "" };
  void stores.records(SESSIONS).add("s", session, now + 3_600_000);
  void stores.close();
  chownSync(path, owner, owner);
}

async function cli(...args: string[]) {
  const ran = startProcess(
    runegate(...args),
    {
      RUNEGATE_STORE: `sqlite:${store}`,
      RUNEGATE_CONTROL_SOCKET: join(service, "control.sock"),
      RUNEGATE_ALLOW_ANY_EMAIL: "true",
    },
    directory,
  );
  const code = await ran.exited;
  return { code, said: ran.output() };
}

/** Every file below a directory with its owner, for comparison. */
function owners(below: string): Record<string, number> {
  return Object.fromEntries(readdirSync(below).map((name) => [name, lstatSync(join(below, name)).uid]));
}

describe.skipIf(!isRoot)("the owner of a path is", () => {
  test.each<[what: string, path: () => string, uid: number | undefined]>([
    ["nobody where all of it is root's", () => join(root, "x"), undefined],
    ["the owner of a directory on the way", () => join(service, "deep", "x"), SERVICE],
    ["the owner of the file", () => join(root, "theirs"), SERVICE],
    ["the owner of what root's link leads to", () => join(root, "link", "x"), SERVICE],
    ["the owner of a link, wherever it leads", () => join(directory, "their-link", "x"), SERVICE],
  ])("%s", (_, path, uid) => {
    writeFileSync(join(root, "theirs"), "");
    chownSync(join(root, "theirs"), SERVICE, SERVICE);
    symlinkSync(service, join(root, "link"));
    asOwnerOf(service, () => symlinkSync(root, join(service, "out")));
    Bun.spawnSync(["ln", "-s", root, join(directory, "their-link")]);
    Bun.spawnSync(["chown", "-h", String(SERVICE), join(directory, "their-link")]);
    expect(ownerOf(path())?.uid).toBe(uid);
  });

  test("no end to links is an error", () => {
    symlinkSync(join(root, "b"), join(root, "a"));
    symlinkSync(join(root, "a"), join(root, "b"));
    expect(() => ownerOf(join(root, "a"))).toThrow("too many links");
  });

  test("whose rights are given back, whatever comes of the work", async () => {
    const ids = () => [process.geteuid?.(), process.getegid?.(), process.getgroups?.()];
    const before = ids();
    const seen: unknown[] = [];
    asOwnerOf(store, () => seen.push(...ids()));
    expect(seen).toEqual([SERVICE, SERVICE, [SERVICE]]);
    expect(ids()).toEqual(before);
    const failing = () => {
      throw new Error("failed");
    };
    expect(() => asOwnerOf(store, failing)).toThrow("failed");
    expect(ids()).toEqual(before);
    await expect(asOwnerOf(store, async () => failing())).rejects.toThrow("failed");
    expect(ids()).toEqual(before);
  });
});

describe.skipIf(!isRoot)("runegate sessions, while no instance runs,", () => {
  test("works on the service's store, and leaves it no file that is root's", async () => {
    makeStore(store, "ada@example.org");
    expect((await cli("sessions")).said).toContain("ada@example.org");
    // What a service that was killed leaves behind is taken up and left behind again.
    expect((await cli("sessions", "revoke", "ada@example.org")).said).toContain("1 session ended.");
    expect(owners(service)).toEqual({ "state.db": SERVICE });
  });

  test("and runegate store copies to a file of the service's, and none of root's", async () => {
    makeStore(store, "ada@example.org");
    const other = join(service, "other.db");
    expect(await cli("store", "copy", "RUNEGATE_STORE", `sqlite:${other}`)).toMatchObject({ code: 0 });
    expect(owners(service)).toEqual({ "state.db": SERVICE, "other.db": SERVICE });
    expect(lstatSync(other).mode & 0o777).toBe(0o600);
    const apart = await cli("store", "copy", "RUNEGATE_STORE", `sqlite:${join(root, "x.db")}`);
    expect(apart).toMatchObject({ code: 1, said: expect.stringContaining("belong to different users") });
    const secret = join(root, "secret.db");
    makeStore(secret, "boss@example.org", 0);
    symlinkSync(secret, join(service, "link.db"));
    const before = readFileSync(secret);
    for (const words of [
      ["copy", `sqlite:${join(service, "link.db")}`, `sqlite:${join(service, "new.db")}`],
      ["copy", "--replace", "RUNEGATE_STORE", `sqlite:${join(service, "link.db")}`],
      ["check", `sqlite:${join(service, "link.db")}`],
    ])
      expect(await cli("store", ...words)).toMatchObject({
        code: 1,
        said: expect.not.stringContaining("boss"),
      });
    expect(readFileSync(secret)).toEqual(before);
  });

  test("follows no link to a database of root's", async () => {
    const secret = join(root, "secret.db");
    makeStore(secret, "boss@example.org", 0);
    const before = readFileSync(secret);
    symlinkSync(secret, store);
    for (const args of [["sessions"], ["users"], ["sessions", "revoke", "--all"], ["check", "--online"]]) {
      const { said } = await cli(...args);
      expect(said).not.toContain("boss");
      expect(said).not.toContain("can be read and written");
    }
    expect(readFileSync(secret)).toEqual(before);
    expect(readdirSync(root)).toEqual(["secret.db"]);
  });

  test.each(["-wal", "-shm"])("changes nothing where state.db%s leads to", async (suffix) => {
    makeStore(store, "ada@example.org");
    const victim = join(root, "victim");
    writeFileSync(victim, "precious", { mode: 0o644 });
    chmodSync(victim, 0o644);
    symlinkSync(victim, store + suffix);
    await cli("sessions");
    await cli("check", "--online");
    expect([readFileSync(victim, "utf8"), (lstatSync(victim).mode & 0o777).toString(8)]).toEqual([
      "precious",
      "644",
    ]);
  });
});

describe.skipIf(!isRoot)("runegate backup", () => {
  test("of the service's store goes to root's directory, and leaves nothing behind", async () => {
    makeStore(store, "ada@example.org");
    const file = join(root, "backup.db");
    expect(await cli("backup", file)).toMatchObject({ code: 0, said: expect.stringContaining("sessions 1") });
    const { uid, mode } = lstatSync(file);
    expect([uid, (mode & 0o777).toString(8)]).toEqual([0, "600"]);
    const backup = new Database(file, { readonly: true });
    expect(backup.query("SELECT body ->> 'email' AS email FROM records_session").all()).toEqual([
      { email: "ada@example.org" },
    ]);
    backup.close();
    expect(owners(service)).toEqual({ "state.db": SERVICE });
    expect(readdirSync(root)).toEqual(["backup.db"]);
  });

  test("within the service's directory is the service's", async () => {
    makeStore(store, "ada@example.org");
    expect((await cli("backup", join(service, "backup.db"))).code).toBe(0);
    expect(owners(service)).toEqual({ "backup.db": SERVICE, "state.db": SERVICE });
  });

  test("reads no database of root's through a link", async () => {
    const secret = join(root, "secret.db");
    makeStore(secret, "boss@example.org", 0);
    symlinkSync(secret, store);
    expect((await cli("backup", join(directory, "backup.db"))).code).toBe(1);
    expect(existsSync(join(directory, "backup.db"))).toBe(false);
  });

  test.each([
    ["file", "backup.db"],
    ["directory", "out/backup.db"],
  ])("writes nothing through a %s that is a link", async (_, name) => {
    makeStore(store, "ada@example.org");
    symlinkSync(join(root, "made.db"), join(service, "backup.db"));
    symlinkSync(root, join(service, "out"));
    expect((await cli("backup", join(service, name))).code).toBe(1);
    expect(readdirSync(root)).toEqual([]);
  });
});

describe.skipIf(!isRoot)("runegate secrets", () => {
  test("adds nothing to a file of root's that a link of the service's leads to", async () => {
    const victim = join(root, "shadow");
    writeFileSync(victim, "A=b\n", { mode: 0o600 });
    symlinkSync(victim, join(service, "runegate.env"));
    expect((await cli("secrets", "--env-file", join(service, "runegate.env"))).code).toBe(1);
    expect(readFileSync(victim, "utf8")).toBe("A=b\n");
  });

  test("keeps a file of the service's the service's, and makes one that is", async () => {
    for (const there of [true, false]) {
      const file = join(service, there ? "there.env" : "new.env");
      if (there) asOwnerOf(service, () => writeFileSync(file, "A=b\n", { mode: 0o600 }));
      expect((await cli("secrets", "--env-file", file)).code).toBe(0);
      const { uid, mode } = lstatSync(file);
      expect([uid, (mode & 0o777).toString(8)]).toEqual([SERVICE, "600"]);
    }
  });

  test("follows root's own links, as from /etc to another disk", async () => {
    writeFileSync(join(root, "real.env"), "A=b\n", { mode: 0o640 });
    symlinkSync(join(root, "real.env"), join(root, "link.env"));
    expect((await cli("secrets", "--env-file", join(root, "link.env"))).code).toBe(0);
    expect(lstatSync(join(root, "link.env")).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(root, "real.env"), "utf8")).toContain("RUNEGATE_SESSION_KEY=");
  });
});

describe.skipIf(!isRoot)("the control socket", () => {
  test("that is a link is not asked, wherever it leads", async () => {
    makeStore(store, "ada@example.org");
    let asked = 0;
    const other = createServer((socket) => {
      asked++;
      socket.end("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]");
    });
    await new Promise<void>((resolve) => other.listen(join(root, "docker.sock"), resolve));
    try {
      symlinkSync(join(root, "docker.sock"), join(service, "control.sock"));
      for (const args of [
        ["sessions"],
        ["users"],
        ["link", "ada@example.org"],
        ["sessions", "revoke", "--all"],
      ]) {
        await cli(...args);
      }
      expect(asked).toBe(0);
    } finally {
      other.close();
    }
  });
});
