import { afterAll, beforeAll, describe, expect } from "bun:test";
import { copyFileSync, cpSync, linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { guideCommands } from "../deploy/guide.ts";
import { makeCertificate } from "../support/certificate.ts";
import { needs, needsRoot } from "../support/needs.ts";
import { buildExecutable } from "./executable.ts";
import { bootMachine, type Machine } from "./machine.ts";
import { differences, type Manifest, manifestOf } from "./manifest.ts";
import { PREPARE_MS, STEP_MS, stepsOn } from "./step.ts";
import { until } from "./until.ts";
import { surround, type World } from "./world.ts";

/**
 * The deployment guide, done on a Debian that systemd has booted: each block of commands that it marks with `run:` is run
 * here as it stands, in the order somebody would, and nothing of Runegate's is left at the end. The steps build on each other.
 */

const ROOT = join(import.meta.dir, "../..");
const DOMAIN = "app.example.org";
const ORIGIN = `https://${DOMAIN}`;

/** Where the executable and `deploy` were copied to: the version that is installed, and the one after it. */
const FIRST = "/srv/first";
const SECOND = "/srv/second";

const ENV_FILE = "/etc/runegate/runegate.env";
const CERTIFICATE = `/etc/letsencrypt/live/${DOMAIN}/fullchain.pem`;

/** What a system that has been used differs in from one that has not, whatever was installed meanwhile. */
const USED = [
  // Logs, and who logged in.
  /^[+!] \/var\/log\/(journal\/|nginx\/|wtmp:)/,
  // useradd and userdel keep the files as they were before, and their lock.
  /^[+!] \/etc\/(passwd|group|shadow|gshadow)-/,
  /^\+ \/etc\/\.pwd\.lock$/,
  // Daily work that happened to be due.
  /^[+!] \/var\/(lib\/systemd|backups)\//,
];

const able =
  needsRoot("to boot a machine") &&
  ["debootstrap", "systemd-nspawn", "nsenter"].every((program) => needs(program) !== undefined);

describe.skipIf(!able)("the guide, on a Debian booted by systemd", () => {
  let machine: Machine;
  let world: World;
  let before: Manifest;
  const workshop = mkdtempSync(join(tmpdir(), "runegate-system-"));
  /** Ada's, who stays signed in. */
  let cookie = "";

  const step = stepsOn(() => machine);

  beforeAll(async () => {
    await Promise.all(
      ["first", "second"].map((version) => buildExecutable(version, join(workshop, version))),
    );
    machine = await bootMachine();
    for (const [folder, version] of [
      [FIRST, "first"],
      [SECOND, "second"],
    ] as const) {
      mkdirSync(join(machine.root, folder));
      copyFileSync(join(workshop, version, "runegate"), join(machine.root, folder, "runegate"));
      cpSync(join(ROOT, "deploy"), join(machine.root, folder, "deploy"), { recursive: true });
    }
    await prepare();
    await surroundMachine();
    before = manifestOf(machine.root);
  }, PREPARE_MS);

  afterAll(async () => {
    await world?.end();
    await machine?.destroy();
    rmSync(workshop, { recursive: true, force: true });
  }, STEP_MS);

  /** What the administrator has before: a name, a certificate for it, and an application. */
  async function prepare(): Promise<void> {
    const { cert, key } = makeCertificate({ names: [DOMAIN] });
    machine.write(CERTIFICATE, cert);
    machine.write(CERTIFICATE.replace("fullchain", "privkey"), key, 0o600);
    machine.write(`/usr/local/share/ca-certificates/${DOMAIN}.crt`, cert);
    machine.write("/etc/hosts", `127.0.0.1 localhost\n::1 localhost\n127.0.0.1 ${DOMAIN}\n`);
    mkdirSync(join(machine.root, "srv/target-app"));
    linkSync(join(machine.root, FIRST, "runegate"), join(machine.root, "srv/target-app/app"));
    machine.write(
      "/etc/systemd/system/target-app.service",
      "[Service]\nExecStart=/srv/target-app/app target\nDynamicUser=yes\n[Install]\nWantedBy=multi-user.target\n",
    );
    await machine.run("update-ca-certificates && systemctl enable --now target-app");
  }

  async function surroundMachine(): Promise<void> {
    world = await surround(machine, DOMAIN, join(machine.root, CERTIFICATE));
  }

  type Answer = { readonly status: number; readonly head: string; readonly body: string };

  /** curl, in the machine and as a visitor's browser would, by nginx. */
  async function ask(path: string, ...args: string[]): Promise<Answer> {
    const words = [
      "-sSi",
      "--max-time",
      "20",
      ...args,
      path.startsWith("https:") ? path : `${ORIGIN}${path}`,
    ];
    const said = await machine.run(`curl ${words.map(quoted).join(" ")}`);
    const [head = "", ...body] = said.split("\r\n\r\n");
    return { status: Number(head.split(" ")[1]), head, body: body.join("\r\n\r\n") };
  }

  const asAda = () => ["-H", `Cookie: ${cookie}`];
  const stillSignedIn = async () => expect((await ask("/whoami", ...asAda())).status).toBe(200);

  /** By curl, with a cookie jar as a browser has one. @returns the `Cookie` header of the session. */
  async function signIn(email: string): Promise<string> {
    const jar = `/tmp/jar-${email}`;
    const jars = ["-b", jar, "-c", jar];
    const page = ["-H", "Accept: text/html"];
    const turnedAway = await ask("/whoami?a=1", ...jars, ...page);
    expect(turnedAway.status).toBe(302);
    expect(turnedAway.head).toMatch(/^location: \S*\/login\?next=/im);
    const asked = await ask(
      "/login",
      ...jars,
      ...["-H", "Content-Type: application/json", "-d", JSON.stringify({ email, next: "/whoami?a=1" })],
    );
    expect([asked.status, asked.body]).toEqual([200, expect.any(String)]);
    const { link } = await world.mailFor(email);
    const opened = await ask(link, ...jars, ...page);
    expect(opened.head).toMatch(/^location: \/whoami\?a=1\r?$/im);
    const arrived = await ask("/whoami?a=1", ...jars, ...page);
    expect(JSON.parse(arrived.body).identity.user).toBe(email);
    const [, session] = /\trunegate_id\t(\S+)$/m.exec(await machine.run(`cat ${jar}`)) ?? [];
    return `runegate_id=${session}`;
  }

  /** What has come of the file system since the beginning, but for what using it leaves. */
  const changes = () =>
    differences(before, manifestOf(machine.root)).filter(
      (line) => !USED.some((pattern) => pattern.test(line)),
    );

  const property = async (name: string) =>
    (await machine.run(`systemctl show --property=${name} --value runegate`)).trim();

  const readiness = async () => (await ask("/_runegate/health/ready")).status;

  /** Waits until the service has another main process than `pid`, and is ready. */
  async function backAfter(pid: string): Promise<void> {
    await until("it is back", async () => {
      const now = await property("MainPID");
      return now !== "0" && now !== pid && (await readiness()) === 200;
    });
  }

  /** Neither in any log nor where every user of the machine can read it. */
  async function expectNoSecrets(): Promise<void> {
    const written = await machine.run(`
      journalctl --no-pager -o export
      cat /var/log/nginx/access.log
      cat /proc/[0-9]*/cmdline | tr '\\0' ' '`);
    const [, session = ""] = cookie.split("=");
    for (const secret of [...secretsOf(machine), session]) {
      expect(secret.length).toBeGreaterThan(30);
      expect(written.includes(secret)).toBe(false);
    }
    expect(written).toContain("/auth");
    expect(written).not.toMatch(/token=|eyJ/);
  }

  step("installs by one command, and says what is left to do", async () => {
    await machine.run("deploy/install.sh --dry-run --binary ./runegate", { folder: FIRST });
    expect(changes()).toEqual([]);

    const said = await machine.run(guideCommands("install"), { folder: FIRST, code: 78 });
    expect(said).toContain("RUNEGATE_BASE_URL");
    const secrets = secretsOf(machine);
    expect(secrets.map((secret) => secret.length)).toEqual([64, 128]);
    for (const secret of secrets) expect(said).not.toContain(secret);
    const owners = await machine.run(
      `stat -c '%U:%G %a %n' /opt/runegate/bin/runegate /etc/runegate ${ENV_FILE} /etc/runegate/config \
        /etc/runegate/config/email.toml /var/lib/runegate`,
    );
    expect(owners.trim().split("\n")).toEqual([
      "root:root 755 /opt/runegate/bin/runegate",
      "root:runegate 750 /etc/runegate",
      `root:runegate 640 ${ENV_FILE}`,
      "root:runegate 750 /etc/runegate/config",
      "root:runegate 640 /etc/runegate/config/email.toml",
      "runegate:runegate 700 /var/lib/runegate",
    ]);
    expect(await machine.run("getent passwd runegate")).toEndWith(":/usr/sbin/nologin\n");
    expect(await property("ActiveState")).toBe("inactive");
  });

  step("is configured, and sends mail", async () => {
    await machine.run(guideCommands("configure"));
    await machine.run(`sed -i \
      -e 's|^smtp_host =.*|smtp_host = "127.0.0.1"|' -e 's|^smtp_port =.*|smtp_port = 25|' \
      -e '/^smtp_user =/d' -e '/^smtp_pass =/d' -e 's|^# smtp_tls =.*|smtp_tls = "none"|' \
      -e 's|^from_address =.*|from_address = "Example <login@app.example.org>"|' \
      /etc/runegate/config/email.toml`);
    await machine.run(guideCommands("mail"));
    expect((await world.mailFor("ada@example.org")).text).toContain("Runegate test mail");
  });

  step("starts, and is up only when it listens", async () => {
    const said = await machine.run(guideCommands("start"));
    expect(said).toContain("active (running)");
    expect(said).toContain(`Status: "${ORIGIN} on 127.0.0.1:7870`);
    expect([await property("Type"), await property("NotifyAccess")]).toEqual(["notify", "main"]);
    const knock = "curl -sS -o /dev/null -w '%{http_code}\\n' http://127.0.0.1:7870/_runegate/health/ready";
    const answers = await machine.run(
      `for _ in 1 2 3; do systemctl restart runegate; ${knock}; done; systemctl is-enabled runegate`,
    );
    expect(answers.split("\n").slice(0, 4)).toEqual(["200", "200", "200", "enabled"]);
  });

  step("is reached by nginx with TLS", async () => {
    await machine.run(guideCommands("nginx"), { folder: FIRST });
    const said = await machine.run(guideCommands("online"));
    expect(said).toContain('"status":"ready"');
    const plain = await machine.run(`curl -sSi http://${DOMAIN}/some/where`);
    expect(plain).toMatch(new RegExp(`^location: ${ORIGIN}/some/where\r$`, "im"));
  });

  step("lets somebody sign in", async () => {
    expect(await machine.run(guideCommands("link"))).toMatch(/https:\/\/app\.example\.org\/\S+\?token=/);
    cookie = await signIn("ada@example.org");
    expect((await ask("/whoami")).status).toBe(401);
  });

  step("passes on events as they come, and WebSockets", async () => {
    // A stream that never ends, left at the second event: curl then says that nobody takes what it writes.
    const events = await machine.run(
      `(curl -sSN --max-time 15 -H ${quoted(`Cookie: ${cookie}`)} ${ORIGIN}/events || true) | grep -m 2 ^data:`,
    );
    expect(events.match(/^data:/gm)).toHaveLength(2);
    expect(await world.echo(cookie, "a word")).toBe("a word");
  });

  step("logs to the journal, and keeps secrets out of it", async () => {
    await machine.run(guideCommands("logs"));
    expect(await machine.run("journalctl -u runegate --no-pager")).toContain("event=redeemed");
    await expectNoSecrets();
  });

  step("is confined as the unit says", async () => {
    const verdict = await machine.run("systemd-analyze security --no-pager --threshold=13 runegate");
    const [, exposure] = /exposure level for runegate\.service: ([\d.]+)/.exec(verdict) ?? [];
    expect(Number(exposure)).toBeLessThanOrEqual(1.3);
    const status = await machine.run(
      `cat /proc/$(systemctl show -P MainPID runegate)/status /proc/$(systemctl show -P MainPID runegate)/limits`,
    );
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
    expect(status).toMatch(/^CapBnd:\t0+$/m);
    // As many as asked for, or as many as this machine lets the other one have.
    const [, most = "0"] = /^Max open files +\d+ +(\d+)/m.exec(await machine.run("cat /proc/1/limits")) ?? [];
    const files = Math.min(65_536, Number(most));
    expect(await property("LimitNOFILE")).toBe("65536");
    expect(status).toMatch(new RegExp(`^Max open files +${files} +${files} `, "m"));
    expect(status).toMatch(/^Max core file size +0 +0 /m);
    expect(await machine.run("systemd-analyze verify /etc/systemd/system/runegate.service")).toBe("");
  });

  step("comes back by itself after a reboot, with everybody signed in", async () => {
    await world.end();
    await machine.reboot();
    await surroundMachine();
    const said = await machine.run(guideCommands("after-reboot"));
    expect(said).toStartWith("active\nactive\n");
    expect(said).toContain('"status":"ready"');
    await stillSignedIn();
  });

  step(
    "takes other options without a refused connection, and stays with the old ones if they are wrong",
    async () => {
      const failures = await world.whileVisited(cookie, async () => {
        await machine.run(`sed -i 's|^\\(RUNEGATE_ALLOWED_EMAILS=.*\\)|\\1,linus@example.org|' ${ENV_FILE}`);
        await machine.run(guideCommands("reload"));
        await until("the reload is done", async () => (await property("ActiveState")) === "active");
      });
      expect(failures).toEqual([]);
      await signIn("linus@example.org");

      await machine.run(`cp -a ${ENV_FILE} /root/kept.env; echo RUNEGATE_SESSION_TTL=soon >> ${ENV_FILE}`);
      await machine.run("systemctl reload runegate");
      await until("the log says why", async () =>
        /not reloaded/.test(await machine.run("journalctl -u runegate --no-pager -n 20")),
      );
      await stillSignedIn();
      await machine.run(`mv /root/kept.env ${ENV_FILE} && systemctl reload runegate`);
    },
  );

  step("is upgraded, and the way back, without a refused connection", async () => {
    const running = async () =>
      JSON.parse(await machine.run("/proc/$(systemctl show -P MainPID runegate)/exe version --json")).commit;
    expect(await running()).toBe("first");
    const pid = await property("MainPID");
    const failures = await world.whileVisited(cookie, async () => {
      await machine.run(guideCommands("upgrade"), { folder: SECOND });
    });
    expect(failures).toEqual([]);
    expect(await running()).toBe("second");
    expect(await property("MainPID")).not.toBe(pid);
    await stillSignedIn();

    const failuresBack = await world.whileVisited(cookie, async () => {
      await machine.run(guideCommands("downgrade"), { folder: SECOND });
    });
    expect(failuresBack).toEqual([]);
    expect(await running()).toBe("first");
    await stillSignedIn();
    // It is systemd's main process, so it is what is watched and stopped.
    expect([await property("ActiveState"), await property("NRestarts")]).toEqual(["active", "0"]);
  });

  step("is watched and stopped as before after a hand-over", async () => {
    const handOver = () =>
      machine.run(`
        cp -a /opt/runegate/bin/runegate /opt/runegate/bin/copy && mv /opt/runegate/bin/copy /opt/runegate/bin/runegate
        before=$(systemctl show -P MainPID runegate); systemctl reload runegate
        until [ "$(systemctl show -P MainPID runegate)" != $before ] && [ "$(systemctl show -P ActiveState runegate)" = active ]
        do sleep 0.1; done`);
    /** Begins a request that takes some seconds. */
    const begin = (name: string, seconds: number) =>
      machine.run(`
        curl -sS -o /dev/null -w '%{http_code}' --max-time 30 -H ${quoted(`Cookie: ${cookie}`)} \
          '${ORIGIN}/slow?seconds=${seconds}' </dev/null >/tmp/${name} 2>&1 & sleep 0.5`);
    /** One of them is with the process before. */
    const handOverMeanwhile = async () => {
      await begin("before", 9);
      await handOver();
      await begin("after", 5);
      return property("MainPID");
    };
    const answers = () =>
      machine.run("sleep 0.5; cat /tmp/before; echo; cat /tmp/after; rm /tmp/before /tmp/after");
    const said = (pid: string) => machine.run(`journalctl -u runegate --no-pager -b _PID=${pid}`);

    const stopped = await handOverMeanwhile();
    await machine.run("systemctl stop runegate");
    expect(await answers()).toBe("200\n200");
    expect(await said(stopped)).toContain("event=stopped");
    expect([await property("ActiveState"), await property("Result")]).toEqual(["inactive", "success"]);
    await machine.run("systemctl start runegate");

    const restarted = await handOverMeanwhile();
    await machine.run("systemctl restart runegate");
    expect(await answers()).toBe("200\n200");
    expect(await said(restarted)).toContain("event=stopped");
    await stillSignedIn();

    // Its parent has gone, and then its parent is still there.
    for (const seconds of [0, 60]) {
      await begin("before", seconds);
      await handOver();
      const killed = await property("MainPID");
      await machine.run(`kill -9 ${killed}`);
      await backAfter(killed);
    }
    expect(await property("Result")).toBe("success");
    await stillSignedIn();
  });

  step("goes on with the version before if the new one does not run", async () => {
    // Does all that is tried before the switch, and then does not serve.
    machine.write(
      "/root/broken",
      `#!/bin/sh\n[ "$1" != serve ] || exit 1\nexec ${SECOND}/runegate "$@"\n`,
      0o755,
    );
    const pid = await property("MainPID");
    const failures = await world.whileVisited(cookie, async () => {
      const said = await machine.run("deploy/install.sh --binary /root/broken", { folder: SECOND, code: 1 });
      expect(said).toContain("the version before runs on");
    });
    expect(failures).toEqual([]);
    expect(await property("MainPID")).toBe(pid);
    expect(JSON.parse(await machine.run("runegate version --json; rm /root/broken")).commit).toBe("first");
    await machine.run("systemctl restart runegate");
    await stillSignedIn();
  });

  step("comes back after kill -9", async () => {
    const pid = await property("MainPID");
    await machine.run(`kill -9 ${pid}`);
    await backAfter(pid);
    expect(await property("NRestarts")).toBe("1");
    await stillSignedIn();
  });

  step("is restarted by the watchdog when it hangs", async () => {
    const dropIn = "/etc/systemd/system/runegate.service.d/test.conf";
    expect(await property("WatchdogUSec")).toBe("30s");
    machine.write(dropIn, "[Service]\nWatchdogSec=3s\n");
    await machine.run("systemctl daemon-reload && systemctl restart runegate");
    const pid = await property("MainPID");
    await machine.run(`kill -STOP ${pid}`);
    await backAfter(pid);
    const journal = await machine.run("journalctl -u runegate --no-pager -n 40");
    expect(journal).toContain("Watchdog timeout");
    expect(journal).not.toMatch(/panic|crashed/);
    await stillSignedIn();
    await machine.run(`rm ${dropIn} && systemctl daemon-reload && systemctl restart runegate`);
  });

  step("does not depend on the application", async () => {
    await machine.run("systemctl stop target-app && systemctl restart runegate");
    const page = await ask(
      "/whoami",
      ...asAda(),
      "-H",
      "Accept: text/html",
      "-H",
      "Sec-Fetch-Mode: navigate",
    );
    expect([page.status, page.head]).toEqual([502, expect.stringMatching(/content-type: text\/html/i)]);
    expect(await readiness()).toBe(200);
    await machine.run("systemctl start target-app");
    await until("the application is reached", async () => (await ask("/whoami", ...asAda())).status === 200);
  });

  step("survives a full disk", async () => {
    const data = "/var/lib/runegate";
    await machine.run(`
      systemctl stop runegate
      cp -a ${data} /root/kept
      mount -t tmpfs -o "size=8m,mode=0700,uid=$(id -u runegate),gid=$(id -g runegate)" tmpfs ${data}
      cp -a /root/kept/. ${data}/
      systemctl start runegate`);
    expect(await readiness()).toBe(200);
    const pid = await property("MainPID");
    await machine.run(`! dd if=/dev/zero of=${data}/fill bs=4k status=none`);
    await until("it says that it is not ready", async () => (await readiness()) === 503);
    const unready = await ask("/_runegate/health/ready");
    expect(JSON.parse(unready.body)).toMatchObject({
      status: "unavailable",
      message: expect.stringMatching(/full/),
    });
    await stillSignedIn();
    const asked = await ask(
      "/login",
      "-H",
      "Content-Type: application/json",
      "-d",
      '{"email":"grace@example.org"}',
    );
    expect(asked.status).toBe(503);

    await machine.run(`rm ${data}/fill`);
    await until("it is ready again", async () => (await readiness()) === 200);
    await signIn("grace@example.org");
    expect(await property("MainPID")).toBe(pid);
    await machine.run(`
      systemctl stop runegate
      rm -rf /root/kept && cp -a ${data} /root/kept
      umount ${data}
      rm -rf ${data}/* && cp -a /root/kept/. ${data}/ && rm -rf /root/kept
      systemctl start runegate`);
    await stillSignedIn();
  });

  step("is backed up and restored", async () => {
    await machine.run(guideCommands("backup"));
    expect(await machine.run("stat -c '%a %n' /var/backups/runegate/*")).toBe(
      "600 /var/backups/runegate/etc.tar.gz\n600 /var/backups/runegate/runegate.db\n",
    );
    const left = await ask("/_runegate/logout", "-X", "POST", "-H", `Origin: ${ORIGIN}`, ...asAda());
    expect(left.status).toBeLessThan(400);
    expect((await ask("/whoami", ...asAda())).status).toBe(401);
    await machine.run(guideCommands("restore"));
    await stillSignedIn();
    await machine.run("rm -r /var/backups/runegate");
  });

  step("runs several workers under the same restrictions", async () => {
    await machine.run(
      `sed -i 's|^RUNEGATE_WORKERS=.*|RUNEGATE_WORKERS=2|' ${ENV_FILE} && systemctl restart runegate`,
    );
    const workers = async () =>
      (await machine.run("pgrep -P $(systemctl show -P MainPID runegate)")).trim().split("\n");
    const started = await workers();
    expect(started).toHaveLength(2);
    await stillSignedIn();
    const failures = await world.whileVisited(cookie, async () => {
      await machine.run("systemctl reload runegate");
      await until("the reload is done", async () => {
        const log = await machine.run(
          `journalctl -u runegate --no-pager -b _PID=${await property("MainPID")}`,
        );
        return log.includes("reloaded");
      });
      expect(await workers()).toEqual(started);
      await machine.run("deploy/install.sh --binary ./runegate", { folder: SECOND });
    });
    expect(failures).toEqual([]);
    expect(await world.echo(cookie, "a word")).toBe("a word");

    const [victim = ""] = await workers();
    await machine.run(`kill -9 ${victim}`);
    await until("another worker has come", async () => {
      const now = await workers();
      return now.length === 2 && !now.includes(victim);
    });
    await stillSignedIn();
    const pid = await property("MainPID");
    await machine.run(`kill -9 ${pid}`);
    await backAfter(pid);
    expect(await workers()).toHaveLength(2);
    await stillSignedIn();
    expect(await machine.run("journalctl -u runegate --no-pager -b -p warning -n 50")).not.toMatch(
      /systemd cannot be told/,
    );
  });

  step("takes its secrets as credentials", async () => {
    const folder = "/etc/runegate/credentials";
    await machine.run(`
      install -d -m 700 ${folder}
      umask 077
      sed -n 's/^RUNEGATE_JWT_SECRET=//p' ${ENV_FILE} > ${folder}/jwt_secret
      sed -n 's/^RUNEGATE_SESSION_KEY=//p' ${ENV_FILE} > ${folder}/session_key
      sed -i -e '/^RUNEGATE_JWT_SECRET=/d' -e '/^RUNEGATE_SESSION_KEY=/d' ${ENV_FILE}
      mkdir -p /etc/systemd/system/runegate.service.d
      { echo '[Service]'; sed -n 's/^#\\(LoadCredential=\\)/\\1/p' /etc/systemd/system/runegate.service; } \
        > /etc/systemd/system/runegate.service.d/credentials.conf
      systemctl daemon-reload
      systemctl restart runegate`);
    await stillSignedIn();
    const failures = await world.whileVisited(cookie, () =>
      machine.run("deploy/install.sh --binary ./runegate", { folder: SECOND }),
    );
    expect(failures).toEqual([]);
    expect(secretsOf(machine)).toEqual([]);
    await machine.run(`
      { echo "RUNEGATE_JWT_SECRET=$(cat ${folder}/jwt_secret)"; echo "RUNEGATE_SESSION_KEY=$(cat ${folder}/session_key)"; } \
        >> ${ENV_FILE}
      rm -r ${folder} /etc/systemd/system/runegate.service.d
      systemctl daemon-reload
      systemctl restart runegate`);
    await stillSignedIn();
  });

  step("keeps data and configuration when it is removed, and takes them up again", async () => {
    await machine.run("/opt/runegate/uninstall.sh");
    expect(await property("LoadState")).toBe("not-found");
    await machine.run(`deploy/install.sh --binary ./runegate --setup-nginx ${DOMAIN}`, { folder: SECOND });
    // nginx is told to read its sites again, and does it a moment later.
    await machine.run(`curl -sS -o /dev/null --retry 10 --retry-connrefused ${ORIGIN}/login`);
    await stillSignedIn();
  });

  step("shows who is signed in, and takes new secrets", async () => {
    const said = await machine.run(guideCommands("users"));
    expect(said).toContain("ada@example.org");
    const [secret] = secretsOf(machine);
    await machine.run(guideCommands("rotate"));
    await until("the reload is done", async () => (await property("ActiveState")) === "active");
    expect(secretsOf(machine).slice(0, 2)).not.toContain(secret);
    await stillSignedIn();
    await machine.run(guideCommands("rotated"));
    await until(
      "the old secrets count no more",
      async () => (await ask("/whoami", ...asAda())).status === 401,
    );
  });

  step("is gone when it is uninstalled", async () => {
    await expectNoSecrets();
    await machine.run(guideCommands("uninstall"));
    expect(await property("LoadState")).toBe("not-found");
    await machine.run("getent passwd runegate || getent group runegate", { code: 2 });
    expect(await machine.run("curl -sSI http://127.0.0.1/")).toContain("200 OK");
    expect(await machine.run("pgrep -a runegate || true")).toBe("");
    expect(changes()).toEqual([]);
  });
});

/** The two in the env file, in its order. */
function secretsOf(machine: Machine): string[] {
  const file = readFileSync(join(machine.root, ENV_FILE), "utf8");
  return [...file.matchAll(/^RUNEGATE_(?:JWT_SECRET|SESSION_KEY)=(\w+)$/gm)].map(([, value = ""]) => value);
}

/** For a POSIX shell. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
