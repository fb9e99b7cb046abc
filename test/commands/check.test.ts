import { describe, expect, test } from "bun:test";
import { parseEnv } from "node:util";
import emailExample from "../../deploy/config/email.toml.example" with { type: "text" };
import envExample from "../../deploy/runegate.env.example" with { type: "text" };
import { createCheckCommand } from "../../src/commands/check.ts";
import type { Probe } from "../../src/commands/probe.ts";
import { runCommand } from "../../src/commands/run.ts";
import { recordedIo } from "../support/recorded-io.ts";
import { testMachine } from "../support/surroundings.ts";

const SECRETS = { RUNEGATE_JWT_SECRET: "j".repeat(32), RUNEGATE_SESSION_KEY: "s".repeat(64) };
const LISTED = { RUNEGATE_ALLOWED_EMAILS: "ada@example.org" };

async function check(
  env: Record<string, string>,
  args: string[] = [],
  probes: readonly Probe[] = [],
  toml?: string,
) {
  using machine = testMachine();
  if (toml !== undefined) machine.write("email.toml", toml);
  const io = recordedIo(env);
  const code = await runCommand(createCheckCommand(probes, machine), args, io);
  return { code, lines: io.stdout };
}

describe("runegate check", () => {
  test("a good configuration", async () => {
    expect(await check(LISTED)).toEqual({ code: 0, lines: ["The configuration is good."] });
  });
  test("warnings are shown and do no harm", async () => {
    const { code, lines } = await check({});
    expect(code).toBe(0);
    expect(lines[0]).toStartWith("warning: RUNEGATE_ALLOW_ANY_EMAIL");
    expect(lines[1]).toBe("The configuration is good, with 1 warning.");
  });
  test("all problems and warnings, of options and email.toml, exit 78", async () => {
    const env = { ...LISTED, RUNEGATE_LISTEN: "x", RUNEGATE_WORKERS: "0", RUNEGATE_LISTN: "y" };
    const { code, lines } = await check(env, ["--online"], [], "smtp_port = 0\ncolour = 1");
    expect(code).toBe(78);
    const about = lines.map((line) => line.split(" ").slice(0, 2).join(" "));
    expect(about.slice(0, 2)).toEqual(["error: RUNEGATE_LISTEN", "error: RUNEGATE_WORKERS"]);
    expect(lines.filter((line) => /email\.toml:(?:\d+:\d+:)? /.test(line))).toHaveLength(5);
    expect(about).toContain("warning: RUNEGATE_LISTN");
    expect(lines.at(-1)).toBe("Runegate would not start: 6 problems.");
  });
  test("the examples, secrets added, are refused for what has to be filled in, and no advice follows from the gaps", async () => {
    const env = { ...parseEnv(envExample), ...SECRETS, RUNEGATE_EMAIL_CONFIG: "" };
    const { code, lines } = await check(env, [], [], emailExample);
    expect(code).toBe(78);
    const said = lines.slice(0, -1).map((line) => line.replace(/: \/[^\s:]+:(?:\d+:\d+:)?/, ": email.toml:"));
    expect(said.map((line) => line.split(" ").slice(0, 3).join(" "))).toEqual([
      "error: RUNEGATE_BASE_URL is",
      "error: RUNEGATE_ALLOWED_EMAILS is",
      ...["smtp_host", "smtp_user", "smtp_pass", "from_address"].map((key) => `error: email.toml: ${key}`),
    ]);
  });
  test("several applications are counted, and what is wrong with them is said", async () => {
    const route = (name: string, keys: string) =>
      `[[routes]]\nname = "${name}"\npath = "/${name}"\ntarget = "https://127.0.0.1:1"\n${keys}\n`;
    using machine = testMachine();
    const good = machine.write("good.toml", route("a", "") + route("b", "tls_verify = false"));
    const { code, lines } = await check({ ...LISTED, RUNEGATE_ROUTES: good });
    expect([code, lines]).toEqual([
      0,
      [
        expect.stringMatching(/^warning: .*route b believes any certificate/),
        "The configuration is good, with 1 warning.",
        "It has 2 applications.",
      ],
    ]);
    const bad = machine.write("bad.toml", route("a", "") + route("a", ""));
    expect((await check({ ...LISTED, RUNEGATE_ROUTES: bad })).code).toBe(78);
  });
  test("certificates that a start could not read are a problem, as they are then", async () => {
    const env = { ...LISTED, RUNEGATE_BASE_URL: "https://localhost", RUNEGATE_TLS: "files" };
    const { code, lines } = await check({ ...env, RUNEGATE_TLS_CERT: "/nonexistent" });
    expect([code, lines]).toEqual([
      78,
      [
        expect.stringMatching(/^error: RUNEGATE_TLS_CERT cannot be used: \/nonexistent is not there\. /),
        "Runegate would not start: 1 problem.",
      ],
    ]);
  });
  test("certificates that a start could not order are a problem, as they are then", async () => {
    const env = { ...LISTED, RUNEGATE_BASE_URL: "https://localhost", RUNEGATE_TLS: "acme" };
    const { code, lines } = await check(env);
    expect([code, lines]).toEqual([
      78,
      [
        expect.stringMatching(
          /^error: RUNEGATE_TLS cannot be used: no certificate can be ordered for localhost/,
        ),
        "Runegate would not start: 1 problem.",
      ],
    ]);
  });
  test("reaches nothing unless asked", async () => {
    const probe: Probe = {
      name: "application",
      run: () => {
        throw new Error("was run");
      },
    };
    expect((await check(LISTED, [], [probe])).code).toBe(0);
  });
  test("--online runs every probe and exits 1 if one fails", async () => {
    const probe = (name: string, ok: boolean): Probe => ({
      name,
      run: async ({ options }) => ({ ok, lines: [options.baseUrl] }),
    });
    expect(await check(LISTED, ["--online"], [probe("application", false), probe("store", true)])).toEqual({
      code: 1,
      lines: [
        "The configuration is good.",
        "application: FAILED",
        "    http://localhost:7870",
        "store: ok",
        "    http://localhost:7870",
      ],
    });
    expect((await check(LISTED, ["--online"], [probe("store", true)])).code).toBe(0);
    const { code, lines } = await check(LISTED, ["--online", "--json"], [probe("store", false)]);
    expect([code, JSON.parse(lines.join("\n"))]).toMatchObject([
      1,
      { ok: false, reached: [{ name: "store", ok: false, lines: ["http://localhost:7870"] }] },
    ]);
  });
});
