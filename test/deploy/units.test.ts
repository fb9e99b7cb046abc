import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEnvFile } from "../../src/config/env-file.ts";
import { loadOptions } from "../../src/config/load.ts";
import { OPTION_NAMES } from "../../src/config/options.ts";
import { needs } from "../support/needs.ts";
import { testMachine } from "../support/surroundings.ts";
import { deploy } from "./machine.ts";

const read = (name: string) => readFileSync(join(deploy, name), "utf8");
const unit = read("systemd/runegate.service");

/** Lines of a unit that say something, by name. */
function settings(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [, name = "", value = ""] of text.matchAll(/^([A-Za-z]+)=(.*)$/gm)) {
    found.set(name, [...(found.get(name) ?? []), value]);
  }
  return found;
}

const analyze = needs("systemd-analyze");

describe.skipIf(analyze === undefined)("systemd-analyze", () => {
  test.each([
    ["runegate.service", "systemd/runegate.service", /\/opt\/runegate\/bin\/runegate(?= )/g],
    ["runegate-connect.service", "systemd/runegate-connect.service", /\/opt\/runegate\/bin\/runegate(?= )/g],
    [
      "target-app.service",
      "systemd/target-app-uvicorn.service.example",
      /\/srv\/target-app\/venv\/bin\/uvicorn/g,
    ],
  ])("verify: nothing to say about %s", (name, path, executable) => {
    const folder = mkdtempSync(join(tmpdir(), "runegate-unit-"));
    // The one thing that is not on this machine.
    const text = read(path).replaceAll(executable, "/bin/true");
    expect(text).not.toBe(read(path));
    writeFileSync(join(folder, name), text);
    const { exitCode, stdout, stderr } = Bun.spawnSync([
      analyze ?? "",
      "verify",
      "--man=no",
      join(folder, name),
    ]);
    rmSync(folder, { recursive: true });
    expect([stderr.toString(), stdout.toString(), exitCode]).toEqual(["", "", 0]);
  });

  test("verify: nothing to say about the unit of a user", () => {
    const folder = mkdtempSync(join(tmpdir(), "runegate-unit-"));
    const text = read("systemd/user/runegate-connect.service");
    const path = join(folder, "runegate-connect.service");
    writeFileSync(path, text.replace("%h/.local/bin/runegate", "/bin/true"));
    const env = { ...process.env, XDG_RUNTIME_DIR: folder };
    const ran = Bun.spawnSync([analyze ?? "", "verify", "--user", "--man=no", path], { env });
    rmSync(folder, { recursive: true });
    expect([ran.stderr.toString(), ran.stdout.toString(), ran.exitCode]).toEqual(["", "", 0]);
  });

  test.each(["runegate", "runegate-connect"])("security: an exposure of 1.3 or less: %s", (name) => {
    const { stdout } = Bun.spawnSync([
      analyze ?? "",
      ...["security", "--offline=true", "--no-pager", join(deploy, `systemd/${name}.service`)],
    ]);
    const exposure = Number(/exposure level for \S+\.service: ([\d.]+)/.exec(stdout.toString())?.[1]);
    expect(exposure).toBeLessThanOrEqual(1.3);
  });
});

test("both units of a connector start the same command, and it takes that", () => {
  const command = (name: string) => settings(read(name)).get("ExecStart")?.[0]?.replace(/^\S+/, "") ?? "";
  const [system, user] = ["systemd/runegate-connect.service", "systemd/user/runegate-connect.service"].map(
    command,
  );
  expect(user?.replace("%h/.config/runegate/connect.token", "$TOKEN")).toBe(
    system?.replace(/\$\{CREDENTIALS_DIRECTORY\}\/token/, "$TOKEN") ?? "",
  );
  // As systemd makes words of it: one of ${NAME}, and as many of $NAME as there are blanks (systemd.service(5)).
  const words = (system ?? "").trim().replaceAll(/\$\{\w+\}/g, (name) => `"${name}"`);
  const { stderr, exitCode } = Bun.spawnSync(
    ["sh", "-c", `exec "$0" "$1" ${words}`, process.execPath, join(deploy, "../src/main.ts")],
    {
      env: {
        ...process.env,
        RUNEGATE_CONNECT_URL: "https://app.example.org",
        RUNEGATE_CONNECT_TUNNEL: "home",
        RUNEGATE_CONNECT_FLAGS: "--to http://127.0.0.1:7860 --to grafana=http://127.0.0.1:3000",
        CREDENTIALS_DIRECTORY: "/nonexistent",
      },
    },
  );
  // All of it is understood, and the token is what is missing.
  expect([exitCode, stderr.toString()]).toEqual([1, expect.stringContaining("/nonexistent/token")]);
});

