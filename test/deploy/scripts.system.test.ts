import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { needs } from "../support/needs.ts";
import { deploy, type Ended, installationMachine, type Machine } from "./machine.ts";

setDefaultTimeout(20_000);

const EXECUTABLE = "opt/runegate/bin/runegate";
const ENV = "etc/runegate/runegate.env";
const UNIT = "etc/systemd/system/runegate.service";
const SITE = "etc/nginx/sites-available/runegate.conf";

let model: Promise<Machine> | undefined;
afterAll(async () => (await model)?.[Symbol.dispose]());

/** A machine with one version installed, configured and running. The first one is the model of all. */
async function installed(): Promise<Machine> {
  model ??= install();
  return (await model).copy();
}

async function install(): Promise<Machine> {
  const machine = installationMachine();
  machine.configure();
  const { code, stdout, stderr } = await machine.run("install.sh", "--binary", machine.binary("first"));
  if (code !== 0) throw new Error(stdout + stderr);
  machine.calls();
  return machine;
}

const secretsIn = (text: string) =>
  [...text.matchAll(/^RUNEGATE_(?:JWT_SECRET|SESSION_KEY)=(.+)$/gm)].map(([, value = ""]) => value);

describe("install.sh, the first time", () => {
  test("puts everything in place, and says what has to be filled in before it can start", async () => {
    using machine = installationMachine();
    const { code, stdout, stderr } = await machine.run(
      "install.sh",
      "--binary",
      machine.binary("first", "real"),
    );
    // Nobody but root can give the file to root, which is what makes a group that reads it all right.
    const ours =
      process.getuid?.() === 0 ? "" : /^warning: \S+ holds a secret, and other users can read it .*\n/m;
    expect([code, stderr.replace(ours, "")]).toEqual([78, ""]);
    expect(stdout).toMatch(/RUNEGATE_BASE_URL is required/);
    expect(stdout).toMatch(/smtp_pass is still the example's/);
    expect(stdout).not.toMatch(/go back to|version before/);
    expect(stdout).toMatch(
      /not started[\s\S]+RUNEGATE_BASE_URL[\s\S]+email\.toml[\s\S]+systemctl enable --now runegate/,
    );
    expect(machine.service()).toBe("inactive");

    expect(machine.read(EXECUTABLE)).toContain("# first");
    expect(machine.exists(`${EXECUTABLE}.previous`)).toBe(false);
    const env = machine.read(ENV);
    expect(env).toMatch(/^RUNEGATE_ENV=production$/m);
    expect(env).toMatch(/^RUNEGATE_STORE=sqlite:\/var\/lib\/runegate\/runegate\.db$/m);
    const secrets = secretsIn(env);
    expect(secrets.map(({ length }) => length)).toEqual([64, 128]);
    for (const secret of secrets) expect(stdout).not.toContain(secret);

    for (const [path, mode] of [
      ["opt/runegate/bin", "0755"],
      [EXECUTABLE, "0755"],
      ["etc/runegate", "0750"],
      ["etc/runegate/config", "0750"],
      [ENV, "0640"],
      ["etc/runegate/config/email.toml", "0640"],
      ["var/lib/runegate", "0700"],
      [UNIT, "0644"],
      ["etc/sysctl.d/60-runegate.conf", "0644"],
      ["opt/runegate/uninstall.sh", "0755"],
    ] as const) {
      expect([path, machine.mode(path)]).toEqual([path, mode]);
    }
    const calls = machine.calls();
    expect(calls).toContain("groupadd --system runegate");
    expect(calls.join("\n")).toMatch(/^useradd --system .*--shell \/usr\/sbin\/nologin.* runegate$/m);
    // Owned by root before they get their names, and by the service where it writes.
    expect(calls.join("\n")).toMatch(/^chown root:runegate \/etc\/runegate\/\.runegate\.\w+\.tmp$/m);
    expect(calls).toContain("chown root:runegate /etc/runegate");
    expect(calls).toContain("chown runegate:runegate /var/lib/runegate");
    expect(calls.join("\n")).toMatch(/^chown root:root \/opt\/runegate\/bin\/\.runegate\.\w+\.tmp$/m);
    expect(calls.join("\n")).not.toMatch(/systemctl (enable|start|restart)/);
    expect(Object.keys(machine.tree()).filter((path) => path.includes(".tmp"))).toEqual([]);
  });

  test("what may hold a secret is at no instant open to others", async () => {
    using machine = installationMachine();
    let running = true;
    const run = machine.run("install.sh", "--binary", machine.binary("first", "real")).finally(() => {
      running = false;
    });
    const seen = new Set<string>();
    const open = new Set<string>();
    while (running) {
      for (const [name, mode] of modesBelow(machine.path("etc/runegate"))) {
        seen.add(name);
        if ((mode & 0o007) !== 0) open.add(`${name} ${mode.toString(8)}`);
      }
      await Bun.sleep(1);
    }
    expect((await run).code).toBe(78);
    expect(seen.size).toBeGreaterThan(4);
    expect([...open]).toEqual([]);
  });

  test("starts it once the configuration is complete", async () => {
    using machine = installationMachine();
    const binary = machine.binary("first", "real");
    await machine.run("install.sh", "--binary", binary);
    machine.configure();
    const before = machine.read(ENV);
    machine.calls();
    const { code, stdout } = await machine.run("install.sh", "--binary", binary);
    expect(code).toBe(0);
    expect(stdout).toContain("Runegate is installed.");
    expect(machine.read(ENV)).toBe(before);
    expect(machine.service()).toBe("active");
    const calls = machine.calls().filter((call) => call.startsWith("systemctl"));
    expect(calls).toEqual([
      "systemctl daemon-reload",
      "systemctl enable --quiet runegate",
      "systemctl restart runegate",
    ]);
  });

  test("a service that does not start is stopped again, with exit code 1", async () => {
    using machine = installationMachine();
    const binary = machine.binary("first", "no-start");
    await machine.run("install.sh", "--binary", binary);
    machine.configure();
    rmSync(machine.path(EXECUTABLE));
    const { code, stderr } = await machine.run("install.sh", "--binary", binary);
    expect([code, machine.service()]).toEqual([1, "inactive"]);
    expect(stderr).toContain("journalctl -u runegate");
  });

  test("with --no-start it is only enabled", async () => {
    using machine = installationMachine();
    const binary = machine.binary("first");
    await machine.run("install.sh", "--binary", binary);
    machine.configure();
    expect((await machine.run("install.sh", "--binary", binary, "--no-start")).code).toBe(0);
    expect(machine.service()).toBe("inactive");
    expect(machine.calls()).toContain("systemctl enable --quiet runegate");
  });

  test("an executable that does not run here changes nothing of an installation", async () => {
    using machine = await installed();
    const before = machine.tree();
    const { code, stderr } = await machine.run("install.sh", "--binary", machine.binary("b", "no-version"));
    expect([code, machine.service()]).toEqual([1, "active"]);
    expect(stderr).toContain("does not run on this machine");
    expect(machine.tree()).toEqual(before);
  });

  test("systemd 254 and later gets the growing pause, 252 does not", async () => {
    using machine = installationMachine();
    const backoff = `${UNIT}.d/10-backoff.conf`;
    await machine.run("install.sh", "--binary", machine.binary("first"));
    expect(machine.exists(backoff)).toBe(false);
    machine.set("systemd", "257");
    await machine.run("install.sh", "--binary", machine.binary("first"));
    expect(machine.read(backoff)).toContain("RestartSteps=");
  });

  test("prints the secrets only when asked", async () => {
    using machine = installationMachine();
    const { stdout } = await machine.run("install.sh", "--binary", machine.binary("a"), "--show-secrets");
    for (const secret of secretsIn(machine.read(ENV))) expect(stdout).toContain(secret);
  });
});

describe("install.sh, again", () => {
  test("with the executable that is there leaves the one before it, and reloads", async () => {
    using machine = await installed();
    const second = ["--binary", machine.binary("second")];
    expect((await machine.run("install.sh", ...second)).code).toBe(0);
    machine.calls();
    expect((await machine.run("install.sh", ...second)).code).toBe(0);
    expect(machine.read(EXECUTABLE)).toContain("# second");
    expect(machine.read(`${EXECUTABLE}.previous`)).toContain("# first");
    const calls = machine.calls().filter((call) => /^systemctl (reload|restart|stop)/.test(call));
    expect(calls).toEqual(["systemctl reload runegate"]);
    expect(Object.keys(machine.tree()).filter((path) => path.includes(".tmp"))).toEqual([]);
  });

  test("hands over to a new version by a reload, and keeps configuration, secrets and data", async () => {
    using machine = await installed();
    machine.write("var/lib/runegate/runegate.db", "sessions");
    const [env, email] = [machine.read(ENV), machine.read("etc/runegate/config/email.toml")];
    const { code, stdout } = await machine.run("install.sh", "--binary", machine.binary("second"));
    expect([code, machine.service()]).toEqual([0, "active"]);
    expect(stdout).toContain("no connection is refused");
    expect(machine.read(EXECUTABLE)).toContain("# second");
    expect(machine.read(`${EXECUTABLE}.previous`)).toContain("# first");
    expect(machine.read(ENV)).toBe(env);
    expect(machine.read("etc/runegate/config/email.toml")).toBe(email);
    expect(machine.read("var/lib/runegate/runegate.db")).toBe("sessions");
    const calls = machine.calls().filter((call) => /^systemctl (reload|restart|stop)/.test(call));
    expect(calls).toEqual(["systemctl reload runegate"]);
  });

  test.each([
    ["in a file", "RUNEGATE_STORE_FILE=/etc/runegate/store"],
    ["that of Valkey", "RUNEGATE_STORE=valkeys://:secret@cache.example.org:6379/0"],
    ["that of PostgreSQL", "RUNEGATE_STORE=postgres:///runegate?host=/run/postgresql"],
  ])("hands over too where the address of the store is %s", async (_, line) => {
    using machine = await installed();
    machine.write(ENV, machine.read(ENV).replace(/^RUNEGATE_STORE=.*$/m, line));
    await machine.run("install.sh", "--binary", machine.binary("second"));
    expect(machine.calls()).toContain("systemctl reload runegate");
  });

  test("leaves who owns the data to systemd, which looks at all of it", async () => {
    using machine = await installed();
    await machine.run("install.sh", "--binary", machine.binary("second"));
    expect(machine.calls().join()).not.toMatch(/chown \S+ \/var\/lib/);
  });

  test.each([
    ["the memory store", "RUNEGATE_STORE=memory"],
    ["a unix socket", "RUNEGATE_LISTEN=unix:/run/runegate/http.sock"],
    ["a unix socket for an edge that asks", "RUNEGATE_CHECK_LISTEN=unix:/run/runegate/check.sock"],
  ])("restarts where nothing can be handed over: %s", async (_, line) => {
    using machine = await installed();
    machine.write(ENV, `${machine.read(ENV)}${line}\n`);
    expect((await machine.run("install.sh", "--binary", machine.binary("second"))).code).toBe(0);
    const calls = machine.calls().filter((call) => /^systemctl (reload|restart|stop)/.test(call));
    expect(calls).toEqual(["systemctl restart runegate"]);
  });

  test.each([
    ["that does not take over", "", "systemctl reload runegate"],
    ["that does not start", "RUNEGATE_STORE=memory\n", "systemctl restart runegate"],
  ])("puts the version before back after one %s", async (_, line, first) => {
    using machine = await installed();
    machine.write(ENV, `${machine.read(ENV)}${line}`);
    machine.write(UNIT, "# the unit before\n");
    const { code, stdout } = await machine.run("install.sh", "--binary", machine.binary("b", "no-start"));
    expect([code, machine.service()]).toEqual([1, "active"]);
    expect(stdout).toMatch(
      line === "" ? /the version before runs on/ : /the version before was started again/,
    );
    expect(machine.read(EXECUTABLE)).toContain("# first");
    expect(machine.read(UNIT)).toBe("# the unit before\n");
    expect(machine.calls().filter((call) => /^systemctl (reload|restart|stop)/.test(call))).toEqual(
      line === "" ? [first] : [first, first],
    );
  });

  test("interrupted while the new version takes over, it goes back to the version it puts back", async () => {
    using machine = await installed();
    machine.set("reload", "interrupted");
    const { code, stdout } = await machine.run("install.sh", "--binary", machine.binary("second"));
    expect([code, machine.service()]).toEqual([143, "active"]);
    expect(stdout).toContain("the version before was started again");
    expect(machine.read(EXECUTABLE)).toContain("# first");
    expect(machine.calls().filter((call) => /^systemctl (reload|restart|stop)/.test(call))).toEqual([
      "systemctl reload runegate",
      "systemctl restart runegate",
    ]);
  });

  test("does not switch to a version that would not start with the configuration", async () => {
    using machine = await installed();
    const before = machine.tree();
    const { code, stdout, stderr } = await machine.run(
      "install.sh",
      "--binary",
      machine.binary("b", "check-fails"),
    );
    expect([code, machine.service()]).toEqual([78, "active"]);
    expect(stdout).toContain("something new is missing");
    expect(stderr).toContain("the old one runs on");
    expect(machine.tree()).toEqual(before);
    expect(machine.calls().join()).not.toMatch(/systemctl (reload|restart)/);
  });

  test("takes from files what somebody let others do with them", async () => {
    using machine = await installed();
    Bun.spawnSync(["chmod", "-R", "777", machine.path("etc/runegate")]);
    await machine.run("install.sh", "--binary", machine.binary("first"));
    expect([machine.mode("etc/runegate"), machine.mode(ENV)]).toEqual(["0750", "0640"]);
  });

  test("adds no secret that a drop-in gives as a credential, and checks with it", async () => {
    using machine = await installed();
    const env = machine.read(ENV).replace(/^RUNEGATE_(JWT_SECRET|SESSION_KEY)=.*\n/gm, "");
    machine.write(ENV, env);
    Bun.spawnSync(["mkdir", machine.path(`${UNIT}.d`)]);
    machine.write(
      `${UNIT}.d/override.conf`,
      "[Service]\n#LoadCredential=no:/no\nLoadCredential=runegate_jwt_secret:/etc/runegate/credentials/jwt\n",
    );
    const { stdout } = await machine.run("install.sh", "--binary", machine.binary("second"));
    expect(stdout).toContain("Leave the secrets alone");
    expect(machine.read(ENV)).toBe(env);
    expect(machine.trial()).toMatch(
      /^LoadCredential=runegate_jwt_secret:\/etc\/runegate\/credentials\/jwt$/m,
    );
    expect(machine.trial()).toMatch(/^User=runegate$/m);
    expect(machine.trial()).not.toContain("no:/no");
    expect(readdirSync(machine.path("run/systemd/system"))).toEqual([]);

    machine.write(
      `${UNIT}.d/override.conf`,
      "[Service]\nSetCredentialEncrypted=runegate_jwt_secret: \\\n  abc= \\\n  def=\nEnvironment=A=b\n",
    );
    await machine.run("install.sh", "--binary", machine.binary("second"));
    expect(machine.trial()).toMatch(
      /^SetCredentialEncrypted=runegate_jwt_secret: +abc= +def=\nEnvironment=A=b\nExecStart=/m,
    );

    const refused = await machine.run("install.sh", "--binary", machine.binary("third", "check-fails"));
    expect([refused.code, machine.service()]).toEqual([78, "active"]);
    expect(refused.stdout).toContain("something new is missing");

    machine.set("begins", "no");
    const before = machine.tree();
    const { code, stderr } = await machine.run("install.sh", "--binary", machine.binary("fourth"));
    expect([code, machine.tree()]).toEqual([1, before]);
    expect(stderr).toContain("could not be checked");
  });
});

describe("install.sh changes nothing", () => {
  async function refuses(machine: Machine, how: Promise<Ended>, reason: string): Promise<void> {
    const before = machine.tree();
    const { code, stderr } = await how;
    expect([code, machine.tree()]).toEqual([1, before]);
    expect(stderr).toContain(reason);
    expect(machine.calls().join()).not.toMatch(/chown|add|systemctl (enable|start|reload|restart)/);
  }

  test.each([
    ["a person's", 1000],
    ["root by another name", 0],
  ])("where the account is %s", async (_, uid) => {
    using machine = installationMachine();
    machine.set("accounts", `passwd runegate:x:${uid}:${uid}::/home/runegate:/bin/bash`);
    await refuses(machine, machine.run("install.sh", "--binary", machine.binary("a")), "no system user");
  });

  test("without the folder it belongs in", async () => {
    using machine = installationMachine();
    const binary = machine.binary("a");
    const alone = machine.path("../install.sh");
    cpSync(join(deploy, "install.sh"), alone);
    await refuses(machine, machine.type(`${alone} --binary ${binary}`), "needs the whole deploy folder");
    const piped = `cat deploy/install.sh | bash -s -- --binary ${binary}`;
    await refuses(machine, machine.type(piped), "needs the whole deploy folder");
  });

  test("while another one is at work", async () => {
    using machine = await installed();
    const holder = Bun.spawn(["flock", machine.path("opt/runegate/bin"), "sh", "-c", "echo held; cat"], {
      stdin: "pipe",
      stdout: "pipe",
    });
    await holder.stdout.getReader().read();
    machine.write("opt/runegate/bin/.runegate.aBcDeF.tmp", "the other one's");
    const { code, stderr } = await machine.run("install.sh", "--binary", machine.binary("second"));
    await holder.stdin.end();
    expect(await holder.exited).toBe(0);
    expect([code, stderr]).toEqual([1, "install.sh: another install.sh is at work.\n"]);
    expect(machine.read(EXECUTABLE)).toContain("# first");
    expect(machine.exists("opt/runegate/bin/.runegate.aBcDeF.tmp")).toBe(true);
    expect((await machine.run("install.sh", "--binary", machine.binary("second"))).code).toBe(0);
    expect(machine.exists("opt/runegate/bin/.runegate.aBcDeF.tmp")).toBe(false);
  });
});

test("install.sh finds its folder where cd says which one it found", async () => {
  using machine = installationMachine();
  const { code, stderr } = await machine.type(
    `CDPATH=. deploy/install.sh --dry-run --binary ${machine.binary("a")}`,
  );
  expect([code, stderr]).toEqual([0, ""]);
});

describe("install.sh --setup-nginx", () => {
  const args = (machine: Machine) => [
    "--binary",
    machine.binary("first"),
    "--setup-nginx",
    "app.example.org",
  ];

  test("installs, tests and enables the site, and fills the domain in", async () => {
    using machine = installationMachine();
    const { code } = await machine.run("install.sh", ...args(machine));
    expect(code).toBe(78);
    expect(machine.read(ENV)).toMatch(/^RUNEGATE_BASE_URL=https:\/\/app\.example\.org$/m);
    expect(machine.read(SITE)).toMatch(/server_name app\.example\.org;/);
    expect(machine.tree()["etc/nginx/sites-enabled/runegate.conf"]).toBe(
      "-> /etc/nginx/sites-available/runegate.conf",
    );
    const calls = machine.calls();
    expect(calls.indexOf("nginx -t -q")).toBeGreaterThan(-1);
    expect(calls.indexOf("systemctl reload-or-restart nginx")).toBeGreaterThan(calls.indexOf("nginx -t -q"));
  });

  test("another domain, certificate and address", async () => {
    using machine = await installed();
    machine.write(ENV, `${machine.read(ENV)}RUNEGATE_LISTEN=0.0.0.0:7999\n`);
    machine.write("opt/cert.pem", "");
    const certificate = [
      "--certificate",
      machine.path("opt/cert.pem"),
      "--key",
      machine.path("opt/cert.pem"),
    ];
    const { code } = await machine.run(
      "install.sh",
      "--binary",
      machine.binary("first"),
      "--setup-nginx",
      "Login.Example.NET",
      ...certificate,
    );
    expect(code).toBe(0);
    const site = machine.read(SITE);
    expect(site).not.toContain("app.example.org");
    expect(site).toContain("server_name login.example.net;");
    expect(site).toContain(`ssl_certificate_key ${machine.path("opt/cert.pem")};`);
    expect(site).toContain("server 127.0.0.1:7999;");
  });

  test("puts everything back when nginx refuses the site", async () => {
    using machine = installationMachine();
    machine.set("nginx", "1");
    const { code, stderr } = await machine.run("install.sh", ...args(machine));
    expect([code, machine.exists(SITE)]).toEqual([1, false]);
    expect(stderr).toContain("nginx -t refuses the site");
    expect(readdirSync(machine.path("etc/nginx/sites-enabled"))).toEqual([]);
    expect(machine.calls().join()).not.toContain("nginx.service");
    machine.write(SITE, "# the site before\n");
    await machine.run("install.sh", ...args(machine));
    expect(machine.read(SITE)).toBe("# the site before\n");
    expect(readdirSync(machine.path("etc/nginx/sites-available"))).toEqual(["runegate.conf"]);
  });

  test("wants the certificate first, and says how to get one", async () => {
    using machine = installationMachine();
    const before = machine.tree();
    const { code, stderr } = await machine.run(
      "install.sh",
      ...args(machine).slice(0, 3),
      "other.example.org",
    );
    expect(code).toBe(1);
    expect(stderr).toContain(
      'certbot certonly --webroot -w /var/www/html -d other.example.org --deploy-hook "systemctl reload nginx"',
    );
    expect(machine.tree()).toEqual(before);
  });

  test("without a certificate and without nginx, --dry-run names them once and shows its steps", async () => {
    using machine = installationMachine();
    rmSync(machine.path("etc/nginx"), { recursive: true });
    const before = machine.tree();
    // One may be installed where the test runs.
    const without = 'command() { [ "$2" != nginx ] && builtin command "$@"; }; export -f command';
    const { code, stdout, stderr } = await machine.type(
      `${without}; deploy/install.sh --binary ${machine.binary("first")} --setup-nginx other.example.org --dry-run`,
    );
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout.match(/^first: .*/gm)).toEqual([
      "first: --setup-nginx needs nginx. Install it: apt-get install nginx",
      "first: there is no /etc/letsencrypt/live/other.example.org/fullchain.pem. Get a certificate first, for example:",
    ]);
    expect(stdout).toMatch(
      /would: Install the nginx site \/etc\/nginx\/sites-available\/runegate.conf for other\.example\.org\n/,
    );
    expect(stdout).toEndWith("Nothing was changed.\n");
    expect([machine.tree(), machine.calls()]).toEqual([before, []]);
  });
});

