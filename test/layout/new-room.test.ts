import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  cpSync,
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
import { freePort, type RunningProcess, startProcess } from "../support/process.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

/**
 * A capability is one folder, one line in `server.ts` and one in `config/options.ts`: a room that is in `guestbook/` beside this
 * file, with an option, a kind of record, a route, a part of the account page and a way to prove who one is, is added to a copy of the source, which then
 * runs. If it needs a third place, a wall stands wrong.
 */

const root = join(import.meta.dir, "../..");
const WORD = "open-sesame";
let copy = "";
let upstream: Upstream;
let running: RunningProcess | undefined;

/** Adds a line before the one that `end` begins with and, at the top, what that line imports. */
function addLine(path: string, importLine: string, line: string, end: string): void {
  const file = join(copy, "src", path);
  const before = readFileSync(file, "utf8");
  expect(before.split(end)).toHaveLength(2);
  writeFileSync(file, `${importLine}\n${before.replace(end, () => `${line}\n${end}`)}`);
}

beforeAll(async () => {
  copy = mkdtempSync(join(tmpdir(), "runegate-room-"));
  for (const part of ["src", "static", "deploy", "package.json", "tsconfig.json", "bunfig.toml"]) {
    cpSync(join(root, part), join(copy, part), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));

  mkdirSync(join(copy, "src/guestbook"));
  const room = join(import.meta.dir, "guestbook");
  for (const name of readdirSync(room)) {
    cpSync(join(room, name), join(copy, "src/guestbook", name.replace(/\.txt$/, "")));
  }
  addLine(
    "server.ts",
    'import { guestbookRoom } from "./guestbook/routes.ts";',
    "    guestbookRoom(house),",
    "  ];\n  return rooms;\n}\n\nexport type GatewaySettings",
  );
  addLine(
    "config/options.ts",
    'import { GUESTBOOK_OPTIONS } from "../guestbook/options.ts";',
    "  Guestbook: GUESTBOOK_OPTIONS,",
    "} satisfies Readonly<Record<string, Declaration>>;",
  );
  upstream = await startUpstream();
});

afterAll(async () => {
  await stop();
  upstream.stop();
  rmSync(copy, { recursive: true });
});

async function stop(): Promise<void> {
  running?.signal("SIGTERM");
  await running?.exited;
  running = undefined;
}

/** Starts the copy, on a database that stays. @returns where it is. */
async function serve(env: Readonly<Record<string, string>> = {}): Promise<string> {
  await stop();
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  running = startProcess(
    [process.execPath, join(copy, "src/main.ts"), "serve"],
    {
      RUNEGATE_LISTEN: `127.0.0.1:${port}`,
      RUNEGATE_BASE_URL: url,
      RUNEGATE_TARGET_SERVICE: upstream.url,
      RUNEGATE_ALLOW_ANY_EMAIL: "true",
      RUNEGATE_CONTROL_SOCKET: "off",
      RUNEGATE_STORE: `sqlite:${join(copy, "runegate.db")}`,
      RUNEGATE_GUESTBOOK: WORD,
      ...env,
    },
    copy,
  );
  await running.waitFor(/listening/);
  return url;
}

/** Runs a program to its end. */
async function run(command: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = startProcess([process.execPath, ...command], env, copy);
  return { code: await child.exited, output: child.output() };
}

const asGuest = { "X-Runegate-Guestbook": WORD };

test("its types fit", async () => {
  expect(await run(["check", "--no-script"])).toMatchObject({ code: 0 });
  // And they are looked at: the room reads an option that is of nobody else.
  const options = join(copy, "src/guestbook/options.ts");
  const right = readFileSync(options, "utf8");
  writeFileSync(options, right.replace("  guestbook: {", "  guestbooks: {"));
  const { code, output } = await run(["check", "--no-script"]);
  writeFileSync(options, right);
  expect({ code, output }).toEqual({ code: 1, output: expect.stringContaining("'guestbook'") });
});

