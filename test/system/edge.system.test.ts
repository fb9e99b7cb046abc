import { afterAll, beforeAll, describe, expect } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { guideCommands } from "../deploy/guide.ts";
import { needs, needsRoot } from "../support/needs.ts";
import { installPebble } from "../support/pebble.ts";
import { CREDENTIALS } from "../support/smtp.ts";
import { buildExecutable } from "./executable.ts";
import { bootMachine, type Machine } from "./machine.ts";
import { differences, manifestOf } from "./manifest.ts";
import { PREPARE_MS, STEP_MS, stepsOn } from "./step.ts";
import { until } from "./until.ts";
import { surround, type World } from "./world.ts";

/**
 * The first page of the guide, done on a Debian that systemd has booted and that has nothing but the executable: `runegate setup`
 * at a terminal, a certificate from Pebble, a login over HTTP/2, renewal, reload, upgrade. The steps build on each other.
 */

const DOMAIN = "app.example.org";
const ORIGIN = `https://${DOMAIN}`;
const ADA = "ada@example.org";
const ENV_FILE = "/etc/runegate/runegate.env";
const EMAIL_FILE = "/etc/runegate/config/email.toml";

/** Of somebody who reads each question, looks things up, and types 40 words a minute. */
const [READS_MS, KEY_MS] = [10_000, 300];
const FIVE_MINUTES_MS = 300_000;

const able =
  needsRoot("to boot a machine") &&
  ["debootstrap", "systemd-nspawn", "nsenter"].every((program) => needs(program) !== undefined);
const programs = able ? await installPebble() : undefined;