describe("install.sh --edge", () => {
  const PORTS = `${UNIT}.d/20-edge.conf`;

  test("lets the service have its ports, and writes what makes it its own edge", async () => {
    using machine = installationMachine();
    const args = ["--binary", machine.binary("first", "real"), "--edge", "App.example.org"];
    expect((await machine.run("install.sh", ...args)).code).toBe(78);
    const env = machine.read(ENV);
    expect(env).toMatch(/^RUNEGATE_BASE_URL=https:\/\/app\.example\.org$/m);
    expect(env).toMatch(/^RUNEGATE_TLS=acme$/m);
    expect(env).not.toMatch(/^RUNEGATE_LISTEN=|nginx or Caddy/m);
    expect(machine.read(PORTS)).toMatch(/^AmbientCapabilities=CAP_NET_BIND_SERVICE$/m);
    expect([machine.mode(PORTS), machine.exists(SITE)]).toEqual(["0644", false]);
    const calls = machine.calls();
    expect(calls.filter((call) => call === "systemctl daemon-reload").length).toBeGreaterThan(0);
    expect((await machine.run("uninstall.sh", "--yes", "--keep-data")).code).toBe(0);
    expect(machine.exists(PORTS)).toBe(false);
  });

  test("an installation with another edge is told what to write, and is changed in nothing", async () => {
    using machine = await installed();
    const before = machine.read(ENV);
    const { code, stderr } = await machine.run(
      ...(["install.sh", "--binary", machine.binary("second"), "--edge", "app.example.org"] as const),
    );
    expect([code, machine.service()]).toEqual([1, "active"]);
    expect(stderr).toContain("RUNEGATE_TLS=acme");
    expect([machine.read(ENV), machine.exists(PORTS)]).toEqual([before, false]);
    expect(machine.read(EXECUTABLE)).toContain("# first");
  });

  test.each(["files", "self-signed"])("one with TLS=%s has nothing in front either", async (tls) => {
    using machine = await installed();
    machine.write(ENV, `${machine.read(ENV)}RUNEGATE_TLS=${tls}\n`);
    const args = ["--binary", machine.binary("second"), "--edge", "app.example.org"];
    expect([(await machine.run("install.sh", ...args)).code, machine.exists(PORTS)]).toEqual([0, true]);
  });

  test("ports that are new take a restart, and those that are there a reload", async () => {
    using machine = await installed();
    machine.write(ENV, `${machine.read(ENV)}RUNEGATE_TLS=acme\n`);
    for (const [version, how] of [
      ["second", "restart"],
      ["third", "reload"],
    ] as const) {
      const args = ["--binary", machine.binary(version), "--edge", "app.example.org"];
      expect((await machine.run("install.sh", ...args)).code).toBe(0);
      const calls = machine.calls().filter((call) => /^systemctl (reload|restart|stop)/.test(call));
      expect(calls).toEqual([`systemctl ${how} runegate`]);
    }
  });

  test("where the version does not start with them, they are taken away again", async () => {
    using machine = await installed();
    machine.write(ENV, `${machine.read(ENV)}RUNEGATE_TLS=acme\n`);
    const args = ["--binary", machine.binary("b", "no-start"), "--edge", "app.example.org"];
    expect((await machine.run("install.sh", ...args)).code).toBe(1);
    expect([machine.service(), machine.exists(PORTS)]).toEqual(["active", false]);
  });
});