describe("the unit", () => {
  const has = settings(unit);

  test("agrees with what install.sh puts where", () => {
    expect(has.get("ExecStart")).toEqual(["/opt/runegate/bin/runegate serve"]);
    expect(has.get("Environment")).toContain("RUNEGATE_ENV_FILE=/etc/runegate/runegate.env");
    expect([has.get("User"), has.get("StateDirectory"), has.get("RuntimeDirectory")]).toEqual([
      ["runegate"],
      ["runegate"],
      ["runegate"],
    ]);
    // A file bound by its inode would stay the old one after an upgrade.
    expect(has.get("ExecPaths")?.[0]?.split(" ")).toContain("/opt/runegate/bin");
  });

  test("waits for neither the application nor the TLS proxy", () => {
    const named = ["After", "Wants", "Requires", "BindsTo", "Requisite"].flatMap(
      (name) => has.get(name) ?? [],
    );
    expect(named).toEqual(["network-online.target", "network-online.target"]);
  });

  test("a stop leaves more time than requests are given to finish", () => {
    expect(Number.parseInt(has.get("TimeoutStopSec")?.[0] ?? "", 10)).toBeGreaterThan(10);
  });

  test("allows for JIT compilation, and for nothing it does not need", () => {
    expect(has.has("MemoryDenyWriteExecute")).toBe(false);
    expect(has.get("CapabilityBoundingSet")).toEqual([""]);
  });
});

describe("the examples", () => {
  test("runegate.env.example: options that exist, and two to be filled in before it starts", () => {
    const text = read("runegate.env.example");
    // As if every proposal were taken.
    const proposed = text.replaceAll(/^#(RUNEGATE_)/gm, "$1");
    const { entries, problems } = parseEnvFile(proposed, "example");
    expect(problems).toEqual([]);
    for (const name of entries.keys()) expect(OPTION_NAMES).toContain(name);

    using machine = testMachine();
    const secrets = `RUNEGATE_JWT_SECRET=${"x".repeat(64)}\nRUNEGATE_SESSION_KEY=${"ab".repeat(64)}\n`;
    machine.write("runegate.env", text + secrets);
    expect(() => loadOptions({ env: {} }, machine)).toThrow(
      /RUNEGATE_BASE_URL[\s\S]+RUNEGATE_ALLOWED_EMAILS/,
    );
    const filled = text
      .replace("RUNEGATE_BASE_URL=\n", "RUNEGATE_BASE_URL=https://app.example.org\n")
      .replace("RUNEGATE_ALLOWED_EMAILS=\n", "RUNEGATE_ALLOWED_EMAILS=ada@example.org\n");
    machine.write("runegate.env", filled + secrets);
    const { options, warnings } = loadOptions({ env: {} }, machine);
    expect(warnings).toEqual([]);
    expect(options.production).toBe(true);
    expect(options.store).toEqual({ kind: "sqlite", path: "/var/lib/runegate/runegate.db" });
  });

  test("the kernel settings may be missing, and are all settings", () => {
    const lines = read("sysctl/60-runegate.conf")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    expect(lines).toContain("-net.ipv4.tcp_migrate_req = 1");
    for (const line of lines) expect(line).toMatch(/^-[a-z0-9_.]+ = \d+$/);
  });
});
