import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check } from "../../src/commands/check.ts";
import { runCommand } from "../../src/commands/run.ts";
import { loadOptions } from "../../src/config/load.ts";
import { parseRoutes } from "../../src/config/routes.ts";
import { placeText } from "../../src/hooks/table.ts";
import { ConfigError, describe as inWords } from "../../src/option/finding.ts";
import { recordedIo } from "../support/recorded-io.ts";
import { SECRETS, written } from "./support.ts";

/** `[[hooks]]`, as operators write them. */

const folder = mkdtempSync(join(tmpdir(), "runegate-hooks-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}
const SECRET = file("good", `\n${written(SECRETS[0])}\r\n${written(SECRETS[1])}\n\n`);

const { options } = loadOptions({ env: {} });
const block = (more: Readonly<Record<string, string>> = {}) => {
  const keys = {
    name: '"crm"',
    url: '"https://crm.internal/runegate"',
    events: '["sign_in"]',
    secret_file: JSON.stringify(SECRET),
    ...more,
  };
  const lines = Object.entries(keys).filter(([, value]) => value !== "");
  return `[[hooks]]\n${lines.map(([key, value]) => `${key} = ${value}`).join("\n")}\n`;
};
const hooksIn = (text: string) => parseRoutes(text, "routes.toml", options).file.hooks;

function problemsOf(text: string): string {
  try {
    hooksIn(text);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(inWords).join("\n");
    throw error;
  }
  return "";
}

describe("what is taken", () => {
  test("a hook and no application: that is the options'", () => {
    expect(hooksIn(block())).toEqual([
      {
        name: "crm",
        place: { kind: "url", href: "https://crm.internal/runegate" },
        events: new Set(["sign_in"]),
        mode: "notify",
        secrets: SECRETS.map((secret) => new Uint8Array(secret)),
        timeout: undefined,
        onError: undefined,
      },
    ] as never);
  });

  test.each([
    ["https://crm.internal:8443/a?token=1", "https://crm.internal:8443/a"],
    ["https://10.0.0.7/", "https://10.0.0.7/"],
    ["http://localhost:8090", "http://localhost:8090/"],
    ["http://127.0.0.1:8090/x", "http://127.0.0.1:8090/x"],
    ["http://192.168.1.9/x", "http://192.168.1.9/x"],
    ["http://[fd00::1]:80/x", "http://[fd00::1]/x"],
    ["unix:/run/crm.sock", "unix:/run/crm.sock"],
  ])("%s", (url, shown) => {
    const [hook] = hooksIn(block({ url: JSON.stringify(url) }));
    expect(hook && placeText(hook.place)).toBe(shown);
  });

  test("decide, with all that belongs to it", () => {
    const more = {
      mode: '"decide"',
      events: '["login_requested", "sign_in"]',
      timeout: '"5s"',
      on_error: '"allow"',
    };
    expect(hooksIn(block(more))).toMatchObject([
      { mode: "decide", timeout: 5000, onError: "allow" },
    ] as never);
  });
});

describe("what is not", () => {
  test.each<[string, Readonly<Record<string, string>>, string]>([
    ["in clear across the internet", { url: '"http://crm.example.org/"' }, "would cross a network in clear"],
    ["in clear to a public address", { url: '"http://203.0.113.9/"' }, "would cross a network in clear"],
    ["a password in the URL", { url: '"https://me:secret-word@crm.internal/"' }, "is not the URL of a hook"],
    [
      "what may be one after a question mark",
      { url: '"http://crm.example.org/?key=secret-word"' },
      "in clear",
    ],
    ["another scheme", { url: '"ftp://crm.internal/"' }, "is not the URL of a hook"],
    ["a fragment", { url: '"https://crm.internal/#a"' }, "is not the URL of a hook"],
    ["a command", { command: '["/bin/true"]' }, "command"],
    ["no events", { events: "[]" }, "is empty"],
    ["an unknown event", { events: '["sign_up"]' }, "sign_up"],
    [
      "an event nobody decides",
      { mode: '"decide"', events: '["sign_out"]' },
      "names sign_out, which nobody decides",
    ],
    [
      "a decision that takes too long",
      { mode: '"decide"', timeout: '"6s"' },
      "is longer than anybody would wait",
    ],
    ["on_error of one that is told", { on_error: '"allow"' }, "is for hooks that decide"],
    ["on_error of another kind", { mode: '"decide"', on_error: '"maybe"' }, "maybe"],
    ["no secret", { secret_file: "" }, "secret_file is missing"],
    ["a file that is not there", { secret_file: '"/nonexistent/secret"' }, "does not exist"],
    ["an empty file", { secret_file: JSON.stringify(file("empty", "\n")) }, "with 0 secrets"],
    [
      "too many",
      { secret_file: JSON.stringify(file("many", `${written(SECRETS[0])}\n`.repeat(6))) },
      "with 6 secrets",
    ],
    ...(
      [
        ["23 bytes", `whsec_${Buffer.alloc(23).toString("base64")}`],
        ["65 bytes", `whsec_${Buffer.alloc(65).toString("base64")}`],
        ["no prefix", SECRETS[0].toString("base64")],
        ["no Base64", "whsec_not*base64*not*base64*not*base64"],
      ] as const
    ).map(([what, text]): [string, Readonly<Record<string, string>>, string] => [
      `a secret of ${what}`,
      { secret_file: JSON.stringify(file(what.replace(" ", "-"), text)) },
      "24 to 64 bytes",
    ]),
  ])("%s", (_, more, words) => {
    const problems = problemsOf(block(more));
    expect(problems).toContain(words);
    expect(problems).not.toMatch(/secret-word|not\*base64/);
  });

  test("two of one name", () => {
    expect(problemsOf(block() + block())).toContain("hooks[1].name is that of another hook: crm");
  });
});

test("check says that a secret file is a directory, and asks no hook", async () => {
  const routes = file("folder.toml", block({ secret_file: JSON.stringify(folder) }));
  const io = recordedIo({ RUNEGATE_ROUTES: routes });
  expect(await runCommand(check, [], io)).toBe(78);
  expect(io.stdout.join("\n")).toContain("hooks[0].secret_file");
  expect(io.stdout.join("\n")).toContain("is a directory");
});