describe("install.sh --connect", () => {
  const CONNECT = "etc/systemd/system/runegate-connect.service";
  const TOKEN = "etc/runegate/connect.token";
  const written = `rgt_${"a".repeat(12)}_${"B".repeat(38)}\n`;

  function connecting(machine: Machine, ...more: string[]): string[] {
    machine.write("../token", written);
    return [
      ...[
        "--connect",
        "https://app.example.org",
        "--tunnel",
        "home",
        "--token-file",
        machine.path("../token"),
      ],
      ...["--to", "http://127.0.0.1:7860", ...more],
    ];
  }
  const run = (machine: Machine, name = "first") =>
    machine.run("install.sh", "--binary", machine.binary(name), ...connecting(machine));

  test("installs the connector alone, gives it the token, and waits until it is connected", async () => {
    using machine = installationMachine();
    const more = ["--to", "grafana=http://127.0.0.1:3000"];
    const args = ["--binary", machine.binary("first"), ...connecting(machine, ...more)];
    const { code, stdout, stderr } = await machine.run("install.sh", ...args);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toEndWith("  Connected.\nThe application is connected.\n");
    expect(stdout).not.toContain(written.trim());
    expect(machine.read(`${CONNECT}.d/10-tunnel.conf`)).toBe(`[Service]
Environment=RUNEGATE_CONNECT_URL=https://app.example.org
Environment=RUNEGATE_CONNECT_TUNNEL=home
Environment="RUNEGATE_CONNECT_FLAGS=--to http://127.0.0.1:7860 --to grafana=http://127.0.0.1:3000"
LoadCredential=token:/etc/runegate/connect.token
`);
    expect(machine.read(TOKEN)).toBe(written);
    expect([TOKEN, CONNECT, EXECUTABLE].map((name) => machine.mode(name))).toEqual(["0600", "0644", "0755"]);
    expect([UNIT, ENV, "var/lib/runegate"].filter((name) => machine.exists(name))).toEqual([]);
    const calls = machine.calls();
    expect(calls.join("\n")).toMatch(/^chown root:root \/etc\/runegate\/\.runegate\.\w+\.tmp$/m);
    expect(calls.filter((call) => /^(systemctl|useradd|groupadd)/.test(call))).toEqual([
      "systemctl daemon-reload",
      "systemctl enable --quiet runegate-connect",
      "systemctl restart runegate-connect",
    ]);
  });

  test("again, with another version and token, replaces both", async () => {
    using machine = installationMachine();
    expect((await run(machine)).code).toBe(0);
    expect((await run(machine, "second")).code).toBe(0);
    expect(machine.read(EXECUTABLE)).toContain("# second");
    expect(machine.read(`${EXECUTABLE}.previous`)).toContain("# first");
  });

  test("that finds no server ends with 1 and says why, and goes on trying", async () => {
    using machine = installationMachine();
    const args = ["--binary", machine.binary("first", "no-connection"), ...connecting(machine)];
    const { code, stderr } = await machine.run("install.sh", ...args);
    expect(code).toBe(1);
    expect(stderr).toContain("not connected yet. Not connected to https://app.example.org: no answer.");
    expect([machine.exists(CONNECT), machine.exists(TOKEN), machine.service()]).toEqual([
      true,
      true,
      "active",
    ]);
  }, 40_000);

  test("beside a Runegate that serves here, the executable stays that of the service", async () => {
    using machine = await installed();
    const refused = await run(machine, "second");
    expect([refused.code, machine.exists(CONNECT)]).toEqual([1, false]);
    expect(refused.stderr).toContain("installed here as a service too");
    machine.calls();
    expect((await machine.run("install.sh", ...connecting(machine))).code).toBe(0);
    expect(machine.read(EXECUTABLE)).toContain("# first");
    expect(machine.mode("etc/runegate")).toBe("0750");
    expect(machine.calls().filter((call) => /^systemctl (restart|reload)/.test(call))).toEqual([
      "systemctl restart runegate-connect",
    ]);
  });

  test("uninstall.sh --purge leaves the machine as it was before; without, the token stays", async () => {
    using machine = installationMachine();
    const before = machine.tree();
    expect((await run(machine)).code).toBe(0);
    machine.calls();
    expect((await machine.run("uninstall.sh")).code).toBe(0);
    expect([machine.exists(CONNECT), machine.exists(`${CONNECT}.d`), machine.exists(TOKEN)]).toEqual([
      ...[false, false, true],
    ]);
    expect(machine.calls()).toContain("systemctl disable --now --quiet runegate-connect");
    expect((await run(machine)).code).toBe(0);
    expect((await machine.run("uninstall.sh", "--purge")).code).toBe(0);
    expect(machine.tree()).toEqual(before);
  });

  test("--dry-run touches nothing, and says that the token is missing", async () => {
    using machine = installationMachine();
    const args = ["--binary", machine.binary("first"), ...connecting(machine)];
    const before = machine.tree();
    const { code, stdout } = await machine.run("install.sh", ...args, "--dry-run");
    expect(code).toBe(0);
    expect(stdout).toMatch(/would: Copy the token to [\s\S]+would: Install [\s\S]+Nothing was changed\.\n$/);
    machine.write("../token", "nonsense\n");
    const missing = await machine.run("install.sh", ...args, "--dry-run");
    expect(missing.stdout).toContain("first: there is no token in");
    expect([machine.tree(), machine.calls()]).toEqual([before, []]);
    expect((await machine.run("install.sh", ...args)).code).toBe(1);
    expect(machine.tree()).toEqual(before);
  });

  test.each([
    [["--connect", "http://app.example.org"], "wants the address"],
    [["--connect", "https://app.example.org/%h"], "wants the address"],
    [["--connect", "https://a.example", "--to", "x"], "needs --tunnel"],
    [["--connect", "https://a.example", "--tunnel", "home", "--to", "x"], "needs --token-file"],
    [["--connect", "https://a.example", "--tunnel", "home", "--token-file", "/t"], "needs --to"],
    [
      ["--connect", "https://a.example", "--tunnel", "home", "--token-file", "/t", "--to", "a --ca /etc/x"],
      "--to wants",
    ],
    [
      ["--connect", "https://a.example", "--tunnel", "home", "--token-file", "/t", "--to", 'a"'],
      "--to wants",
    ],
    [["--tunnel", "home"], "belong to --connect"],
    [["--connect", "https://a.example", "--edge", "a.example"], "no option of the server's"],
  ])("%p is refused", async (args, message) => {
    using machine = installationMachine();
    const before = machine.tree();
    const { code, stderr } = await machine.run("install.sh", ...args);
    expect([code, stderr]).toEqual([64, expect.stringContaining(message)]);
    expect(machine.tree()).toEqual(before);
  });
});