describe.skipIf(programs === undefined)("one file and one command, on a Debian booted by systemd", () => {
  let machine: Machine;
  let world: World;
  const workshop = mkdtempSync(join(tmpdir(), "runegate-edge-"));
  /** Ada's, who stays signed in. */
  let cookie = "";

  const step = stepsOn(() => machine);

  beforeAll(async () => {
    await Promise.all(
      ["first", "second"].map((version) => buildExecutable(version, join(workshop, version))),
    );
    machine = await bootMachine();
    for (const version of ["first", "second"]) {
      mkdirSync(join(machine.root, "root", version));
      copyFileSync(join(workshop, version, "runegate"), join(machine.root, "root", version, "runegate"));
    }
    machine.write("/etc/hosts", `127.0.0.1 localhost\n::1 localhost\n127.0.0.1 ${DOMAIN}\n`);
    // The application, with a name of its own that is not that of what is tested.
    mkdirSync(join(machine.root, "srv/target-app"), { recursive: true });
    copyFileSync(join(workshop, "first", "runegate"), join(machine.root, "srv/target-app/app"));
    machine.write(
      "/etc/systemd/system/target-app.service",
      "[Service]\nExecStart=/srv/target-app/app target\nDynamicUser=yes\n",
    );
    // Debian's nginx has the ports, until its administrator stops it.
    await machine.run("systemctl start target-app");
    world = await surround(machine, DOMAIN, "", programs);
    const { server = "", root = "" } = world.authority ?? {};
    machine.write("/root/pebble.pem", server);
    machine.write("/root/root.pem", root);
  }, PREPARE_MS);

  afterAll(async () => {
    await world?.end();
    await machine?.destroy();
    rmSync(workshop, { recursive: true, force: true });
  }, STEP_MS);

  const property = async (name: string) =>
    (await machine.run(`systemctl show --property=${name} --value runegate`)).trim();

  /** Pebble in the place of Let's Encrypt, for the block of the guide that runs the executable. */
  const asGuided = () => {
    const flags = `--acme-directory ${world.authority?.directory} --acme-ca /etc/pebble.pem`;
    return `cd /root/first; export NODE_EXTRA_CA_CERTS=/root/root.pem; ${guideCommands("setup").trim()} ${flags}`;
  };

  /** curl, as a browser comes: with a jar of cookies, and by HTTP/2. */
  async function ask(path: string, ...args: string[]) {
    const url = path.startsWith("https:") ? path : `${ORIGIN}${path}`;
    const said = await machine.run(
      `curl -sS --http2 --cacert /root/root.pem --max-time 20 -b /tmp/jar -c /tmp/jar -D /tmp/head \
        -w '\\n%{http_version} %{http_code}' ${[...args, url].map(quoted).join(" ")}; echo; cat /tmp/head`,
    );
    const [, body = "", version, status, head = ""] =
      /^([\s\S]*)\n([\d.]+) (\d+)\n([\s\S]*)$/.exec(said.replaceAll("\r", "")) ?? [];
    return { body, version, status: Number(status), head };
  }
  const stillSignedIn = async () => {
    const answer = await ask("/whoami");
    expect([answer.status, answer.version]).toEqual([200, "2"]);
    expect(JSON.parse(answer.body).identity.user).toBe(ADA);
  };

  const serial = () =>
    machine.run(
      `openssl s_client -connect 127.0.0.1:443 -servername ${DOMAIN} </dev/null 2>/dev/null | openssl x509 -noout -serial`,
    );

  step("says what is in the way, and changes nothing", async () => {
    const before = manifestOf(machine.root);
    expect(await machine.run("./runegate setup", { folder: "/root/first", code: 1 })).toContain("port 80");
    await machine.run(
      "systemctl disable --now nginx 2>&1; rm -f /etc/systemd/system/multi-user.target.wants/nginx.service",
    );
    const nobody = await machine.run("./runegate setup </dev/null", { folder: "/root/first", code: 64 });
    expect(nobody).toContain("--domain");
    const asUser = await machine.run("setpriv --reuid=nobody --clear-groups /srv/target-app/app setup", {
      code: 1,
    });
    expect(asUser).toContain("sudo /srv/target-app/app setup");

    const leaving = machine.sit("cd /root/first; ./runegate setup");
    await leaving.answer(/Domain: $/, DOMAIN);
    await leaving.answer(/Allow: $/, ADA);
    await leaving.says(/Application .*: $/);
    leaving.type("\x03");
    expect(await leaving.exited).toBe(1);
    expect(leaving.screen()).toContain("Nothing was written.");
    const changes = differences(before, manifestOf(machine.root));
    expect(changes.filter((line) => /runegate|\/etc\/(?!systemd|rc)/.test(line))).toEqual([]);
    expect(await machine.run("ls /run | grep runegate || true")).toBe("");
  });

  step("asks, installs itself, and is up with a certificate, in less than five minutes", async () => {
    await machine.run("cp /root/pebble.pem /etc/pebble.pem");
    let [answers, keys] = [0, 0];
    const began = performance.now();
    const setup = machine.sit(asGuided());
    const answer = async (question: RegExp, text: string) => {
      await setup.answer(question, text, 60_000);
      answers++;
      keys += text.length + 1;
    };
    await answer(/Domain: $/, DOMAIN);
    await answer(/Allow: $/, ADA);
    await answer(/Application \[http:\/\/127\.0\.0\.1:7860\]: $/, "");
    await answer(/Mail server: $/, "127.0.0.1:25");
    await answer(/User: $/, CREDENTIALS.user);
    await answer(/Password: $/, "wrong");
    await answer(/From \[.*\]: $/, "");
    await setup.says(/535[\s\S]*Other settings for mail/, 60_000);
    await answer(/Other settings for mail\? \[Y\/n\] $/, "");
    await answer(/Mail server \[127\.0\.0\.1:25\]: $/, "");
    await answer(/User \[.*\]: $/, "");
    await answer(/Password: $/, CREDENTIALS.pass);
    await answer(/From \[.*\]: $/, `login@${DOMAIN}`);
    await answer(/Test mail to \[ada@example\.org\]: $/, "");
    await answer(/Go on\? \[Y\/n\] $/, "");
    await setup.says(/Done: open https:\/\/app\.example\.org and sign in as ada@example\.org/, 90_000);
    expect(await setup.exited).toBe(0);
    const machineMs = performance.now() - began;
    expect((await world.mailFor(ADA)).text).toContain("Runegate test mail");
    expect(setup.screen()).not.toContain(CREDENTIALS.pass);

    const ofAPerson = answers * READS_MS + keys * KEY_MS + machineMs;
    console.log(
      `setup: ${answers} answers, ${keys} keys, ${(machineMs / 1000).toFixed(1)} s of the machine's, ` +
        `${Math.round(ofAPerson / 1000)} s in all at 10 s a question and 0.3 s a key`,
    );
    expect(ofAPerson).toBeLessThan(FIVE_MINUTES_MS);
  });

  step("has installed what install.sh installs", async () => {
    const owners = await machine.run(
      `stat -c '%U:%G %a %n' /opt/runegate/bin/runegate /etc/runegate ${ENV_FILE} ${EMAIL_FILE} \
        /var/lib/runegate /var/lib/runegate/certificates`,
    );
    expect(owners.trim().split("\n")).toEqual([
      "root:root 755 /opt/runegate/bin/runegate",
      "root:runegate 750 /etc/runegate",
      `root:runegate 640 ${ENV_FILE}`,
      `root:runegate 640 ${EMAIL_FILE}`,
      "runegate:runegate 700 /var/lib/runegate",
      "runegate:runegate 700 /var/lib/runegate/certificates",
    ]);
    expect(await machine.run("ls /run | grep runegate-setup || true")).toBe("");
    expect(await machine.run("systemctl is-active runegate; systemctl is-enabled runegate")).toBe(
      "active\nenabled\n",
    );
    const status = await machine.run("cat /proc/$(systemctl show -P MainPID runegate)/status");
    // CAP_NET_BIND_SERVICE, and nothing else.
    expect(status).toMatch(/^CapBnd:\t0+400$/m);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    const certificates = await machine.run("NODE_EXTRA_CA_CERTS=/root/root.pem runegate certificates");
    expect(certificates).toContain("Pebble");
    const secrets = readFileSync(join(machine.root, ENV_FILE), "utf8").matchAll(
      /^RUNEGATE_(?:JWT_SECRET|SESSION_KEY)=(\w+)$/gm,
    );
    expect(Array.from(secrets, ([, value = ""]) => value.length)).toEqual([64, 128]);
  });

  step("lets somebody sign in by mail, over HTTP/2", async () => {
    const page = ["-H", "Accept: text/html"];
    const turnedAway = await ask("/whoami?a=1", ...page);
    expect([turnedAway.status, turnedAway.version]).toEqual([302, "2"]);
    const wanted = JSON.stringify({ email: ADA, next: "/whoami?a=1" });
    expect((await ask("/login", "-H", "Content-Type: application/json", "-d", wanted)).status).toBe(200);
    const { link } = await world.mailFor(ADA);
    const opened = await ask(link, ...page);
    expect(opened.head).toMatch(/^location: \/whoami\?a=1$/im);
    await stillSignedIn();
    const [, session] = /\trunegate_id\t(\S+)$/m.exec(await machine.run("cat /tmp/jar")) ?? [];
    cookie = `runegate_id=${session}`;
  });

  const exchanges = async () =>
    (await machine.run("journalctl -u runegate --no-pager")).split("goes on with another certificate")
      .length - 1;

  step("renews its certificate and reloads, and no request is lost", async () => {
    const before = await serial();
    const failures = await world.whileVisited(cookie, async () => {
      await machine.run("runegate certificates renew");
      // From then on nobody is shown the one before.
      await until("it goes on with another certificate", async () => (await exchanges()) === 2);
      await machine.run(guideCommands("reload"));
      await until("the reload is done", async () => (await property("ActiveState")) === "active");
    });
    expect(failures).toEqual([]);
    expect(await serial()).not.toBe(before);
    await stillSignedIn();
  });

  step("is upgraded by the next executable's setup, and no request is lost", async () => {
    const running = async () =>
      JSON.parse(await machine.run("/proc/$(systemctl show -P MainPID runegate)/exe version --json")).commit;
    const configuration = () => machine.run(`sha256sum ${ENV_FILE} ${EMAIL_FILE}`);
    const before = [await configuration(), await serial()];
    expect(await running()).toBe("first");
    const failures = await world.whileVisited(cookie, async () => {
      const said = await machine.run("NODE_EXTRA_CA_CERTS=/root/root.pem ./runegate setup --yes --json", {
        folder: "/root/second",
      });
      expect(JSON.parse(said)).toEqual({ url: ORIGIN, written: [], installed: true });
    });
    expect(failures).toEqual([]);
    expect(await running()).toBe("second");
    expect([await configuration(), await serial()]).toEqual(before);
    expect(await machine.run("/opt/runegate/bin/runegate.previous version")).toContain("(first)");
    await stillSignedIn();
  });

  step("changes an answer, and keeps the file before", async () => {
    const said = await machine.run(
      "NODE_EXTRA_CA_CERTS=/root/root.pem ./runegate setup --yes --allow ada@example.org,@example.net",
      { folder: "/root/second" },
    );
    expect(said).toContain("+ RUNEGATE_ALLOWED_DOMAINS=example.net");
    expect(
      await machine.run(`grep -c example.net ${ENV_FILE}; stat -c '%U:%G %a' ${ENV_FILE}.previous`),
    ).toBe("1\nroot:runegate 640\n");
    expect(await machine.run(`grep -c example.net ${ENV_FILE}.previous || true`)).toBe("0\n");
    // It is the same executable: the one before it stays the way back.
    expect(await machine.run("/opt/runegate/bin/runegate.previous version")).toContain("(first)");
    await stillSignedIn();
  });

  step("goes behind a proxy if it is told to, and starts again for that", async () => {
    const said = await machine.run("./runegate setup --yes --tls off", { folder: "/root/second" });
    expect(said).toContain("RUNEGATE_TLS has changed, which takes a restart");
    const plain = `curl -sS -b ${quoted(cookie)} -H 'X-Forwarded-Proto: https' http://127.0.0.1:7870/whoami`;
    expect(JSON.parse(await machine.run(plain)).identity.user).toBe(ADA);
    await machine.run("NODE_EXTRA_CA_CERTS=/root/root.pem ./runegate setup --yes --tls acme", {
      folder: "/root/second",
    });
    await stillSignedIn();
  });

  step("puts the file back if it is interrupted while it installs", async () => {
    const before = await machine.run(`sha256sum ${ENV_FILE} /opt/runegate/bin/*`);
    const setup = machine.sit("cd /root/first; exec ./runegate setup --allow grace@example.org");
    await setup.answer(/Domain \[.*\]: $/, "");
    await setup.answer(/Application \[.*\]: $/, "");
    await setup.answer(/Keep the settings for mail/, "");
    await setup.answer(/\+ RUNEGATE_ALLOWED_EMAILS=grace@example\.org[\s\S]*Go on/, "");
    await setup.says(/- Copy .* and try it/);
    setup.type("\x03");
    await setup.exited;
    await until(
      "all is put back",
      async () => (await machine.run("ls /run; pgrep runegate -a")).includes("runegate-setup") === false,
    );
    expect(await machine.run(`sha256sum ${ENV_FILE} /opt/runegate/bin/*`)).toBe(before);
    expect(await machine.run("ls -A /opt/runegate/bin /etc/runegate | grep tmp || true")).toBe("");
    expect(setup.screen()).not.toContain("Done");
    await stillSignedIn();
  });

  step("puts the file back if the installation fails", async () => {
    const before = await machine.run(`sha256sum ${ENV_FILE}; stat -c '%U:%G %a' ${ENV_FILE}`);
    // The service may not read these, which only install.sh finds out.
    const files = "--tls files --tls-cert /root/root.pem --tls-key /root/root.pem";
    const said = await machine.run(`./runegate setup --yes ${files}`, { folder: "/root/second", code: 1 });
    expect(said).toContain("RUNEGATE_TLS_CERT cannot be used");
    expect(await machine.run(`sha256sum ${ENV_FILE}; stat -c '%U:%G %a' ${ENV_FILE}`)).toBe(before);
    await stillSignedIn();
  });
});

/** For a POSIX shell. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
