import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { checkDnsHook, createDnsHook } from "../../src/certificates/dns-hook.ts";
import { EXIT } from "../../src/exit.ts";
import { isAlive, until } from "../process/stage.ts";
import { needs } from "../support/needs.ts";
import { installPebble } from "../support/pebble.ts";
import { freePort, runegate, startProcess } from "../support/process.ts";
import { ask, shown } from "./client.ts";
import {
  APP,
  closeAfterEach,
  closeLater,
  folderOf,
  goesOn,
  hup,
  isTrusted,
  mailFile,
  openWorld,
  trusted,
  type World,
} from "./world.ts";

/** Wildcards, which are proved by a record in DNS that a program of the operator's writes. */

setDefaultTimeout(600_000);
closeAfterEach();

const programs = await installPebble();
const curl = needs("curl");
const NAME = "_acme-challenge.example.test";

/** A program that anybody may run. */
function script(folder: string, lines: string, name = "hook"): string {
  const file = join(folder, name);
  writeFileSync(file, `#!/bin/sh\n${lines}\n`);
  chmodSync(file, 0o755);
  return file;
}

/** Writes to Pebble's name server, and what it was called with into a file. */
function hookOf({ folder, pebble }: World) {
  const calls = join(folder, "calls");
  const lines = `echo "$@" >> ${calls}
case $1 in
  present) curl -sf ${pebble.names}/set-txt -d "{\\"host\\":\\"$2.\\",\\"value\\":\\"$3\\"}" ;;
  cleanup) curl -sf ${pebble.names}/clear-txt -d "{\\"host\\":\\"$2.\\"}" ;;
esac`;
  return {
    file: script(folder, lines),
    /** Verb and name of each. */
    calls: () =>
      existsSync(calls)
        ? readFileSync(calls, "utf8")
            .trim()
            .split("\n")
            .map((line) => line.split(" ").slice(0, 2).join(" "))
        : [],
  };
}

describe.skipIf(programs === undefined || curl === undefined)("with Pebble", () => {
  test("one certificate for a wildcard and its hosts, kept and renewed; other hosts by http", async () => {
    const world = await openWorld(programs, ["*.example.test", "apex.test"]);
    const hook = hookOf(world);
    const options = { RUNEGATE_ACME_DNS_HOOK: hook.file };
    const stage = await world.open({ options });
    await goesOn(stage, "\\*\\.example\\.test", "apex\\.test");
    for (const name of [APP, "any.example.test"]) {
      expect(await isTrusted(world, name)).toBe(true);
      expect((await shown(world.port, name)).names).toBe("DNS:*.example.test");
    }
    expect(await isTrusted(world, "apex.test")).toBe(true);
    // The first, which is that of the base URL's host.
    expect((await shown(world.port, undefined)).names).toBe("DNS:*.example.test");
    expect((await ask(`https://x.example.test:${world.port}`, "/")).status).toBe(401);
    expect(hook.calls()).toEqual([`present ${NAME}`, `cleanup ${NAME}`]);
    expect(world.pebble.issued()).toBe(2);
    expect(readdirSync(join(world.folder, "certificates")).sort()).toEqual([
      ...["_.example.test.crt", "_.example.test.key", "account.key", "apex.test.crt", "apex.test.key"],
    ]);
    const { output } = await stage.command("certificates", "--json");
    expect(JSON.parse(output.split("\n")[0] ?? "").certificates).toMatchObject(
      [APP, "*.example.test", "apex.test"].map((host) => ({ host })),
    );
    await stage[Symbol.asyncDispose]();
    const again = await world.open({ options });
    expect(await isTrusted(world, APP)).toBe(true);
    await hup(again);
    expect(again.main.output()).not.toContain("orders a certificate");
  });

  test("a wildcard that the operator names, and no plain http: everything is proved in DNS", async () => {
    const world = await openWorld(programs, ["a.sub.test"]);
    const hook = hookOf(world);
    const stage = await world.open({
      options: {
        RUNEGATE_HTTP_LISTEN: "off",
        RUNEGATE_ACME_DNS_HOOK: hook.file,
        RUNEGATE_ACME_DNS_WAIT: "10ms",
        RUNEGATE_ACME_WILDCARDS: "*.sub.test",
      },
    });
    await goesOn(stage, "app", "\\*\\.sub");
    expect(await isTrusted(world, APP)).toBe(true);
    expect(await isTrusted(world, "a.sub.test")).toBe(true);
    expect((await shown(world.port, "a.sub.test")).names).toBe("DNS:*.sub.test");
    expect(hook.calls()).toEqual([
      ...[`present _acme-challenge.${APP}`, `cleanup _acme-challenge.${APP}`],
      ...["present _acme-challenge.sub.test", "cleanup _acme-challenge.sub.test"],
    ]);
  });

  test("a hook that fails: the log has what it said, others get their certificates, and it is cleaned up", async () => {
    const world = await openWorld(programs, ["*.sub.test"]);
    const calls = join(world.folder, "calls");
    const file = script(world.folder, `echo "$1" >> ${calls}; echo "no such zone" >&2; exit 3`);
    const stage = await world.open({ options: { RUNEGATE_ACME_DNS_HOOK: file } });
    await stage.says(/WARN[^\n]* a record of a proof stays in DNS/);
    await stage.says(
      /WARN[^\n]* no certificate was given[^\n]*present _acme-challenge\.sub\.test[^\n]* ended with 3: no such zone/,
    );
    await trusted(world, APP);
    expect(readFileSync(calls, "utf8")).toBe("present\ncleanup\n");
    expect(world.pebble.issued()).toBe(1);
  });

  test("a record that the authority does not find: a warning with the reason", async () => {
    const world = await openWorld(programs, ["*.sub.test"]);
    const stage = await world.open({ options: { RUNEGATE_ACME_DNS_HOOK: script(world.folder, "exit 0") } });
    await stage.says(
      /WARN[^\n]* no certificate was given[^\n]*name=\S*\*\.sub\.test[^\n]*(?:unauthorized|dns)/i,
    );
    expect(world.pebble.issued()).toBe(1);
  });
});

