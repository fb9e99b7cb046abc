import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createCheckCommand } from "../../src/commands/check.ts";
import { probeProviders } from "../../src/commands/probe-providers.ts";
import { runCommand } from "../../src/commands/run.ts";
import { loadAccess } from "../../src/config/configuration.ts";
import { loadOptions } from "../../src/config/load.ts";
import { parseRoutes } from "../../src/config/routes.ts";
import { NOBODY_MAY } from "../../src/config/rules.ts";
import { ConfigError, describe as inWords } from "../../src/option/finding.ts";
import { recordedIo } from "../support/recorded-io.ts";
import { testMachine } from "../support/surroundings.ts";
import { type StandIn, startStandIn } from "./stand-in.ts";

/** `[[providers]]` in `routes.toml`, and what `runegate check` says of them. */

const LISTED = { RUNEGATE_ALLOWED_EMAILS: "ada@example.org", RUNEGATE_TARGET_SERVICE: "http://127.0.0.1:1" };

let idp: StandIn;
beforeAll(async () => {
  idp = await startStandIn();
});
afterAll(() => idp.stop());

function problemsOf(toml: string): string[] {
  using machine = testMachine();
  try {
    parseRoutes(toml, "routes.toml", loadOptions({ env: LISTED }, machine).options);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(inWords);
  }
}

describe("a provider is refused, with line and place,", () => {
  const issuer = (text: string) => idp.block("main").replace(/issuer = ".*"/, `issuer = "${text}"`);
  test.each([
    [
      "without a name",
      () => idp.block("main").replace(/name = .*\n/, ""),
      /:1:1: providers\[0\]\.name is missing/,
    ],
    ["with a name that is none", () => idp.block("Main Street"), /:2:1: providers\[0\]\.name is not a name/],
    [
      "with the name of another",
      () => idp.block("a") + idp.block("a"),
      /:8:1: providers\[1\]\.name is that of another provider/,
    ],
    [
      "at http across the network",
      () => issuer("http://id.example.org"),
      /:3:1: providers\[0\]\.issuer is not an https URL/,
    ],
    [
      "with a query in its issuer",
      () => issuer("https://id.example.org/?a"),
      /:3:1: providers\[0\]\.issuer is not/,
    ],
    [
      "whose secret is not there",
      () => idp.block("a").replace(/_file = ".*"/, '_file = "/nonexistent"'),
      /:5:1: providers\[0\]\.client_secret_file names a file that does not exist/,
    ],
    [
      "whose secret is empty",
      () => idp.block("a").replace(/_file = ".*"/, '_file = "/dev/null"'),
      /:5:1: providers\[0\]\.client_secret_file names an empty file/,
    ],
    [
      "with its secret in the file",
      () => idp.block("a", 'client_secret = "x"'),
      /:6:1: providers\[0\]\.client_secret is not a key/,
    ],
    [
      "with scopes that are no list",
      () => idp.block("a", 'scopes = "openid"'),
      /:6:1: providers\[0\]\.scopes is not a list/,
    ],
    [
      "with a group that is not there",
      () => idp.block("a", 'groups = { x = "staf" }'),
      /:6:1: providers\[0\]\.groups\.x names a group that is not there/,
    ],
    [
      "with a group that is no name",
      () => idp.block("a", 'groups = { x = "St aff" }'),
      /:6:1: providers\[0\]\.groups\.x is not a name for a group/,
    ],
  ])("%s", (_, toml, expected) => {
    expect(problemsOf(toml())).toEqual([expect.stringMatching(expected)]);
  });
});

test("openid is asked for whether or not it is listed, and the title is the name", () => {
  using machine = testMachine();
  const { options } = loadOptions({ env: LISTED }, machine);
  const [provider] = parseRoutes(idp.block("main", 'scopes = ["email"]'), "routes.toml", options).file
    .providers;
  expect(provider).toMatchObject({ name: "main", title: undefined, scopes: ["openid", "email"] });
});

test("administrators may come from a provider without a list of them here", () => {
  expect(problemsOf(idp.block("a", 'groups = { x = "admins" }'))).toEqual([]);
});

test("a file with providers alone leaves the application, and who may use it, to the options", () => {
  using machine = testMachine();
  machine.write("routes.toml", idp.block("main"));
  expect(loadAccess({ env: LISTED }, machine).routesFile?.providers).toHaveLength(1);
  const nobody = { ...LISTED, RUNEGATE_ALLOWED_EMAILS: "", RUNEGATE_ALLOW_ANY_EMAIL: "false" };
  expect(loadAccess({ env: nobody }, machine).warnings).toContainEqual(
    expect.objectContaining({ problem: NOBODY_MAY }),
  );
});

describe("runegate check", () => {
  async function check(args: string[], toml = idp.block("main")) {
    using machine = testMachine();
    machine.write("routes.toml", toml);
    const io = recordedIo({ ...LISTED, RUNEGATE_BASE_URL: "http://127.0.0.1:7870" });
    const probes = [{ name: "providers", run: probeProviders }];
    const code = await runCommand(createCheckCommand(probes, machine), args, io);
    return { code, lines: io.stdout };
  }
  const ADVICE =
    "The redirect URI to register with main is http://127.0.0.1:7870/_runegate/oidc/main/callback.";

  test("prints what has to be registered, and asks nobody", async () => {
    const { code, lines } = await check([]);
    expect([code, idp.asked]).toEqual([0, []]);
    expect(lines).toContain(ADVICE);
  });
  test("with --online says that a provider answers", async () => {
    const { code, lines } = await check(["--online"]);
    expect(code).toBe(0);
    expect(lines).toContain(`    main: ${idp.issuer} answers.`);
  });
  test.each([
    ["does not take S256", { code_challenge_methods_supported: ["plain"] }, "it does not take S256 (PKCE)."],
    ["does not know of a scope", { scopes_supported: ["openid"] }, "it does not know of email in scopes."],
    ["calls itself something else", { issuer: "http://127.0.0.1:1" }, "issuer"],
  ])("with --online says that one %s", async (_, metadata, text) => {
    const before = idp.metadata;
    idp.metadata = { ...before, ...metadata };
    const { code, lines } = await check(["--online"]);
    idp.metadata = before;
    expect(code).toBe(1);
    expect(lines.join("\n")).toContain(text);
  });
  test("with --online says that one does not answer", async () => {
    idp.answers.set("/.well-known/openid-configuration", () => new Response("", { status: 502 }));
    const { code, lines } = await check(["--online"]);
    idp.answers.clear();
    expect(code).toBe(1);
    expect(lines.join("\n")).toContain(`main: ${idp.issuer} does not answer: it answers 502`);
  });
});
