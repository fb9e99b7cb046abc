import { afterAll, beforeAll, describe, expect } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { checkoutAt, makeKeys } from "../release/checkout.ts";
import { needs, needsRoot } from "../support/needs.ts";
import { CACHE } from "./debian.ts";
import { bootMachine, type Machine } from "./machine.ts";
import { differences, type Manifest, manifestOf } from "./manifest.ts";
import { PREPARE_MS, STEP_MS, stepsOn } from "./step.ts";

/**
 * Releases on a Debian that systemd has booted: three versions as a package, and then by install.sh and `runegate upgrade`, with
 * visitors all the while. The steps build on each other.
 */

const VERSIONS = ["0.9.1", "0.9.2", "0.9.3"] as const;
/** The last one reads what is wrong with it from here, so that the same executable can be good or bad. */
const FLAWS = "/etc/runegate/flaws";
const ENV_FILE = "/etc/runegate/runegate.env";

/** What was used but is not the package's, and the account, which stays. */
const USED = [
  /^[+!] \/var\/log\/(journal\/|nginx\/|wtmp:|dpkg\.log|alternatives)/,
  /^[+!] \/etc\/(passwd|group|shadow|gshadow|subuid|subgid)(-|:|$)/,
  /^\+ \/etc\/\.pwd\.lock/,
  /^[+!] \/var\/(lib\/systemd|lib\/dpkg|backups|cache)\//,
];

const able =
  needsRoot("to boot a machine") &&
  ["debootstrap", "systemd-nspawn", "nsenter", "go", "minisign"].every((name) => needs(name) !== undefined);