describe("uninstall.sh", () => {
  test("--purge leaves the machine as it was before", async () => {
    using machine = installationMachine();
    machine.set("systemd", "257");
    const before = machine.tree();
    const binary = machine.binary("first");
    await machine.run("install.sh", "--binary", binary, "--setup-nginx", "app.example.org");
    machine.configure();
    await machine.run("install.sh", "--binary", machine.binary("second"));
    machine.write("var/lib/runegate/runegate.db", "sessions");
    machine.write(`${UNIT}.d/override.conf`, "[Service]\nMemoryMax=2G\n");
    machine.calls();
    const { code, stdout } = await machine.run("uninstall.sh", "--purge");
    expect([code, machine.service()]).toEqual([0, "inactive"]);
    expect(machine.tree()).toEqual(before);
    const calls = machine.calls();
    expect(calls).toContain("systemctl disable --now --quiet runegate");
    expect(calls).toContain("userdel runegate");
    expect(calls).toContain("systemctl reload nginx");
    expect(stdout).toContain("Runegate is removed.");
    // And a second time there is nothing to do.
    expect((await machine.run("uninstall.sh", "--purge")).code).toBe(0);
  });

  test("keeps data, configuration and the user where nobody can be asked", async () => {
    using machine = await installed();
    machine.write("var/lib/runegate/runegate.db", "sessions");
    const env = machine.read(ENV);
    const { code, stdout } = await machine.run("uninstall.sh");
    expect(code).toBe(0);
    expect(machine.read("var/lib/runegate/runegate.db")).toBe("sessions");
    expect(machine.read(ENV)).toBe(env);
    expect([machine.exists(EXECUTABLE), machine.exists(UNIT)]).toEqual([false, false]);
    expect(stdout).toMatch(
      /Keep the system user[\s\S]+Kept: \/var\/lib\/runegate[\s\S]+Kept: \/etc\/runegate/,
    );
    expect(machine.calls()).not.toContain("userdel runegate");
  });

  test("log files go with the data, and stay with it; their empty folder goes", async () => {
    for (const [how, written, stays] of [
      ["--purge", true, false],
      ["--keep-data", true, true],
      ["--keep-data", false, false],
    ] as const) {
      using machine = await installed();
      // systemd makes it at the start.
      mkdirSync(machine.path("var/log/runegate"), { recursive: true });
      if (written) machine.write("var/log/runegate/runegate.log", "{}");
      await machine.run("uninstall.sh", "--yes", how);
      expect([how, machine.exists("var/log/runegate")]).toEqual([how, stays]);
    }
  });

  test("--yes --keep-data keeps the data alone", async () => {
    using machine = await installed();
    await machine.run("uninstall.sh", "--yes", "--keep-data");
    expect([machine.exists("etc/runegate"), machine.exists("var/lib/runegate")]).toEqual([false, true]);
    expect(machine.calls()).not.toContain("userdel runegate");
  });

  test("takes from folders that are also somebody else's only what was installed", async () => {
    using machine = await installed();
    machine.write("opt/runegate/bin/tool", "somebody's own");
    // As an install.sh that was killed leaves them.
    for (const place of ["opt/runegate/bin", "etc/systemd/system", "etc/nginx/sites-available"]) {
      machine.write(`${place}/.runegate.aBcDeF.tmp`, "");
    }
    const { code, stdout } = await machine.run("uninstall.sh", "--purge");
    expect([code, readdirSync(machine.path("opt/runegate/bin"))]).toEqual([0, ["tool"]]);
    expect(stdout).toContain("Kept: /opt/runegate\n");
    expect(Object.keys(machine.tree()).filter((path) => path.includes(".tmp"))).toEqual([]);
  });

  test("deletes data that is kept elsewhere by a link", async () => {
    using machine = await installed();
    mkdirSync(machine.path("mnt/disk/state"), { recursive: true });
    rmSync(machine.path("var/lib/runegate"), { recursive: true });
    symlinkSync(machine.path("mnt/disk/state"), machine.path("var/lib/runegate"));
    machine.write("var/lib/runegate/runegate.db", "sessions");
    machine.write("mnt/disk/others", "somebody's own");
    expect((await machine.run("uninstall.sh", "--purge")).code).toBe(0);
    expect([machine.exists("var/lib/runegate"), machine.exists("mnt/disk/state/runegate.db")]).toEqual([
      false,
      false,
    ]);
    expect(machine.read("mnt/disk/others")).toBe("somebody's own");
  });

  test.each([
    ["an account with another home", "passwd runegate:x:998:998::/srv/other:/bin/sh", "Keep the user"],
    ["a group with members", "group runegate:x:998:ada", "members: ada"],
  ])("keeps %s", async (_, account, said) => {
    using machine = await installed();
    machine.set("accounts", account);
    const { code, stdout } = await machine.run("uninstall.sh", "--purge");
    expect(code).toBe(0);
    expect(stdout).toContain(said);
    expect(machine.calls().join()).not.toMatch(/userdel|groupdel/);
  });

  test("leaves alone what only has the same name", async () => {
    using machine = await installed();
    rmSync(machine.path("usr/local/bin/runegate"));
    machine.write("usr/local/bin/runegate", "somebody's own");
    await machine.run("install.sh", "--binary", machine.binary("second"));
    await machine.run("uninstall.sh", "--purge");
    expect(machine.read("usr/local/bin/runegate")).toBe("somebody's own");
  });
});

