import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { loadOptions, readOptions } from "../../src/config/load.ts";
import { OPTION_LIST } from "../../src/config/options.ts";
import { ConfigError, describe as inWords } from "../../src/option/finding.ts";
import { type TestMachine, testMachine } from "../support/surroundings.ts";

let machine: TestMachine;
beforeEach(() => {
  machine = testMachine();
});
afterEach(() => machine[Symbol.dispose]());

const load = (env: Record<string, string> = {}) => loadOptions({ env }, machine);
const problemsOf = (env: Record<string, string>) => readOptions({ env }, machine).problems.map(inWords);
const warningsOf = (env: Record<string, string>) => readOptions({ env }, machine).warnings.map(inWords);

/** Silences the warning that every development configuration without a list has. */
const LISTED = { RUNEGATE_ALLOWED_EMAILS: "ada@example.org" };

describe("defaults", () => {
  test("are the ones of the specification", () => {
    expect(load().options).toMatchObject({
      production: false,
      listen: { kind: "tcp", hostname: "127.0.0.1", port: 7870 },
      target: { kind: "tcp", origin: "http://127.0.0.1:7860" },
      baseUrl: "http://localhost:7870",
      jwtSecretPrevious: undefined,
      sessionKeyPrevious: undefined,
      secureCookie: false,
      cookieDomain: undefined,
      sessionCookieName: "runegate_id",
      sessionTtl: 14 * 86_400_000,
      sessionIdle: 3 * 86_400_000,
      magicLinkExpiry: 15 * 60_000,
      linkConfirm: "auto",
      landingPath: "/",
      rootPaths: "auto",
      hostHeader: "pass",
      allowAnyEmail: true,
      rateLimitEnabled: true,
      loginRateLimit: 5,
      emailCooldown: 300_000,
      tokenRateLimit: 10,
      identityHeaders: true,
      streamResponses: true,
      connectTimeout: 10_000,
      responseTimeout: 600_000,
      maxBody: undefined,
      store: { kind: "memory" },
      workers: 1,
      debugEndpoints: true,
      logFormat: "console",
      logLevels: { default: "info", modules: {} },
      requestLogs: true,
      emailConfig: undefined,
    });
  });
  test("every option is read, and comes from its default", () => {
    const { options, sources } = load();
    expect(Object.keys(options).sort()).toEqual(OPTION_LIST.map(([key]) => String(key)).sort());
    expect(new Set(Object.values(sources).map(({ source }) => source))).toEqual(new Set(["default"]));
  });
  test("secrets are random per start, from the randomness passed in", () => {
    expect(load().options.sessionKey).toEqual(machine.random.bytes(64));
    expect(Object.values(load().sources).map(({ text }) => text)).not.toContain(
      Buffer.from(machine.random.bytes(64)).toString("hex"),
    );
  });
  test.each([
    ["http://localhost:7870", ["http://localhost:7870", "http://127.0.0.1:7870", "http://[::1]:7870"]],
    ["http://[::1]:9", ["http://[::1]:9", "http://localhost:9", "http://127.0.0.1:9"]],
    ["https://app.example.org", ["https://app.example.org"]],
  ])("allowed origins of %s", (baseUrl, expected) => {
    const { allowedOrigins } = load({ RUNEGATE_BASE_URL: baseUrl }).options;
    expect(allowedOrigins).toEqual(new Set(expected));
  });
  test.each([
    ["the service's own", { RUNTIME_DIRECTORY: "/run/a:/run/b", XDG_RUNTIME_DIR: "/run/user/1" }, "/run/a"],
    ["the login session's", { XDG_RUNTIME_DIR: "/run/user/1" }, "/run/user/1/runegate"],
  ])("the control socket is in a runtime directory: %s", (_, env, directory) => {
    expect(load(env).options.controlSocket).toBe(`${directory}/control-7870.sock`);
  });
  test("beside an installed service, the control socket is the service's", () => {
    mkdirSync(machine.serviceRuntimeDirectory);
    const { controlSocket } = load({ XDG_RUNTIME_DIR: "/run/user/1" }).options;
    expect(controlSocket).toBe(join(machine.serviceRuntimeDirectory, "control-7870.sock"));
  });
  test("the control socket can be turned off", () => {
    expect(load({ RUNEGATE_CONTROL_SOCKET: "off" }).options.controlSocket).toBeUndefined();
  });
});