describe.skipIf(!able)("releases, on a Debian booted by systemd", () => {
  let machine: Machine;
  let before: Manifest;
  let key = "";
  /** On the same file system as the machine. */
  mkdirSync(CACHE, { recursive: true });
  const workshop = mkdtempSync(join(CACHE, "build-"));

  const step = stepsOn(() => machine);

  beforeAll(async () => {
    const keys = await makeKeys(join(workshop, "keys"));
    key = readFileSync(keys.public, "utf8").split("\n")[1] ?? "";
    for (const version of VERSIONS) {
      const checkout = await checkoutAt(join(workshop, `source-${version}`), version);
      if (version === "0.9.3") makeFlawed(checkout.edit);
      const options = ["--target", `linux-${process.arch}`, "--without", "rpm", "--without", "image"];
      const { code, stderr } = await checkout.release([...options, "--outdir", join(workshop, version)], {
        RUNEGATE_RELEASE_KEY: keys.secret,
      });
      if (code !== 0) throw new Error(stderr);
      rmSync(checkout.path, { recursive: true });
    }
    machine = await bootMachine();
    mkdirSync(join(machine.root, "srv"), { recursive: true });
    for (const version of VERSIONS) {
      renameSync(join(workshop, version), join(machine.root, "srv", version));
      await machine.run(`tar -xzf /srv/${version}/runegate-deploy-${version}.tar.gz`, {
        folder: `/srv/${version}`,
      });
    }
    before = manifestOf(machine.root);
  }, PREPARE_MS);

  afterAll(async () => {
    await machine?.destroy();
    rmSync(workshop, { recursive: true, force: true });
  }, STEP_MS);

  /** `no-start`: what is to serve ends at once. `not-ready`: it says of itself that it is not ready. */
  function makeFlawed(edit: (name: string, change: (text: string) => string) => void): void {
    const has = (flaw: string) => `require("node:fs").existsSync("${FLAWS}/${flaw}")`;
    edit("src/commands/serve.ts", (text) =>
      text.replace(/(\n\s+async run\([^)]*\)[^{]*\{)/, `$1\n    if (${has("no-start")}) process.exit(1);`),
    );
    edit("src/commands/health.ts", (text) =>
      text.replace(
        "async run(_, io) {",
        `async run(_, io) {\n    if (${has("not-ready")}) return failed(io, "not ready");`,
      ),
    );
  }

  const flawed = (name: string) => machine.run(`rm -rf ${FLAWS}; mkdir ${FLAWS}; touch ${FLAWS}/${name}`);
  const mended = () => machine.run(`rm -rf ${FLAWS}`);

  const property = async (name: string) =>
    (await machine.run(`systemctl show --property=${name} --value runegate`)).trim();
  const running = async () =>
    JSON.parse(await machine.run("/proc/$(systemctl show -P MainPID runegate)/exe version --json")).version;
  const deb = (version: string) => `/srv/${version}/*.deb`;

  const ASK =
    "curl -s -o /dev/null -w '%{http_code}\\n' --max-time 10 http://127.0.0.1:7870/_runegate/health/ready";

  /** Has visitors come one after the other, each on a connection of its own. @returns every answer that was not 200 */
  async function whileVisited(work: () => Promise<unknown>): Promise<string[]> {
    await machine.run(`
      touch /run/visits
      (while [ -e /run/visits ]; do ${ASK} >> /run/visits || true; done) </dev/null >/dev/null 2>&1 &`);
    await work();
    const answers = (await machine.run("sleep 0.3; cat /run/visits; rm /run/visits")).trim().split("\n");
    expect(answers.length).toBeGreaterThan(10);
    return answers.filter((answer) => answer !== "200");
  }

  async function configure(): Promise<void> {
    await machine.run(`
      sed -i -e 's|^RUNEGATE_BASE_URL=.*|RUNEGATE_BASE_URL=https://app.example.org|' \
        -e 's|^RUNEGATE_ALLOWED_EMAILS=.*|RUNEGATE_ALLOWED_EMAILS=ada@example.org|' ${ENV_FILE}
      sed -i -e 's|^smtp_host =.*|smtp_host = "mail.example.net"|' -e '/^smtp_user =/d' -e '/^smtp_pass =/d' \
        -e 's|^from_address =.*|from_address = "Example <login@example.net>"|' /etc/runegate/config/email.toml`);
  }

  describe("the .deb", () => {
    step("takes no account of a person's for its own", async () => {
      const said = await machine.run(`useradd runegate && dpkg -i ${deb("0.9.1")}`, { code: 1 });
      expect(said).toContain("a user runegate who is no system user (number 1000)");
      await machine.run("userdel runegate; dpkg -P runegate");
    });

    step("installs, starts nothing, and says what is left to do", async () => {
      const said = await machine.run(`dpkg -i ${deb("0.9.1")}`);
      expect(said).toContain("not started, because its configuration is not complete");
      expect([await property("ActiveState"), await property("UnitFileState")]).toEqual([
        "inactive",
        "disabled",
      ]);
      const owners = await machine.run(
        `stat -c '%U:%G %a %N' /usr/lib/runegate/runegate /usr/bin/runegate /etc/runegate ${ENV_FILE} /etc/runegate/config/email.toml`,
      );
      expect(owners.trim().split("\n")).toEqual([
        "root:root 755 '/usr/lib/runegate/runegate'",
        "root:root 777 '/usr/bin/runegate' -> '../lib/runegate/runegate'",
        "root:runegate 750 '/etc/runegate'",
        `root:runegate 640 '${ENV_FILE}'`,
        "root:runegate 640 '/etc/runegate/config/email.toml'",
      ]);
      expect(await machine.run("getent passwd runegate")).toEndWith(":/usr/sbin/nologin\n");
      const secrets = await machine.run(`grep -cE '^RUNEGATE_(JWT_SECRET|SESSION_KEY)=.{64}' ${ENV_FILE}`);
      expect(secrets.trim()).toBe("2");
      expect(await machine.run("sysctl -n net.ipv4.tcp_migrate_req")).toBe("1\n");
    });

    step("serves once it is configured, confined as install.sh's", async () => {
      await configure();
      await machine.run("runegate check && systemctl enable --now runegate");
      expect([await running(), (await machine.run(ASK)).trim()]).toEqual(["0.9.1", "200"]);
      await machine.run("systemd-analyze security --no-pager --threshold=13 runegate");
      expect(await machine.run("systemd-analyze verify runegate.service")).toBe("");
    });

    step("upgrades without a refused connection, and keeps what was configured", async () => {
      const [pid, env] = [await property("MainPID"), await machine.run(`cat ${ENV_FILE}`)];
      const failures = await whileVisited(async () => {
        expect(await machine.run(`dpkg -i ${deb("0.9.2")}`)).toContain("The service runs it and is ready.");
      });
      expect(failures).toEqual([]);
      expect(await running()).toBe("0.9.2");
      expect(await property("MainPID")).not.toBe(pid);
      expect(await machine.run(`cat ${ENV_FILE}`)).toBe(env);
    });

    step(
      "leaves the version before serving when the new one does not start, and says how to go on",
      async () => {
        await flawed("no-start");
        const failures = await whileVisited(async () => {
          expect(await machine.run(`dpkg -i ${deb("0.9.3")}`)).toContain("the version before serves on");
        });
        expect([failures, await running()]).toEqual([[], "0.9.2"]);
        await mended();
        await machine.run("systemctl reload runegate");
        await machine.run(
          "until [ $(systemctl show -P ActiveState runegate) = active ]; do sleep 0.1; done; runegate upgrade --switch-over",
        );
        expect(await running()).toBe("0.9.3");
      },
    );

    step("upgrades under a unit that was edited as a whole, and one that is masked", async () => {
      const own = "/etc/systemd/system/runegate.service";
      await machine.run(`cp /usr/lib/systemd/system/runegate.service ${own} && systemctl daemon-reload`);
      expect(await machine.run(`dpkg -i ${deb("0.9.2")}`)).toContain("The service runs it and is ready.");
      expect(await running()).toBe("0.9.2");
      await machine.run(
        `rm ${own}; systemctl daemon-reload; systemctl stop runegate; systemctl mask runegate`,
      );
      await machine.run(`dpkg -i ${deb("0.9.3")}`);
      expect(await property("ActiveState")).toBe("inactive");
      await machine.run("systemctl unmask runegate; systemctl start runegate");
      expect(await running()).toBe("0.9.3");
    });

    step("refuses `runegate upgrade`, which would change a package's file", async () => {
      const said = await machine.run(`runegate upgrade --from /srv/0.9.2 --public-key ${key}`, { code: 1 });
      expect(said).toContain("belongs to a package");
    });

    step("removed, it stops and keeps its configuration; installed again, it serves as before", async () => {
      await machine.run("dpkg -r runegate");
      expect(await property("ActiveState")).toBe("inactive");
      await machine.run(
        `test -e ${ENV_FILE} && test -e /etc/runegate/config/email.toml && test -d /var/lib/runegate`,
      );
      await machine.run(`dpkg -i ${deb("0.9.1")}`);
      expect([await running(), (await machine.run(ASK)).trim()]).toEqual(["0.9.1", "200"]);
    });

    step("is not to be mixed with install.sh", async () => {
      const said = await machine.run("runegate-0.9.1/deploy/install.sh --from /srv/0.9.1 --no-signature", {
        ...{ folder: "/srv/0.9.1", code: 1 },
      });
      expect(said).toContain("installed as a package here");
    });

    step("purged, it leaves nothing but the account", async () => {
      await machine.run("dpkg -P runegate");
      const left = differences(before, manifestOf(machine.root)).filter(
        (line) => !USED.some((pattern) => pattern.test(line)),
      );
      expect(left).toEqual([]);
      expect(await machine.run("systemctl is-enabled runegate 2>&1 || true")).toMatch(
        /No such file|not-found/,
      );
    });
  });

  describe("install.sh --from, and runegate upgrade", () => {
    const install = (version: string, args: string, code = 0) =>
      machine.run(`runegate-${version}/deploy/install.sh --from /srv/${version} ${args}`, {
        ...{ folder: `/srv/${version}`, code },
      });
    const upgrade = (version: string, args = "", code = 0) =>
      machine.run(`runegate upgrade --from /srv/${version} --public-key ${key} ${args}`, { code });

    step("refuses what nothing can verify, and takes it when told to, with a clear word", async () => {
      expect(await install("0.9.1", `--public-key ${key}`, 1)).toContain("apt-get install minisign");
      await machine.run("test ! -e /opt/runegate/bin/runegate");
      expect(await install("0.9.1", "--no-signature", 78)).toContain("NOT VERIFIED");
      await configure();
      await machine.run("systemctl enable --now runegate");
      expect(await running()).toBe("0.9.1");
    });

    step("once installed, it verifies the next one by the executable that is there", async () => {
      await machine.run(
        "cd /srv/0.9.2 && install -D -t /srv/bad SHA256SUMS* runegate-linux-* && echo >> /srv/bad/runegate-linux-*",
      );
      const bad = await machine.run(`deploy/install.sh --from /srv/bad --public-key ${key}`, {
        ...{ folder: "/srv/0.9.2/runegate-0.9.2", code: 1 },
      });
      expect(bad).toContain("is not the file that was signed");
      const failures = await whileVisited(async () => {
        expect(await install("0.9.2", `--public-key ${key}`)).toContain(
          "The signature is good: version 0.9.2",
        );
      });
      expect([failures, await running()]).toEqual([[], "0.9.2"]);
      expect(await install("0.9.1", `--public-key ${key}`, 1)).toContain("no newer version");
      expect(await running()).toBe("0.9.2");
    });

    step("a version that does not start: the one before goes on, and has its name again", async () => {
      await flawed("no-start");
      const failures = await whileVisited(async () => {
        expect(await upgrade("0.9.3", "", 1)).toContain("The version before runs on.");
      });
      expect([failures, await running()]).toEqual([[], "0.9.2"]);
      expect(await machine.run("runegate version")).toContain("runegate 0.9.2 ");
    });

    step("a version that is not ready is taken back, without a refused connection", async () => {
      await flawed("not-ready");
      const failures = await whileVisited(async () => {
        expect(await upgrade("0.9.3", "", 1)).toContain("The version before runs on.");
      });
      expect([failures, await running()]).toEqual([[], "0.9.2"]);
    });

    step("a configuration that it refuses changes nothing", async () => {
      await machine.run(`cp -a ${ENV_FILE} /root/kept.env; echo RUNEGATE_SESSION_TTL=soon >> ${ENV_FILE}`);
      expect(await upgrade("0.9.3", "", 78)).toContain("nothing was changed");
      await machine.run(`mv /root/kept.env ${ENV_FILE}`);
      expect([await running(), (await machine.run("ls -A /opt/runegate/bin")).trim()]).toEqual([
        "0.9.2",
        "runegate\nrunegate.previous",
      ]);
    });

    step(
      "a good version takes over, and the way back is one command, both without a refused connection",
      async () => {
        await mended();
        expect(await whileVisited(() => upgrade("0.9.3"))).toEqual([]);
        expect(await running()).toBe("0.9.3");
        expect(await upgrade("0.9.3")).toContain("nothing was changed");
        expect(await upgrade("0.9.2", "", 1)).toContain("no newer version");
        expect(await whileVisited(() => machine.run("runegate upgrade --back"))).toEqual([]);
        expect(await running()).toBe("0.9.2");
      },
    );

    step("one that was killed after the exchange is brought to its end by the next", async () => {
      const bin = "/opt/runegate/bin";
      const exchange = (version: string) =>
        machine.run(`
          cp /srv/${version}/runegate-linux-${process.arch} ${bin}/next && chmod 755 ${bin}/next
          ln ${bin}/runegate ${bin}/kept && mv ${bin}/kept ${bin}/runegate.previous && mv ${bin}/next ${bin}/runegate`);
      await exchange("0.9.3");
      expect([await running(), await machine.run("runegate version")]).toEqual([
        "0.9.2",
        expect.stringContaining("0.9.3"),
      ]);
      expect(await whileVisited(() => upgrade("0.9.3"))).toEqual([]);
      expect(await running()).toBe("0.9.3");
      await machine.run("runegate upgrade --back");
      await exchange("0.9.3");
      await machine.run("runegate upgrade --back");
      expect([await running(), await machine.run("runegate version")]).toEqual([
        "0.9.2",
        expect.stringContaining("0.9.2"),
      ]);
    });

    step("says in a line who may, and when the disk is full", async () => {
      const asNobody = "setpriv --reuid=65534 --regid=65534 --clear-groups runegate upgrade";
      for (const what of ["--back", `--from /srv/0.9.3 --public-key ${key}`])
        expect(await machine.run(`${asNobody} ${what}`, { code: 1 })).toMatch(
          /permitted|denied.*Try: sudo\n$/i,
        );
      const said = await machine.run(
        `mount -t tmpfs -o size=150m tmpfs /opt && mkdir -p /opt/other && cp /srv/0.9.2/runegate-linux-* /opt/other/runegate
         chmod 755 /opt/other/runegate
         /opt/other/runegate upgrade --from /srv/0.9.3 --public-key ${key} || code=$?
         ls -A /opt/other; umount /opt; exit $code`,
        { code: 1 },
      );
      expect(said).toMatch(/^runegate upgrade: ENOSPC: [^\n]*\nrunegate\n$/m);
    });

    step("with a store that cannot be handed over it is restarted", async () => {
      await machine.run(
        `sed -i 's|^RUNEGATE_STORE=.*|RUNEGATE_STORE=memory|' ${ENV_FILE}; systemctl restart runegate`,
      );
      expect(await upgrade("0.9.3")).toContain("The service is restarted.");
      expect([await running(), (await machine.run(ASK)).trim()]).toEqual(["0.9.3", "200"]);
    });

    step("and the package is refused beside it", async () => {
      expect(await machine.run(`dpkg -i ${deb("0.9.3")}`, { code: 1 })).toContain(
        "there is one from install.sh",
      );
      expect(await running()).toBe("0.9.3");
    });

    step("without a key it is not guessed who signed it", async () => {
      expect(await machine.run("runegate upgrade --from /srv/0.9.3", { code: 64 })).toContain("--public-key");
    });
  });
});
