import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { clients } from "../../src/commands/clients.ts";
import { runCommand } from "../../src/commands/run.ts";
import { parseClients } from "../../src/config/clients.ts";
import { loadAccess } from "../../src/config/configuration.ts";
import { loadOptions } from "../../src/config/load.ts";
import { parseRoutes } from "../../src/config/routes.ts";
import { ConfigError, describe as inWords } from "../../src/option/finding.ts";
import { recordedIo } from "../support/recorded-io.ts";
import { testMachine } from "../support/surroundings.ts";
import { CALLBACK, clientBlock, secretFile } from "./support.ts";

/** `clients.toml`, and `runegate clients`. */

const LISTED = { RUNEGATE_ALLOWED_EMAILS: "ada@example.org", RUNEGATE_TARGET_SERVICE: "http://127.0.0.1:1" };

function problemsOf(toml: string): string[] {
  try {
    parseClients(toml, "clients.toml", undefined);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(inWords);
  }
}

const uri = (written: string) => clientBlock().replace(CALLBACK, written);
const file = (path: string) => clientBlock().replace(/secret_file = ".*"/, `secret_file = "${path}"`);

describe("a client is refused, with line and place,", () => {
  test.each([
    ["without an id", () => clientBlock().replace(/id = .*\n/, ""), /:1:1: clients\[0\]\.id is missing/],
    ["with an id that is none", () => clientBlock("a b"), /:2:1: clients\[0\]\.id is not an id/],
    [
      "with that of another",
      () => clientBlock() + clientBlock(),
      /:\d+:1: clients\[1\]\.id is that of another client/,
    ],
    [
      "with an unknown key",
      () => clientBlock("app", "redirect_uri = 1"),
      /:7:1: clients\[0\]\.redirect_uri is not a key.*Did you mean redirect_uris/s,
    ],
    [
      "with a wildcard",
      () => uri("https://*.example.org/cb"),
      /:4:1: clients\[0\]\.redirect_uris has a wildcard/,
    ],
    [
      "with a fragment",
      () => uri("https://app.example.org/cb#x"),
      /:4:1: clients\[0\]\.redirect_uris has a fragment/,
    ],
    [
      "in clear",
      () => uri("http://app.example.org/cb"),
      /:4:1: clients\[0\]\.redirect_uris would cross a network in clear/,
    ],
    ["in clear at a private address", () => uri("http://10.0.0.1/cb"), /would cross a network in clear/],
    ["with a scheme of its own", () => uri("myapp:/cb"), /is not an http\(s\) URL/],
    ["with a path alone", () => uri("/cb"), /is not an http\(s\) URL/],
    [
      "with a name and password in an address",
      () => uri("https://a:b@app.example.org/cb"),
      /is not an http\(s\) URL/,
    ],
    [
      "without an address to come back to",
      () => uri("x").replace(/redirect_uris = \["x.*\n/, ""),
      /clients\[0\]\.redirect_uris is empty/,
    ],
    [
      "whose secret is not there",
      () => file("/nonexistent"),
      /:3:1: clients\[0\]\.secret_file names a file that does not exist/,
    ],
    [
      "whose secret others can read",
      () => file(secretFile("a secret that all can read", 0o644)),
      /:3:1: clients\[0\]\.secret_file names a file that other users can read/,
    ],
    ["whose secret is short", () => file(secretFile("short")), /does not hold one line of 16 characters/],
    [
      "whose secret is two lines",
      () => file(secretFile("a secret in\ntwo lines of text")),
      /does not hold one line/,
    ],
    [
      "with its secret in the file",
      () => clientBlock("app", 'secret = "x"'),
      /:7:1: clients\[0\]\.secret is not a key/,
    ],
    [
      "with tokens that last",
      () => clientBlock("app", 'token_ttl = "25h"'),
      /:7:1: clients\[0\]\.token_ttl is out of range/,
    ],
    [
      "with another consent",
      () => clientBlock("app", 'consent = "always"'),
      /:7:1: clients\[0\]\.consent is not one of its values/,
    ],
    [
      "with an algorithm that is none",
      () => clientBlock("app", 'id_token_signed_response_alg = "none"'),
      /:7:1: clients\[0\]\.id_token_signed_response_alg is not one/,
    ],
    ["that nobody may use", () => clientBlock("app", "allow = []"), /:7:1: clients\[0\]\.allow names nobody/],
    [
      "that does not say who may",
      () => clientBlock().replace(/allow = .*/, ""),
      /client app does not say who may/,
    ],
    [
      "with a logout in clear",
      () => clientBlock("app", 'backchannel_logout_uri = "http://app.example.org/x"'),
      /:7:1: clients\[0\]\.backchannel_logout_uri would cross/,
    ],
  ])("%s", (_, toml, expected) => {
    expect(problemsOf(toml())).toEqual([expect.stringMatching(expected)]);
  });
});

test.each([
  ["loopback in clear", uri("http://127.0.0.1:8000/cb")],
  ["loopback by its other names", uri("http://[::1]:8000/cb")],
  [
    "told of the end in a private network",
    clientBlock("app", 'backchannel_logout_uri = "http://10.0.0.1/x"'),
  ],
  ["a program without addresses", `[[clients]]\nid = "cli"\ndevice = true\nallow = ["anyone"]`],
])("is taken: %s", (_, toml) => {
  expect(problemsOf(toml)).toEqual([]);
});

test("the example is good", async () => {
  const example = await Bun.file(join(import.meta.dir, "../../deploy/config/clients.toml.example")).text();
  expect(problemsOf(example.replace("/etc/runegate/clients/grafana", secretFile()))).toEqual([]);
});

test("no secret is quoted", () => {
  const secret = secretFile("short one");
  expect(problemsOf(file(secret)).join()).not.toContain("short one");
});

test("a provider of others may not have the name of an address that clients use", () => {
  using machine = testMachine();
  const { options } = loadOptions({ env: LISTED }, machine);
  const secret = machine.write("secret", "x");
  const routes = parseRoutes(
    `[[providers]]\nname = "token"\nissuer = "https://id.example.org"\nclient_id = "x"\nclient_secret_file = "${secret}"`,
    "routes.toml",
    options,
  ).file;
  expect(() => parseClients(clientBlock(), "clients.toml", routes)).toThrow(/has the name of an address/);
});

test("the file is found, checked with the others, and named by the option", () => {
  using machine = testMachine();
  const path = machine.write("clients.toml", clientBlock("app", "strange = 1"));
  const env = { ...LISTED, RUNEGATE_CLIENTS: path };
  expect(() => loadAccess({ env }, machine)).toThrow(/strange is not a key/);
  machine.write("clients.toml", clientBlock());
  expect(loadAccess({ env }, machine).clients).toMatchObject([{ id: "app", tokenTtl: 600_000 }]);
  expect(loadAccess({ env: LISTED }, { ...machine, clientsFiles: [path] }).clients).toHaveLength(1);
  expect(() => loadAccess({ env: { ...env, RUNEGATE_CLIENTS: "/nonexistent" } }, machine)).toThrow(
    /RUNEGATE_CLIENTS names a file that does not exist/,
  );
  expect(loadAccess({ env: LISTED }, machine).clients).toEqual([]);
});

describe("runegate clients", () => {
  async function run(args: string[], toml: string) {
    using machine = testMachine();
    const env = {
      ...LISTED,
      RUNEGATE_BASE_URL: "https://id.example.org",
      RUNEGATE_CLIENTS: machine.write("clients.toml", toml),
    };
    const io = recordedIo(env);
    const code = await runCommand(clients, args, io);
    return { code, out: io.stdout.join("\n"), err: io.stderr.join("\n") };
  }

  test("lists them", async () => {
    const { code, out } = await run([], clientBlock() + clientBlock("cli", "device = true", false));
    expect(code).toBe(0);
    expect(out).toMatch(/^app +app +yes +allow +none +https/m);
    expect(out).toMatch(/^cli +cli +none/m);
  });

  test.each([
    ["grafana", "Grafana", "auth_url = https://id.example.org/_runegate/oidc/authorize"],
    ["gitea", "Gitea", "https://id.example.org/.well-known/openid-configuration"],
    ["jupyterhub", "JupyterHub", 'authorize_url = "https://id.example.org/_runegate/oidc/authorize"'],
    ["nextcloud", "Nextcloud", "--discoveryuri"],
    ["portainer", "Portainer", "Resource URL         https://id.example.org/_runegate/oidc/userinfo"],
    ["argo-cd", "Argo CD", "issuer: https://id.example.org"],
    ["proxmox", "Proxmox", "--issuer-url https://id.example.org"],
    [
      "wiki",
      "any application",
      "Discovery              https://id.example.org/.well-known/openid-configuration",
    ],
  ])("says what to type into the other side: %s", async (id, name, line) => {
    const { code, out } = await run(["check", id], clientBlock(id));
    expect([code, out.split("\n")[0]]).toEqual([0, `For ${name}:`]);
    expect(out).toContain(line);
    expect(out).not.toContain("a secret+of");
  });

  test("minds an address that the application does not use", async () => {
    const { out } = await run(["check", "app", "--for", "grafana"], clientBlock());
    expect(out).toContain("Grafana comes back to an address that ends in /login/generic_oauth");
  });

  test("does not know a client that is not there", async () => {
    const { code, err } = await run(["check", "grafan"], clientBlock("grafana"));
    expect([code, err]).toEqual([1, expect.stringContaining("Did you mean grafana?")]);
  });

  test.each([
    [["check"], "takes the id"],
    [["check", "app", "--for", "x"], "--for takes"],
    [["revoke"], 'no "clients revoke"'],
  ])("%j is no use of it", async (args, words) => {
    expect(run(args, clientBlock())).rejects.toThrow(words);
  });
});