describe("both", () => {
  test("--dry-run says what it would do and touches nothing", async () => {
    using machine = installationMachine();
    const fresh = machine.tree();
    const install = ["--binary", machine.binary("first"), "--setup-nginx", "app.example.org", "--dry-run"];
    const first = await machine.run("install.sh", ...install);
    expect([first.code, first.stderr]).toEqual([0, ""]);
    expect(first.stdout).toMatch(/would: Create the system user runegate\n/);
    expect(first.stdout).toMatch(/would: Write \/etc\/runegate\/runegate\.env\n/);
    expect(first.stdout).toEndWith("Nothing was changed.\n");
    expect(machine.tree()).toEqual(fresh);
    expect(machine.calls()).toEqual([]);

    using running = await installed();
    const before = running.tree();
    expect((await running.run("install.sh", "--dry-run")).code).toBe(0);
    const { code, stdout } = await running.run("uninstall.sh", "--purge", "--dry-run");
    expect(code).toBe(0);
    expect(stdout).toMatch(/would: Remove \/var\/lib\/runegate\n/);
    expect([running.tree(), running.service()]).toEqual([before, "active"]);
    expect(running.calls()).toEqual([]);
  });

  test.each([
    ["install.sh", ["--nonsense"], 64, "no option --nonsense"],
    ["install.sh", ["--binary"], 64, "--binary needs a value"],
    ["install.sh", ["--setup-nginx", "a b"], 64, "wants a host name"],
    ["install.sh", ["--setup-nginx", "a;reload"], 64, "wants a host name"],
    ["install.sh", ["--edge", "a b"], 64, "wants a host name"],
    ["install.sh", ["--edge", "a.example", "--setup-nginx", "a.example"], 64, "contradict"],
    [
      "install.sh",
      ["--edge", "a.example", "--certificate", "/c", "--key", "/k"],
      64,
      "belong to --setup-nginx",
    ],
    ["install.sh", ["--certificate", "/c", "--key", "/k"], 64, "belong to --setup-nginx"],
    ["install.sh", ["--setup-nginx", "a.example", "--key", "/k"], 64, "go together"],
    ["install.sh", ["--binary", "/nonexistent"], 1, "no file /nonexistent"],
    ["uninstall.sh", ["--nonsense"], 64, "no option --nonsense"],
    ["uninstall.sh", ["--purge", "--keep-data"], 64, "contradict"],
    ["generate_secrets.sh", ["--nonsense"], 64, "no option --nonsense"],
    ["generate_secrets.sh", ["--env-file"], 64, "needs the name of a file"],
  ])("%s %p ends with %d", async (script, args, code, message) => {
    using machine = installationMachine();
    const before = machine.tree();
    const ended = await machine.run(script, ...args);
    expect(ended.code).toBe(code);
    expect(ended.stderr).toContain(message);
    if (code === 64) expect(ended.stderr).toContain("--help");
    expect(machine.tree()).toEqual(before);
  });

  test.each(["install.sh", "uninstall.sh"])("%s explains itself, and wants to be root", async (script) => {
    using machine = installationMachine();
    machine.set("uid", "1000");
    const help = await machine.run(script, "--help");
    expect([help.code, help.stderr]).toEqual([0, ""]);
    expect(help.stdout).toMatch(/^Usage: [\s\S]+--dry-run[\s\S]+Exit codes:/);
    const { code, stderr } = await machine.run(script);
    expect([code, stderr.includes("must be run as root")]).toEqual([1, true]);
  });

  test.each(["install.sh", "uninstall.sh"])("%s --dry-run needs no root", async (script) => {
    using machine = await installed();
    machine.set("uid", "1000");
    const before = machine.tree();
    const options = script === "install.sh" ? ["--setup-nginx", "b.example"] : ["--purge"];
    const { code, stdout, stderr } = await machine.run(script, "--dry-run", ...options);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/would: [\s\S]+Nothing was changed\.\n$/);
    // What certbot keeps for root is not there for the eyes of others.
    if (script === "install.sh")
      expect(stdout).toContain("fullchain.pem that could be seen without being root. Get");
    expect([machine.tree(), machine.calls()]).toEqual([before, []]);
  });

  test("install.sh --dry-run by somebody who may not see the configuration does not say that there is none", async () => {
    using machine = await installed();
    chmodSync(machine.path("etc/runegate"), 0);
    // Root sees everything, unless it is without its privileges.
    const as = process.getuid?.() === 0 ? "setpriv --inh-caps=-all --bounding-set=-all" : "";
    const { code, stdout, stderr } = await machine.type(`${as} deploy/install.sh --dry-run`);
    chmodSync(machine.path("etc/runegate"), 0o755);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("Only root can look into /etc/runegate");
    expect(stdout).not.toContain("Write /etc/runegate");
  });
});