describe("where values come from", () => {
  test("environment, then file, then default", () => {
    const path = machine.write("runegate.env", "RUNEGATE_LOGIN_RATE_LIMIT=7\nRUNEGATE_TOKEN_RATE_LIMIT=8\n");
    const { options, sources } = load({ RUNEGATE_LOGIN_RATE_LIMIT: "6" });
    expect([options.loginRateLimit, sources.loginRateLimit.source]).toEqual([6, "environment"]);
    expect([options.tokenRateLimit, sources.tokenRateLimit.source]).toEqual([8, `${path}:2`]);
    expect([options.emailCooldown, sources.emailCooldown.source]).toEqual([300_000, "default"]);
  });
  test("RUNEGATE_ENV_FILE replaces the default places", () => {
    machine.write("runegate.env", "RUNEGATE_LOGIN_RATE_LIMIT=7");
    const other = machine.write("other.env", "RUNEGATE_TOKEN_RATE_LIMIT=8");
    const { options } = load({ RUNEGATE_ENV_FILE: other });
    expect([options.loginRateLimit, options.tokenRateLimit]).toEqual([5, 8]);
  });
  test("an env file that is named must be there", () => {
    const problems = problemsOf({ RUNEGATE_ENV_FILE: "/nowhere/runegate.env" });
    expect(problems).toEqual([
      "RUNEGATE_ENV_FILE names a file that does not exist: /nowhere/runegate.env. Create it, or leave the option out.",
    ]);
  });
  test("an env file that cannot be read is a problem, not a reason to try the next", () => {
    mkdirSync(join(machine.directory, "runegate.env"));
    expect(problemsOf({}).join()).toContain("is a directory");
  });
  test("a malformed line is a problem with file and line", () => {
    const path = machine.write("runegate.env", "RUNEGATE_LISTEN=127.0.0.1:1\nhello\n");
    expect(problemsOf({})[0]).toStartWith(`${path}:2 is not of the form NAME=value`);
  });
  test("a wrong value in a file is reported with its line", () => {
    const path = machine.write("runegate.env", "\nRUNEGATE_LOGIN_RATE_LIMIT=x\n");
    expect(problemsOf({})[0]).toStartWith(`RUNEGATE_LOGIN_RATE_LIMIT (${path}:2) is not a whole number: "x"`);
  });
  test("an empty value counts as unset, and the file's then counts", () => {
    machine.write("runegate.env", "RUNEGATE_LOGIN_RATE_LIMIT=7");
    const { options } = load({ RUNEGATE_LOGIN_RATE_LIMIT: " ", RUNEGATE_LISTEN: "" });
    expect([options.loginRateLimit, options.listen]).toMatchObject([7, { port: 7870 }]);
  });
  test("an empty list of trusted proxies trusts nobody", () => {
    expect(load({ RUNEGATE_TRUSTED_PROXIES: "" }).options.trustedProxies).toEqual([]);
    expect(load().options.trustedProxies.map(({ text }) => text)).toEqual(["127.0.0.0/8", "::1/128"]);
  });
  test("blanks around a value are ignored", () => {
    expect(load({ RUNEGATE_LISTEN: " 127.0.0.1:1 \n" }).options.listen).toMatchObject({ port: 1 });
  });
  test("RUST_LOG counts where RUNEGATE_LOG is unset", () => {
    expect(load({ RUST_LOG: "debug" }).options.logLevels.default).toBe("debug");
    expect(load({ RUST_LOG: "debug", RUNEGATE_LOG: "warn" }).options.logLevels.default).toBe("warn");
    expect(problemsOf({ RUST_LOG: "loud" })[0]).toStartWith('RUST_LOG is not a level: "loud"');
  });
});