test.each<[string, (folder: string) => Record<string, string>, RegExp]>([
  ["a wildcard without a hook", () => ({}), /for \*\.example\.test over http: set RUNEGATE_ACME_DNS_HOOK/],
  [
    "a hook that is not there",
    (folder) => ({ RUNEGATE_ACME_DNS_HOOK: join(folder, "none") }),
    /the hook cannot be run: .*ENOENT/,
  ],
  [
    "a hook that is looked for",
    () => ({ RUNEGATE_ACME_DNS_HOOK: "true" }),
    /the hook needs a path from the root on/,
  ],
  [
    "a hook that others can change",
    (folder) => {
      const file = script(folder, "exit 0");
      chmodSync(file, 0o775);
      return { RUNEGATE_ACME_DNS_HOOK: file };
    },
    /the hook \S+ can be changed by other users\. Run: chmod go-w /,
  ],
])("%s: it does not start, and says why, as `runegate check` does", async (_, options, words) => {
  const folder = folderOf();
  const routes = join(folder, "routes.toml");
  writeFileSync(
    routes,
    '[[routes]]\nname = "a"\nhost = "*.example.test"\ntarget = "http://127.0.0.1:1"\nallow = ["anyone"]\n',
    { mode: 0o600 },
  );
  const env = {
    RUNEGATE_TLS: "acme",
    RUNEGATE_TLS_DIRECTORY: join(folder, "certificates"),
    RUNEGATE_BASE_URL: "https://app.example.test:8443",
    RUNEGATE_LISTEN: `127.0.0.1:${freePort()}`,
    RUNEGATE_HTTP_LISTEN: `127.0.0.1:${freePort()}`,
    RUNEGATE_ROUTES: routes,
    RUNEGATE_EMAIL_CONFIG: mailFile(folder),
    RUNEGATE_CONTROL_SOCKET: join(folder, "control.sock"),
    ...options(folder),
  };
  for (const command of ["serve", "check"]) {
    const ran = startProcess(runegate(command), env, folder);
    expect(await ran.exited).toBe(EXIT.config);
    expect(ran.output()).toMatch(words);
  }
});

