import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const SOURCE = join(import.meta.dir, "../../src");

/** What is loaded with a file, by its path below src, and the packages and modules of Bun among it by their names. */
function loadedWith(...files: readonly string[]): Set<string> {
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const loaded = new Set(files);
  for (const file of loaded) {
    if (!file.endsWith(".ts")) continue;
    for (const { kind, path } of transpiler.scanImports(readFileSync(join(SOURCE, file), "utf8"))) {
      if (kind === "dynamic-import") continue;
      loaded.add(path.startsWith(".") ? relative(SOURCE, join(SOURCE, dirname(file), path)) : path);
    }
  }
  return loaded;
}

test("a start loads nothing that the first answer does without", () => {
  const loaded = loadedWith("main.ts", "commands/serve.ts", "commands/run-gateway.ts");
  expect([...loaded]).toContain("server.ts");
  // The first four load node:stream, which is as large as all of them.
  const late = [
    "node:crypto",
    "node:net",
    "node:tls",
    "node:tty",
    "node:util",
    "nodemailer",
    "elysia",
    "@elysiajs/static",
    "@simplewebauthn/server",
    "openid-client",
    "lean-qr",
  ];
  const own = [
    "store/sqlite.ts",
    "store/valkey.ts",
    "mail/conversation.ts",
    "commands/flags.ts",
    "account/handlers.ts",
    "api/own.ts",
    "bearer/authenticator.ts",
    "devices/handlers.ts",
    "admin/handlers.ts",
    "grants/visit.ts",
    "impersonation/handlers.ts",
    "kept-post/handlers.ts",
    "pages/tables.ts",
    "keys/api.ts",
    "keys/visit.ts",
    "passkeys/handlers.ts",
    "oidc-login/handlers.ts",
    "approval/handlers.ts",
    "captcha/gate.ts",
    "hooks/service.ts",
    "tunnel/book.ts",
    "tunnel/connectors.ts",
    "yamux/session.ts",
  ];
  expect([...late, ...own].filter((name) => loaded.has(name))).toEqual([]);
});

test("a process that is about to start itself again loads hardly anything", () => {
  const loaded = loadedWith("main.ts", "commands/serve.ts");
  expect([...loaded].filter((name) => !name.endsWith(".ts"))).toEqual(["node:fs"]);
  expect(loaded.size).toBeLessThan(25);
});