describe("secrets", () => {
  const KEY = "k".repeat(64);

  test("from a file, without its line end", () => {
    const path = machine.write("key", `${KEY}\r\n`);
    const { options, sources, warnings } = load({ ...LISTED, RUNEGATE_SESSION_KEY_FILE: path });
    expect(Buffer.from(options.sessionKey).toString()).toBe(KEY);
    expect(sources.sessionKey).toEqual({ source: path, given: true, text: undefined });
    expect(warnings).toEqual([]);
  });
  test("from a systemd credential", () => {
    const path = machine.write("runegate_session_key", KEY, 0o444);
    const { options, sources, warnings } = load({ ...LISTED, CREDENTIALS_DIRECTORY: machine.directory });
    expect(Buffer.from(options.sessionKey).toString()).toBe(KEY);
    expect(sources.sessionKey.source).toBe(path);
    expect(warnings).toEqual([]);
  });
  describe("the installed service's credentials", () => {
    const name = "credentials/runegate_session_key";
    const service = (content: string) => {
      mkdirSync(machine.serviceCredentials, { recursive: true });
      return machine.write(name, content);
    };
    test("are there for commands beside it, which are given none", () => {
      const path = service(KEY);
      const { options, sources, warnings } = load(LISTED);
      expect(Buffer.from(options.sessionKey).toString()).toBe(KEY);
      expect([sources.sessionKey.source, warnings]).toEqual([path, []]);
    });
    test("do not count where a secret is given otherwise, or other credentials are", () => {
      service("k".repeat(99));
      const elsewhere = join(machine.directory, "own");
      expect(load({ ...LISTED, RUNEGATE_SESSION_KEY: KEY }).options.sessionKey).toHaveLength(KEY.length);
      expect(load({ ...LISTED, CREDENTIALS_DIRECTORY: elsewhere }).sources.sessionKey.source).toBe("default");
    });
    test("do not concern whoever may not read them", () => {
      // What cannot be read, to root either.
      mkdirSync(join(machine.directory, name), { recursive: true });
      expect(load(LISTED).sources.sessionKey.source).toBe("default");
    });
  });
  test("blanks belong to a secret", () => {
    const secret = ` ${"s".repeat(40)} `;
    expect(load({ RUNEGATE_JWT_SECRET: secret }).options.jwtSecret).toHaveLength(42);
  });
  test.each([
    ["directly and as a file", { RUNEGATE_SESSION_KEY: KEY }, true, false],
    ["as a file and as a credential", {}, true, true],
    ["directly and as a credential", { RUNEGATE_SESSION_KEY: KEY }, false, true],
  ])("given twice is a problem: %s", (_, env, asFile, asCredential) => {
    const file = machine.write("key", KEY);
    if (asCredential) machine.write("runegate_session_key", KEY);
    const problems = problemsOf({
      ...env,
      ...(asFile ? { RUNEGATE_SESSION_KEY_FILE: file } : {}),
      CREDENTIALS_DIRECTORY: machine.directory,
    });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toStartWith("RUNEGATE_SESSION_KEY is given 2 times");
    expect(problems[0]).not.toContain(KEY);
  });
  test.each([
    ["missing", () => "/nowhere/key", "names a file that does not exist"],
    ["empty", () => machine.write("key", "\n"), "names an empty file"],
    ["a directory", () => machine.directory, "is a directory"],
    ["binary", () => machine.write("key", new Uint8Array([0xff, 0xfe, 0xc3])), "is not UTF-8 text"],
    ["too short", () => machine.write("key", "hunter2"), "is too short: 7 of 64 bytes"],
  ])("a file that is %s is a problem", (_, path, problem) => {
    const problems = problemsOf({ RUNEGATE_SESSION_KEY_FILE: path() });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(problem);
    expect(problems[0]).not.toContain("hunter2");
  });
  test("a file that others can read is warned about", () => {
    const path = machine.write("key", KEY);
    chmodSync(path, 0o644);
    expect(warningsOf({ ...LISTED, RUNEGATE_SESSION_KEY_FILE: path })).toEqual([
      `${path} holds a secret, and other users can read it (mode 0644). Run: chmod 600 ${path}`,
    ]);
  });
  test("so is an env file with a secret in it, and only then", () => {
    const path = machine.write("runegate.env", "RUNEGATE_LOGIN_RATE_LIMIT=7");
    chmodSync(path, 0o644);
    expect(warningsOf(LISTED)).toEqual([]);
    machine.write("runegate.env", `RUNEGATE_JWT_SECRET=${KEY}`);
    expect(warningsOf(LISTED)[0]).toStartWith(`${path} holds a secret`);
  });
});