describe("the hook", () => {
  test("is called without a shell, by arguments as they are, and sees nothing of Runegate's own", async () => {
    const folder = folderOf();
    const file = script(
      folder,
      `printf '%s\\n' "$@" > ${folder}/args; env > ${folder}/env; pwd >> ${folder}/env`,
    );
    const env = { PATH: process.env.PATH, DNS_KEY: "k", RUNEGATE_JWT_SECRET: "s3cret", NOTIFY_SOCKET: "/n" };
    await createDnsHook(file, env)("present", "_acme-challenge.a.test", "$(id) `id`;-x");
    expect(readFileSync(join(folder, "args"), "utf8")).toBe(
      "present\n_acme-challenge.a.test\n$(id) `id`;-x\n",
    );
    const seen = readFileSync(join(folder, "env"), "utf8");
    expect(seen).toContain("DNS_KEY=k\n");
    expect(seen).toEndWith("\n/\n");
    expect(seen).not.toMatch(/RUNEGATE|NOTIFY|s3cret/);
  });

  test("that takes too long is killed, with what it has started", async () => {
    const folder = folderOf();
    const file = script(folder, `sleep 300 & echo $! > ${folder}/pid; echo "still here"; wait`);
    const { rejects } = expect(createDnsHook(file, process.env, 300)("present", "a.test", "v"));
    await rejects.toThrow(
      "the hook for DNS failed (present a.test): it took more than 0.3 seconds: still here",
    );
    const child = Number(readFileSync(join(folder, "pid"), "utf8"));
    await until("its child is gone", () => !isAlive(child));
  });

  test("that leaves something behind that writes all the time is not listened to", async () => {
    const folder = folderOf();
    const file = script(folder, `yes & echo $! > ${folder}/pid`);
    await createDnsHook(file, process.env)("present", "a.test", "v");
    const left = Number(readFileSync(join(folder, "pid"), "utf8"));
    await until("it has nobody to write to", () => !isAlive(left));
  });

  test.skipIf(process.geteuid?.() !== 0)("of another user is not run", () => {
    const file = script(folderOf(), "exit 0");
    chownSync(file, 12345, 0);
    expect(() => checkDnsHook(file)).toThrow("can be changed by the user with number 12345");
  });

  test("that leaves something behind is not waited for", async () => {
    const folder = folderOf();
    const file = script(folder, `setsid sleep 30 & echo $! > ${folder}/pid; exit 0`);
    const begun = performance.now();
    await createDnsHook(file, process.env)("cleanup", "a.test", "v");
    expect(performance.now() - begun).toBeLessThan(10_000);
    process.kill(Number(readFileSync(join(folder, "pid"), "utf8")), "SIGKILL");
  });

  test("that says too much: its end is told, without what would break the log", async () => {
    const folder = folderOf();
    const file = script(folder, `yes x | head -c 5000000; printf 'the\\nend\\033[2J' >&2; exit 1`);
    const error = await createDnsHook(file, process.env)("present", "a.test", "v").catch(String);
    expect(error?.length).toBeLessThan(600);
    expect(error).toEndWith("the end [2J");
  });

  test("that cannot be run says so", async () => {
    const folder = folderOf();
    const file = join(folder, "hook");
    writeFileSync(file, "#!/nowhere/sh\n", { mode: 0o755 });
    await expect(createDnsHook(file, {})("present", "a.test", "v")).rejects.toThrow(
      "the hook for DNS failed",
    );
    expect(() => checkDnsHook(folder)).toThrow();
    chmodSync(file, 0o644);
    expect(() => checkDnsHook(file)).toThrow("cannot be run");
  });
});

const named = needs("named");
const nsupdate = needs("nsupdate");

test.skipIf(named === undefined || nsupdate === undefined)(
  "deploy/dns/nsupdate.sh: BIND has the record, and of two values the other stays",
  async () => {
    const folder = folderOf();
    const port = freePort();
    const secret = Buffer.from("k".repeat(32)).toString("base64");
    const key = join(folder, "dns.key");
    writeFileSync(key, `key "runegate." { algorithm hmac-sha256; secret "${secret}"; };\n`, { mode: 0o600 });
    mkdirSync(join(folder, "zones"));
    writeFileSync(
      join(folder, "zones", "zone"),
      "$TTL 60\n@ SOA ns.example.test. ops.example.test. 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n",
    );
    writeFileSync(
      join(folder, "named.conf"),
      `include "${key}";
controls { };
options { directory "${folder}/zones"; listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; };
  pid-file none; session-keyfile none; recursion no; dnssec-validation no; };
zone "example.test" { type primary; file "zone";
  update-policy { grant runegate. name ${NAME}. TXT; }; };
`,
    );
    const server = startProcess(["named", "-g", "-c", join(folder, "named.conf")]);
    closeLater(async () => {
      server.signal("SIGKILL");
      await server.exited;
    });
    await server.waitFor(/ running$/m, 20_000);
    const env = { PATH: process.env.PATH, DNS_PORT: String(port), DNS_KEY: key };
    const file = join(import.meta.dir, "../../deploy/dns/nsupdate.sh");
    checkDnsHook(file);
    const hook = createDnsHook(file, env);
    // Of Node's own there is a cache in between.
    const records = async () => {
      const asked = Bun.spawn(["dig", "+short", "@127.0.0.1", "-p", String(port), NAME, "TXT"]);
      return (await asked.stdout.text()).split("\n").filter(Boolean).sort();
    };
    await hook("present", NAME, "-first");
    await hook("present", NAME, "second");
    expect(await records()).toEqual(['"-first"', '"second"']);
    await hook("cleanup", NAME, "-first");
    expect(await records()).toEqual(['"second"']);
    await hook("cleanup", NAME, "second");
    expect(await records()).toEqual([]);
    await expect(hook("present", "_acme-challenge.other.example.test", "v")).rejects.toThrow(/REFUSED/);
  },
);
