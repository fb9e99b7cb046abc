import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ControlError, connectControl } from "../../src/control/client.ts";
import { startControl } from "../../src/control/server.ts";
import { auditOf } from "../login/support.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { leaveStaleSocket } from "../support/stale-socket.ts";

/** The socket that the command line reaches a running instance by: whose it is, and what is never done to it. */

let directory: string;
let path: string;
let gateway: TestGateway;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "runegate-socket-"));
  path = join(directory, "run", "control.sock");
  gateway = await startGateway({
    env: {
      RUNEGATE_ALLOW_ANY_EMAIL: "false",
      RUNEGATE_ALLOWED_DOMAINS: "example.org",
      RUNEGATE_LOG_FORMAT: "json",
    },
  });
});
afterEach(async () => {
  await gateway.stop();
  rmSync(directory, { recursive: true });
});

function start(at = path, of = gateway) {
  return startControl(at, of.gateway.answer);
}

const mode = (of: string) => (lstatSync(of).mode & 0o777).toString(8);

describe("the socket", () => {
  test("is its owner's alone, in a directory that is too, and is gone afterwards", async () => {
    const before = process.umask();
    const control = await start();
    expect([mode(path), mode(join(directory, "run"))]).toEqual(["600", "700"]);
    expect(process.umask()).toBe(before);
    await control.stop();
    expect(existsSync(path)).toBe(false);
  });

  test("left behind by a process that was killed is replaced", async () => {
    mkdirSync(join(directory, "run"), { mode: 0o700 });
    leaveStaleSocket(path);
    const control = await start();
    expect(await connectControl(path).sessions()).toEqual([]);
    await control.stop();
  });

  test("of another instance that answers is left to it", async () => {
    const first = await start();
    await expect(start()).rejects.toThrow("another instance");
    expect(await connectControl(path).sessions()).toEqual([]);
    await first.stop();
    await (await start()).stop();
  });

  test("of two instances with a path each serves each", async () => {
    const other = await startGateway();
    const [one, two] = [await start(), await start(join(directory, "run", "other.sock"), other)];
    await gateway.signIn("ada@example.org");
    expect((await connectControl(path).sessions()).map(({ email }) => email)).toEqual(["ada@example.org"]);
    expect(await connectControl(join(directory, "run", "other.sock")).sessions()).toEqual([]);
    await one.stop();
    await two.stop();
    await other.stop();
  });

  test.each([
    ["a file", (at: string) => writeFileSync(at, "precious")],
    ["a directory", (at: string) => mkdirSync(at)],
    ["a link to a file", (at: string) => symlinkSync("/etc/hostname", at)],
    ["a link to nowhere", (at: string) => symlinkSync("/nonexistent/x", at)],
  ])("is refused where %s has its name, which stays as it is", async (_, put) => {
    mkdirSync(join(directory, "run"), { mode: 0o700 });
    put(path);
    const there = lstatSync(path);
    const before = process.umask();
    await expect(start()).rejects.toThrow("no socket");
    expect(process.umask()).toBe(before);
    expect([lstatSync(path).ino, lstatSync(path).mode]).toEqual([there.ino, there.mode]);
  });

  test("that somebody replaced by a file meanwhile is not removed at the end", async () => {
    const control = await start();
    rmSync(path);
    writeFileSync(path, "precious");
    await control.stop();
    expect(readFileSync(path, "utf8")).toBe("precious");
  });

  test.each([
    ["others may write to", 0o777],
    ["its group may write to", 0o770],
  ])("is refused in a directory that %s", async (_, open) => {
    mkdirSync(join(directory, "run"));
    chmodSync(join(directory, "run"), open);
    await expect(start()).rejects.toThrow("others may write");
  });

  test("is refused in a directory that is a link", async () => {
    mkdirSync(join(directory, "real"), { mode: 0o700 });
    symlinkSync(join(directory, "real"), join(directory, "run"));
    await expect(start()).rejects.toThrow();
  });
});