test("the layout holds, for a room that no list names, and no other may use it", async () => {
  const check = [join(root, ".ci/imports.ts"), join(copy, "src")];
  expect(await run(check)).toEqual({ code: 0, output: "The layout of src holds.\n" });
  const planted = join(copy, "src/debug/planted.ts");
  writeFileSync(planted, 'import { guestbookRoom } from "../guestbook/routes.ts";\nguestbookRoom;\n');
  const { code, output } = await run(check);
  rmSync(planted);
  const breach = "debug/planted.ts imports guestbook/routes.ts, which lies above it";
  expect({ code, output }).toEqual({ code: 1, output: expect.stringContaining(breach) });
});

test("its option is shown, explained, masked and checked like any other", async () => {
  const config = [join(copy, "src/main.ts"), "config"];
  const { output } = await run(config, { RUNEGATE_GUESTBOOK: WORD });
  expect(output).toMatch(/^RUNEGATE_GUESTBOOK/m);
  expect(output).toContain("The word by which guests are let in");
  expect(output).not.toContain(WORD);
  const wrong = await run(config, { RUNEGATE_GUESTBOOK: "short" });
  expect(wrong.output).toContain("RUNEGATE_GUESTBOOK is too short a word");
});

test("its route answers and keeps what it is told, restarts included", async () => {
  const guestbook = async () => `${await serve()}/_runegate/guestbook`;
  const first = await guestbook();
  expect((await fetch(first)).status).toBe(401);
  const written = await fetch(first, {
    method: "POST",
    headers: { ...asGuest, "Content-Type": "application/json" },
    body: JSON.stringify({ text: "What a nice house" }),
  });
  expect(written.status).toBe(201);
  const entries = [{ author: "service:guest", text: "What a nice house", writtenAt: expect.any(Number) }];
  expect(await (await fetch(first, { headers: asGuest })).json()).toEqual({ entries });
  expect(await (await fetch(await guestbook(), { headers: asGuest })).json()).toEqual({ entries });
});

test("its part of the account page is shown to whoever has a session", async () => {
  const url = await serve();
  const json = { "Content-Type": "application/json" };
  const body = JSON.stringify({ email: "ada@example.org" });
  const asked = await fetch(`${url}/_runegate/login`, { method: "POST", headers: json, body });
  const cookie = asked.headers.getSetCookie()[0]?.split(";", 1)[0] ?? "";
  // Without a mail server, mail is shown in the terminal.
  const [link = ""] = (await running?.waitFor(/https?:\/\/\S+token=\S+/)) ?? [];
  const signedIn = await fetch(link, { redirect: "manual", headers: { Cookie: cookie } });
  const headers = { Cookie: signedIn.headers.getSetCookie()[0]?.split(";", 1)[0] ?? "" };
  const html = await (await fetch(`${url}/_runegate/account`, { headers })).text();
  expect(html).toContain('<h2 id="guestbook-heading">Guestbook</h2>');
  expect(html).toContain("<p>1 entries, ada@example.org</p>");
});

test("its proof lets a request through to the application, and a wrong one does not", async () => {
  const url = await serve();
  const allowed = await fetch(`${url}/as-guest`, { headers: asGuest });
  expect(allowed.status).toBe(200);
  const [received] = upstream.to("/as-guest");
  expect(received?.one("x-runegate-authenticated")).toBe("true");
  expect(received?.one("x-runegate-user")).toBe("service:guest");
  expect(received?.one("x-runegate-guestbook")).toBeUndefined();

  for (const headers of [{ "X-Runegate-Guestbook": "open-barley" }, {}]) {
    expect((await fetch(`${url}/refused`, { headers })).status).toBe(401);
  }
  expect(upstream.to("/refused")).toEqual([]);
});

test("left off, it is not there", async () => {
  const url = await serve({ RUNEGATE_GUESTBOOK: "" });
  expect((await fetch(`${url}/_runegate/guestbook`, { headers: asGuest })).status).toBe(404);
  expect((await fetch(`${url}/off`, { headers: asGuest })).status).toBe(401);
});
