import { afterEach, beforeEach, describe, expect, test } from "bun:test";
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
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bindUnixSocket, removeStaleSocket } from "../../src/net/unix-socket.ts";
import { needs } from "../support/needs.ts";
import { leaveStaleSocket } from "../support/stale-socket.ts";

const python = needs("python3");

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "runegate-unix-"));
  path = join(directory, "http.sock");
});
afterEach(() => rmSync(directory, { recursive: true }));

const serve = (unix: string) => Bun.serve({ unix, fetch: () => new Response("here") });
const ask = async () => (await fetch("http://x/", { unix: path } as RequestInit)).text();
const modeOf = (of: string) => (lstatSync(of).mode & 0o777).toString(8);
const ROOT = process.getuid?.() === 0;

describe("a socket gets its name", () => {
  test.each([0o600, 0o660, 0o666])("with mode %o, and is nobody else's before", async (mode) => {
    const umask = process.umask(0);
    try {
      const seen: unknown[] = [];
      const { server, release } = bindUnixSocket(path, { mode }, (hidden) => {
        const bound = serve(hidden);
        seen.push(modeOf(hidden), existsSync(path));
        return bound;
      });
      expect(seen).toEqual(["600", false]);
      expect(modeOf(path)).toBe(mode.toString(8));
      expect(process.umask()).toBe(0);
      expect(readdirSync(directory)).toEqual(["http.sock"]);
      expect(await ask()).toBe("here");
      release();
      await server.stop(true);
      expect(readdirSync(directory)).toEqual([]);
    } finally {
      process.umask(umask);
    }
  });

  test.skipIf(!ROOT).each([
    ["a number", "54321", 54321],
    ["a name", "daemon", 1],
  ])("and its group by %s", async (_, group, gid) => {
    const { server } = bindUnixSocket(path, { mode: 0o660, group }, serve);
    expect([lstatSync(path).gid, lstatSync(path).uid, modeOf(path)]).toEqual([gid, 0, "660"]);
    await server.stop(true);
  });

  test.skipIf(!ROOT)("and otherwise the group that its directory passes on", async () => {
    chownSync(directory, 0, 54321);
    chmodSync(directory, 0o2750);
    const { server } = bindUnixSocket(path, { mode: 0o660 }, serve);
    expect([lstatSync(path).gid, modeOf(path)]).toEqual([54321, "660"]);
    await server.stop(true);
  });

  test("not of a group that there is not, and nothing is left behind", () => {
    const begin = () => bindUnixSocket(path, { mode: 0o660, group: "no-such-group" }, serve);
    expect(begin).toThrow("there is no group no-such-group");
    expect(readdirSync(directory)).toEqual([]);
  });

  test("not where something has taken it meanwhile, which stays", async () => {
    const precious = (hidden: string) => {
      writeFileSync(path, "precious");
      return serve(hidden);
    };
    expect(() => bindUnixSocket(path, { mode: 0o600 }, precious)).toThrow("has just taken the name");
    await Bun.sleep(0);
    expect(readdirSync(directory)).toEqual(["http.sock"]);
    expect(readFileSync(path, "utf8")).toBe("precious");
  });

  test("not if it cannot be bound, and the umask is as it was", () => {
    const umask = process.umask();
    const broken = () => {
      throw new Error("broken");
    };
    expect(() => bindUnixSocket(path, { mode: 0o600 }, broken)).toThrow("broken");
    expect(process.umask()).toBe(umask);
  });

  test("and what has the name at the end is removed only if it is still that socket", async () => {
    const { server, release } = bindUnixSocket(path, { mode: 0o600 }, serve);
    rmSync(path);
    writeFileSync(path, "precious");
    release();
    await server.stop(true);
    expect(readFileSync(path, "utf8")).toBe("precious");
  });
});

describe("what has the name already", () => {
  test("is removed if it is the socket of a process that was killed", async () => {
    leaveStaleSocket(path);
    await removeStaleSocket(path);
    expect(existsSync(path)).toBe(false);
    await removeStaleSocket(path);
  });

  test("stays if somebody listens there", async () => {
    const { server } = bindUnixSocket(path, { mode: 0o600 }, serve);
    await expect(removeStaleSocket(path)).rejects.toThrow(`another instance listens on ${path}`);
    expect(await ask()).toBe("here");
    await server.stop(true);
  });

  test.skipIf(python === undefined)("stays if somebody listens who is too busy to answer", async () => {
    // Never accepted from, with a queue of one: whoever connects next is told to try again.
    const busy = `
      import socket, sys, time
      s = socket.socket(socket.AF_UNIX); s.bind(${JSON.stringify(path)}); s.listen(0)
      c = []
      for i in range(3):
          k = socket.socket(socket.AF_UNIX); k.setblocking(False)
          try: k.connect(${JSON.stringify(path)})
          except BlockingIOError: pass
          c.append(k)
      print("full", flush=True)
      time.sleep(20)`.replaceAll("\n      ", "\n");
    const child = Bun.spawn([python ?? "", "-c", busy], { stdout: "pipe" });
    try {
      const { value } = await child.stdout.getReader().read();
      expect(Buffer.from(value ?? []).toString()).toStartWith("full");
      await expect(removeStaleSocket(path)).rejects.toThrow("another instance listens");
      expect(lstatSync(path).isSocket()).toBe(true);
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
  });

  test.each([
    ["a file", (at: string) => writeFileSync(at, "precious")],
    ["a directory", (at: string) => mkdirSync(at)],
    ["a link to a file", (at: string) => symlinkSync("/etc/hostname", at)],
    ["a link to nowhere", (at: string) => symlinkSync("/nonexistent/x", at)],
  ])("stays if it is %s", async (_, put) => {
    put(path);
    const { ino } = lstatSync(path);
    await expect(removeStaleSocket(path)).rejects.toThrow("no socket");
    expect(lstatSync(path).ino).toBe(ino);
  });

  test("stays if it is a link to a socket, stale or not", async () => {
    const elsewhere = join(directory, "elsewhere.sock");
    leaveStaleSocket(elsewhere);
    symlinkSync(elsewhere, path);
    await expect(removeStaleSocket(path)).rejects.toThrow("no socket");
    expect([lstatSync(path).isSymbolicLink(), lstatSync(elsewhere).isSocket()]).toEqual([true, true]);
  });
});