describe("over it", () => {
  test("sessions are listed without what could open one", async () => {
    const control = await start();
    const cookie = await gateway.signIn("ada@example.org");
    const [listed, ...more] = await connectControl(path).sessions();
    expect(more).toEqual([]);
    expect(listed).toEqual({
      id: expect.stringMatching(/^[\w-]{12}$/),
      email: "ada@example.org",
      created_at: expect.stringMatching(/^20\d\d-.*Z$/),
      seen_at: expect.any(String),
      expires_at: expect.any(String),
      ip: "127.0.0.1",
      user_agent: expect.any(String),
    });
    expect(JSON.stringify(listed)).not.toContain(cookie.slice("runegate_id=".length));
    await control.stop();
  });

  test("sessions are revoked by id, by address and all, each with its audit event", async () => {
    const control = await start();
    const client = connectControl(path);
    const enters = async (cookie: string) =>
      (
        (await (await fetch(`${gateway.url}/_runegate/session`, { headers: { Cookie: cookie } })).json()) as {
          authenticated: boolean;
        }
      ).authenticated;
    const [ada, bob, bobAgain, eve, eveAgain] = [
      await gateway.signIn("ada@example.org"),
      await gateway.signIn("bob@example.org"),
      await gateway.signIn("bob@example.org"),
      await gateway.signIn("eve@example.org"),
      await gateway.signIn("eve@example.org"),
    ];
    const id = (await client.sessions()).find(({ email }) => email === "ada@example.org")?.id ?? "";
    expect(await client.revoke({ id })).toBe(1);
    expect(await client.revoke({ id })).toBe(0);
    expect(await client.revoke({ email: "BOB@example.org" })).toBe(2);
    expect(await Promise.all([ada, bob, bobAgain, eve, eveAgain].map(enters))).toEqual([
      false,
      false,
      false,
      true,
      true,
    ]);
    await expect(client.revoke({ id: "" })).rejects.toThrow(ControlError);
    await expect(client.revoke({ email: "nobody" })).rejects.toThrow(ControlError);
    expect(await enters(eve)).toBe(true);
    expect(await client.revoke({ all: true })).toBe(2);
    expect(await client.sessions()).toEqual([]);
    expect(
      auditOf(gateway)
        .filter(({ event }) => event === "session_revoked")
        .map(({ email, by }) => [email, by]),
    ).toEqual([
      ["ada@example.org", "operator"],
      ["bob@example.org", "operator"],
      ["bob@example.org", "operator"],
      ["eve@example.org", "operator"],
      ["eve@example.org", "operator"],
    ]);
    await control.stop();
  });

  test("a link is given for an address that may sign in, and for no other", async () => {
    const control = await start();
    const client = connectControl(path);
    const { link } = await client.link({ email: "Ada@Example.org" });
    expect(link).toStartWith(`${gateway.url}/_runegate/auth?token=`);
    // Tied to no browser, so it always asks.
    const page = await fetch(link, { redirect: "manual" });
    expect([page.status, (await page.text()).includes("the operator of this server")]).toEqual([200, true]);
    await expect(client.link({ email: "eve@evil.example" })).rejects.toThrow("may not sign in");
    await expect(client.link({ email: "not an address" })).rejects.toThrow(ControlError);
    await control.stop();
  });

  test("nothing else is answered, and errors name what is wrong", async () => {
    const control = await start();
    const ask = (route: string, init: RequestInit = {}) =>
      fetch(`http://x${route}`, { unix: path, ...init } as RequestInit);
    for (const [route, init] of [
      ["/", {}],
      ["/sessions", { method: "POST" }],
      ["/link", {}],
      ["/revoke", { method: "DELETE" }],
      ["/_runegate/session", {}],
    ] as const) {
      expect((await ask(route, init)).status).toBe(404);
    }
    expect((await ask("/revoke", { method: "POST", body: "{" })).status).toBeGreaterThanOrEqual(400);
    await control.stop();
    await expect(connectControl(path).sessions()).rejects.toThrow("No running instance answers");
  });
});

test("a server that is no Runegate is told apart from none", async () => {
  mkdirSync(join(directory, "run"), { mode: 0o700 });
  const other: Server = createServer((socket) =>
    socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
  );
  await new Promise<void>((resolve) => other.listen(path, resolve));
  try {
    await expect(connectControl(path).sessions()).rejects.toThrow(ControlError);
  } finally {
    other.close();
  }
});

describe("the control socket's caller", () => {
  test("believes no socket in a directory that others may write to", async () => {
    const open = join(mkdtempSync(join(tmpdir(), "runegate-open-")), "run");
    mkdirSync(open);
    chmodSync(open, 0o777);
    const liar = Bun.serve({
      unix: join(open, "control.sock"),
      fetch: () => Response.json({ link: "https://evil.example/" }),
    });
    expect(connectControl(join(open, "control.sock")).link({ email: "ada@example.org" })).rejects.toThrow(
      "others may write",
    );
    await liar.stop(true);
  });
});