describe("generate_secrets.sh", () => {
  const run = (...args: string[]) => {
    const { exitCode, stdout, stderr } = Bun.spawnSync([
      "sh",
      "-c",
      'umask 0; exec "$@"',
      "sh",
      join(deploy, "generate_secrets.sh"),
      ...args,
    ]);
    return { code: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
  };

  function folder() {
    const path = mkdtempSync(join(tmpdir(), "runegate-secrets-"));
    return {
      file: join(path, "runegate.env"),
      path,
      [Symbol.dispose]: () => rmSync(path, { recursive: true }),
    };
  }

  test("prints both, other ones each time", () => {
    const [first, second] = [run(), run()];
    expect(first.stdout).toMatch(/^RUNEGATE_JWT_SECRET=[0-9a-f]{64}\nRUNEGATE_SESSION_KEY=[0-9a-f]{128}\n$/);
    expect(first.stdout).not.toBe(second.stdout);
  });

  test("makes a file for its owner alone, prints no secret, and adds nothing twice", () => {
    using made = folder();
    const { code, stdout } = run("--env-file", made.file);
    expect([code, stdout]).toEqual([0, "RUNEGATE_JWT_SECRET: added\nRUNEGATE_SESSION_KEY: added\n"]);
    expect(statSync(made.file).mode & 0o777).toBe(0o600);
    const text = readFileSync(made.file, "utf8");
    expect(secretsIn(text).map(({ length }) => length)).toEqual([64, 128]);
    expect(run("--env-file", made.file).stdout).toBe(
      "RUNEGATE_JWT_SECRET: already set\nRUNEGATE_SESSION_KEY: already set\n",
    );
    expect(readFileSync(made.file, "utf8")).toBe(text);
    expect(readdirSync(made.path)).toEqual(["runegate.env"]);
  });

  test.each([
    ["no final line feed", "A=b", "A=b\n", ["added", "added"]],
    ["empty values", "RUNEGATE_JWT_SECRET=\nRUNEGATE_SESSION_KEY=''\n", undefined, ["added", "added"]],
    ["the last line counts", "RUNEGATE_JWT_SECRET=x\nRUNEGATE_JWT_SECRET=\n", undefined, ["added", "added"]],
    ["comments do not count", "#RUNEGATE_JWT_SECRET=x\n", undefined, ["added", "added"]],
    ["blanks and quotes", " RUNEGATE_JWT_SECRET = 'x'\r\n", undefined, ["already set", "added"]],
    ["a file", "RUNEGATE_SESSION_KEY_FILE=/run/key\n", undefined, ["added", "already set"]],
    ["another name", "RUNEGATE_JWT_SECRET_PREVIOUS=x\n", undefined, ["added", "added"]],
  ])("looks as `runegate secrets` does: %s", (_, before, kept, states) => {
    using made = folder();
    writeFileSync(made.file, before);
    Bun.spawnSync(["chmod", "640", made.file]);
    expect(run("--env-file", made.file).stdout).toBe(
      `RUNEGATE_JWT_SECRET: ${states[0]}\nRUNEGATE_SESSION_KEY: ${states[1]}\n`,
    );
    expect(readFileSync(made.file, "utf8")).toStartWith(kept ?? before);
    expect(statSync(made.file).mode & 0o777).toBe(0o640);
  });

  test("keeps a symbolic link one", () => {
    using made = folder();
    writeFileSync(made.file, "A=b\n");
    symlinkSync(made.file, join(made.path, "link"));
    expect(run("--env-file", join(made.path, "link")).code).toBe(0);
    expect(readFileSync(made.file, "utf8")).toContain("RUNEGATE_JWT_SECRET=");
    expect(readdirSync(made.path).sort()).toEqual(["link", "runegate.env"]);
  });
});

const shellcheck = needs("shellcheck");
test.skipIf(shellcheck === undefined)("shellcheck has nothing to say", () => {
  const scripts = [...readdirSync(deploy), "dns/nsupdate.sh"]
    .filter((name) => name.endsWith(".sh"))
    .map((name) => join(deploy, name));
  expect(scripts.length).toBeGreaterThanOrEqual(3);
  const ours = ["build", "install", "run"].map((name) => join(deploy, "../.ci", name));
  const { exitCode, stdout } = Bun.spawnSync([shellcheck ?? "", ...scripts, ...ours]);
  expect([stdout.toString(), exitCode]).toEqual(["", 0]);
  for (const script of scripts) expect(statSync(script).mode & 0o111).toBe(0o111);
});

/** Every path below a folder with its mode, while it changes under the eye: a file may go between two looks. */
function modesBelow(folder: string): [string, number][] {
  try {
    return readdirSync(folder, { recursive: true, encoding: "utf8" }).flatMap((name): [string, number][] => {
      const status = statSync(join(folder, name), { throwIfNoEntry: false });
      return status === undefined ? [] : [[name, status.mode]];
    });
  } catch {
    return [];
  }
}