describe("problems", () => {
  test("are reported together", () => {
    const env = {
      RUNEGATE_ENV: "production",
      RUNEGATE_LISTEN: "here",
      RUNEGATE_JWT_SECRET: "short",
      RUNEGATE_SESSION_TTL: "long",
      RUNEGATE_STORE: "sqlight:/var/lib/runegate.db",
      RUNEGATE_WORKERS: "four",
    };
    let caught: unknown;
    try {
      load(env);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(ConfigError);
    const named = caught instanceof ConfigError ? caught.problems.map(({ option }) => option) : [];
    expect(named.sort()).toEqual([
      "RUNEGATE_ALLOWED_EMAILS",
      "RUNEGATE_BASE_URL",
      "RUNEGATE_JWT_SECRET",
      "RUNEGATE_LISTEN",
      "RUNEGATE_SESSION_KEY",
      "RUNEGATE_SESSION_TTL",
      "RUNEGATE_STORE",
      "RUNEGATE_WORKERS",
    ]);
  });
  test.each([
    ["RUNEGATE_ENV", "prod", "Write development or production."],
    ["RUNEGATE_SECURE_COOKIE", "maybe", "Write true or false."],
    ["RUNEGATE_SESSION_TTL", "401d", "to 400d"],
    ["RUNEGATE_CONNECT_TIMEOUT", "0", "from 100ms"],
    ["RUNEGATE_LOGIN_RATE_LIMIT", "-1", "from 0"],
    ["RUNEGATE_STORE", "sqlite:", "names no database file"],
    ["RUNEGATE_STORE", "mysql://:hunter2@db", "is not a store. Write memory"],
    ["RUNEGATE_STORE", "valkey://:hunter2@db/0?x=1", "has more than"],
    ["RUNEGATE_STORE", "floppy", 'is not a store: "floppy"'],
    ["RUNEGATE_WORKERS", "65", "Write a whole number"],
    ["RUNEGATE_WORKERS", "0", "Write a whole number"],
    ["RUNEGATE_EMAIL_CONFIG", "a\0b", "control character"],
    ["RUNEGATE_CONTROL_SOCKET", "x.sock", "starting with a slash"],
  ])("%s=%s", (name, value, text) => {
    const problems = problemsOf({ [name]: value });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toStartWith(name);
    expect(problems[0]).toContain(text);
    expect(problems[0]).not.toContain("hunter2");
  });
  test("no secret is in any of them, wherever it was put", () => {
    for (const [, { name, secret }] of OPTION_LIST) {
      if (secret) expect(problemsOf({ [name]: "hunter2" }).join()).not.toContain("hunter2");
    }
  });
});

describe("misspelt names", () => {
  test.each([
    ["RUNEGATE_LISTN", "Did you mean RUNEGATE_LISTEN?"],
    ["RUNEGATE_BASEURL", "Did you mean RUNEGATE_BASE_URL?"],
    ["runegate_listen", "Did you mean RUNEGATE_LISTEN?"],
    ["RUNEGATE_SESSOIN_KEY_FILE", "Did you mean RUNEGATE_SESSION_KEY_FILE?"],
    ["RUNEGATE_COFFEE_MACHINE", "`runegate config` lists them."],
    // Only secrets have files.
    ["RUNEGATE_LISTEN_FILE", "is not an option"],
  ])("%s", (name, text) => {
    const warnings = warningsOf({ ...LISTED, [name]: "x" });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toStartWith(`${name} is not an option`);
    expect(warnings[0]).toContain(text);
  });
  test("are found in the env file too, and once", () => {
    machine.write("runegate.env", "RUNEGATE_LISTN=x\nOTHER_PROGRAM=y");
    expect(warningsOf({ ...LISTED, RUNEGATE_LISTN: "x", PATH: "/bin" })).toHaveLength(1);
  });
});
