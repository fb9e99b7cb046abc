import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The check of the layout of `src`, on a copy of it where something forbidden is planted. */

const root = join(import.meta.dir, "../..");
let folder = "";
let src = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "runegate-layout-"));
  src = join(folder, "src");
  cpSync(join(root, "src"), src, { recursive: true });
});
afterAll(() => rmSync(folder, { recursive: true }));

type Files = Readonly<Record<string, string>>;

/** Adds files to the copy, runs the check, and takes them away again. */
async function check(planted: Files) {
  const paths = Object.keys(planted).map((path) => join(src, path));
  for (const [path, text] of Object.entries(planted)) {
    writeFileSync(join(src, path), text, { flag: "wx" });
  }
  try {
    const script = join(root, ".ci/imports.ts");
    const child = Bun.spawn([process.execPath, script, src], { stdout: "pipe", stderr: "pipe" });
    const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { out, err: err.trim().split("\n").sort(), code };
  } finally {
    for (const path of paths) rmSync(path);
  }
}

const importing = (name: string, from: string) => `import { ${name} } from "${from}";\n${name}();\n`;

test("the tree as it is holds", async () => {
  expect(await check({})).toEqual({ out: "The layout of src holds.\n", err: [""], code: 0 });
});

describe("what goes up is named", () => {
  test.each<[string, string, string, string]>([
    ["a room's value of a later room", "limits/planted.ts", "createSessions", "session/session.ts"],
    ["a room's import of config", "brand/planted.ts", "loadOptions", "config/load.ts"],
    ["a room's import of a command", "mail/planted.ts", "findCommand", "commands/list.ts"],
    ["an import of a room by access", "access/planted.ts", "loginRoom", "login/routes.ts"],
    ["an import of a room by edge", "edge/planted.ts", "createForward", "proxy/forward.ts"],
    ["an import of the decision by edge", "edge/planted.ts", "decide", "access/decision.ts"],
    ["an import of HTTP by identity", "identity/planted.ts", "readJson", "edge/body.ts"],
    ["an import of a room by the ground", "secret/planted.ts", "createSessions", "session/session.ts"],
    ["an import of a room by a back-end", "store/planted.ts", "createSpentTickets", "login/spent.ts"],
    ["a room's import of an adapter", "session/planted.ts", "createInline", "inline/inline.ts"],
    ["an adapter's import of the door", "inline/planted.ts", "createDoor", "door.ts"],
    ["a room's import of the server", "limits/planted.ts", "createGateway", "server.ts"],
  ])("%s", async (_, path, name, to) => {
    const { err, code } = await check({ [path]: importing(name, `../${to}`) });
    expect({ err, code }).toEqual({ err: [`${path} imports ${to}, which lies above it`], code: 1 });
  });

  test("a type of a later room, of which no value is used, may be known by a room", async () => {
    const type = 'import type { Sessions } from "../session/session.ts";\nexport type Planted = Sessions;\n';
    expect((await check({ "limits/planted.ts": type })).code).toBe(0);
    expect((await check({ "edge/planted.ts": type })).err).toEqual([
      "edge/planted.ts imports session/session.ts, which lies above it",
    ]);
    const ofConfig = 'import type { Options } from "../config/options.ts";\nexport type Planted = Options;\n';
    expect((await check({ "limits/planted.ts": ofConfig })).err).toEqual([
      "limits/planted.ts imports config/options.ts, which lies above it",
    ]);
  });
});

describe("what goes in a circle is named", () => {
  const circle = (one: string, other: string): Files => ({
    [`limits/${one}.ts`]: `import { ${other} } from "./${other}.ts";\nexport const ${one} = () => ${other};\n`,
    [`limits/${other}.ts`]: `import { ${one} } from "./${one}.ts";\nexport const ${other} = () => ${one};\n`,
  });
  test("two files", async () => {
    const { err, code } = await check(circle("chicken", "egg"));
    expect({ err, code }).toEqual({ err: ["a circle: limits/chicken.ts, limits/egg.ts"], code: 1 });
  });
  test("a file with itself", async () => {
    const { err, code } = await check({ "limits/snake.ts": importing("snake", "./snake.ts") });
    expect({ err, code }).toEqual({ err: ["a circle: limits/snake.ts"], code: 1 });
  });
});

describe("what stands where it may not is named", () => {
  test.each([
    ["access/planted.ts", "knows of HTTP", "export type Planted = Request;"],
    ["login/planted.ts", "the environment", "export const planted = process.env.HOME;"],
    ["session/planted.ts", "a database", 'import { Database } from "bun:sqlite";\nnew Database();'],
    [
      "proxy/planted.ts",
      "forwarding headers",
      'export const planted = (headers: Headers) => headers.has("x-forwarded-for");',
    ],
    ["login/planted.ts", "escapes of HTML", 'export const planted = "&amp;";'],
    ["login/planted.ts", "the prefix of own paths", 'export const planted = "/_runegate";'],
    ["session/planted.ts", "the wall clock", "export const planted = () => Date.now();"],
    ["session/planted.ts", "a source of secrets", "crypto.randomUUID();"],
    ["login/planted.ts", "the making of keys", 'import { hkdfSync } from "node:crypto";\nhkdfSync;'],
    [
      "login/planted.ts",
      "a request's body read whole",
      "export const planted = (request: Request) => request.json();",
    ],
    ["planted.ts", "belongs to no layer", "export {};"],
  ])("%s: %s", async (path, complaint, text) => {
    const { err, code } = await check({ [path]: text });
    expect(err).toHaveLength(1);
    expect(err[0]).toStartWith(`${path}: ${complaint}`);
    expect(code).toBe(1);
  });
});
