import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import jsQr from "jsqr";
import {
  type Environment,
  environment,
  freePort,
  isSignedIn,
  type Place,
  REPOSITORY,
  type Running,
  run,
  runegate,
  signInWith,
  temporaryPlace,
} from "./support.ts";

/** `runegate link` against a running instance: as a QR code, and for several uses. */

setDefaultTimeout(30_000);

const ADA = "ada@example.org";

let place: Place;
let env: Environment;
let gateway: Running;

beforeAll(async () => {
  place = temporaryPlace();
  env = environment(place, await freePort(), { RUNEGATE_MULTI_USE_LINKS: "true" });
  gateway = await run([join(REPOSITORY, "src/main.ts")], env, place.directory);
});
afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
  place[Symbol.dispose]();
});

const cli = (...args: string[]) => runegate(args, env, place.directory);

/** The same on a terminal of so many columns, and what is written there. */
async function onTerminal(columns: number, more: Environment, ...args: string[]): Promise<string> {
  let written = "";
  const decoder = new TextDecoder();
  const child = Bun.spawn([process.execPath, join(REPOSITORY, "src/main.ts"), ...args], {
    env: { ...env, TERM: "xterm-256color", ...more },
    cwd: place.directory,
    terminal: {
      ...{ cols: columns, rows: 60 },
      data(_, bytes) {
        written += decoder.decode(bytes, { stream: true });
      },
    },
  });
  expect(await child.exited).toBe(0);
  child.terminal?.close();
  return written.replaceAll("\r\n", "\n");
}

/** Half blocks as a camera sees them, black on white. */
function scan(lines: readonly string[]): string {
  const scale = 4;
  const [columns, rows] = [lines[0]?.length ?? 0, lines.length * 2];
  const [width, height] = [(columns + 8) * scale, (rows + 8) * scale];
  const pixels = new Uint8ClampedArray(width * height * 4).fill(255);
  const paint = (x: number, y: number) => {
    for (let row = 0; row < scale; row++) {
      const at = (((y + 4) * scale + row) * width + (x + 4) * scale) * 4;
      for (let column = 0; column < scale; column++) pixels.fill(0, at + column * 4, at + column * 4 + 3);
    }
  };
  for (const [row, line] of lines.entries()) {
    for (const [x, block] of [...line].entries()) {
      if ("▀█".includes(block)) paint(x, 2 * row);
      if ("▄█".includes(block)) paint(x, 2 * row + 1);
    }
  }
  return jsQr(pixels, width, height)?.data ?? "";
}

const COLORS = "\x1b[38;5;16;48;5;231m";

describe("a link as a QR code", () => {
  test("on a terminal is black on white, whatever its theme, and leads where the link does", async () => {
    const [link = "", ...lines] = (await onTerminal(100, {}, "link", "--qr", ADA)).trimEnd().split("\n");
    expect(link).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/_runegate\/auth\?token=[\w.-]+$/);
    for (const line of lines) {
      expect(line.startsWith(COLORS)).toBe(true);
      expect(line.endsWith("\x1b[0m")).toBe(true);
    }
    expect(scan(lines.map((line) => line.slice(COLORS.length, -4)))).toBe(link);
    expect(await isSignedIn(gateway.url, await signInWith(link))).toBe(true);
  });

  test.each([
    ["that may have no colors", () => onTerminal(100, { NO_COLOR: "1" }, "link", "--qr", ADA)],
    ["that is none, but a pipe", async () => (await cli("link", "--qr", ADA)).out],
  ])("on one %s is blocks alone", async (_, print) => {
    const text = await print();
    expect(text).not.toContain("\x1b");
    const [link = "", ...lines] = text.trimEnd().split("\n");
    const widest = Math.max(...lines.map((line) => line.length)) + 2;
    expect(scan(lines.map((line) => line.padEnd(widest)))).toBe(link);
  });

  test("on a terminal that is too narrow for it says so, and is the link alone", async () => {
    const text = await onTerminal(60, {}, "link", "--qr", ADA);
    // Bun colors what goes to standard error.
    const plain = Bun.stripANSI(text);
    expect(plain.trimEnd().split("\n")).toEqual([
      expect.stringContaining("/auth?token="),
      expect.stringMatching(/^The QR code needs \d\d columns, and this terminal has 60\.$/),
    ]);
  });

  test("in JSON is the link alone", async () => {
    expect(JSON.parse((await cli("link", "--qr", "--json", ADA)).out)).toEqual({
      link: expect.stringContaining("/auth?token="),
    });
  });
});

describe("a link for several uses", () => {
  test("is printed, listed with how often it was used, and revoked", async () => {
    expect(await cli("link", "list")).toEqual({
      code: 0,
      out: "There are no links for several uses.",
      err: "",
    });
    const made = JSON.parse((await cli("link", ADA, "--uses", "3", "--ttl", "8h", "--json")).out);
    expect(made).toEqual({
      link: expect.any(String),
      id: expect.stringMatching(/^[\w-]{22}$/),
      expires_at: expect.stringMatching(/^20/),
    });
    for (let n = 0; n < 2; n++) expect(await isSignedIn(gateway.url, await signInWith(made.link))).toBe(true);
    const [, row = ""] = (await cli("link", "list")).out.split("\n");
    expect(row).toMatch(/^[\w-]{22} +ada@example\.org +2 of 3 +20[^ ]+ [^ ]+ +20/);
    expect(await cli("link", "revoke", "--", made.id)).toEqual({
      ...{ code: 0, out: "The link is revoked.", err: "" },
    });
    await expect(signInWith(made.link)).rejects.toThrow("401");
    expect((await cli("link", "revoke", "--", made.id)).err).toContain("There is no link");
    await gateway.saw("link_revoked");
    // Their sessions go on.
    expect(JSON.parse((await cli("sessions", "--json")).out).length).toBeGreaterThanOrEqual(2);
  });

  test.each([
    [["link", ADA, "--uses", "21"], 64, "from 1 to 20"],
    [["link", ADA, "--uses", "many"], 64, "from 1 to 20"],
    [["link", ADA, "--ttl", "8h"], 64, "--uses"],
    [["link", ADA, "--uses", "2", "--ttl", "30d"], 1, "out of range"],
    [["link", ADA, "--route", "attic"], 1, "no application attic"],
    [["link", "list", "--qr"], 64, "takes no --qr"],
    [["link", "list", "more"], 64, "one address"],
    [["link", "revoke"], 64, "one address"],
  ])("is refused: %p", async (args, code, words) => {
    const outcome = await cli(...args);
    expect([outcome.code, outcome.err]).toEqual([code, expect.stringContaining(words)]);
  });
});
