import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { interimPair } from "../../src/certificates/self-signed.ts";
import { systemClock, systemRandom } from "../../src/clock.ts";
import { waitForCertificate } from "../../src/commands/setup/certificate.ts";
import { SHIPPED } from "../../src/commands/setup/shipped.ts";
import { differences, fillEmail, fillEnv, withoutProxy } from "../../src/commands/setup/texts.ts";
import { loadAccess, loadConfiguration } from "../../src/config/configuration.ts";
import { parseEmailConfig } from "../../src/config/email.ts";
import { parseEnvFile } from "../../src/config/env-file.ts";
import { EXAMPLES } from "../../src/config/examples.ts";
import { SYSTEM } from "../../src/config/surroundings.ts";
import { main } from "../../src/main.ts";
import { makeCertificate } from "../support/certificate.ts";
import { recordedIo } from "../support/recorded-io.ts";
import { CREDENTIALS, type SmtpPeer, startSmtp } from "../support/smtp.ts";

/** `runegate setup` where nobody is asked; at a terminal: `setup.system.test.ts`. */

const folder = mkdtempSync(join(tmpdir(), "runegate-setup-"));
let smtp: SmtpPeer;
const application = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("hello") });
beforeAll(async () => {
  smtp = await startSmtp({ tls: "none" });
  writeFileSync(join(folder, "password"), `${CREDENTIALS.pass}\n`, { mode: 0o600 });
  writeFileSync(join(folder, "wrong"), "not-the-password\n", { mode: 0o600 });
});
afterAll(async () => {
  await smtp.stop();
  await application.stop(true);
  rmSync(folder, { recursive: true });
});

let folders = 0;
const freshFolder = () => join(folder, `site-${folders++}`);

async function run(...args: string[]) {
  const io = recordedIo();
  const code = await main(["setup", ...args], io);
  return { code, stdout: io.stdout.join("\n"), stderr: io.stderr.join("\n") };
}

const SITE = ["--yes", "--domain", "app.example.test", "--allow", "ada@example.org"];
const target = () => ["--target", application.url.origin];
const mail = (password = "password") => [
  ...["--smtp", `127.0.0.1:${smtp.port}`, "--smtp-user", CREDENTIALS.user],
  ...["--smtp-password-file", join(folder, password)],
];

function configurationIn(dir: string) {
  const env = { RUNEGATE_ENV_FILE: join(dir, "runegate.env") };
  return loadConfiguration({ env });
}

test("writes two files that Runegate starts with, for their owner alone, and shows no secret", async () => {
  const dir = freshFolder();
  const sent = smtp.messages.length;
  const { code, stdout } = await run(
    ...[...SITE, ...target(), ...mail(), "--dir", dir, "--test-mail", "grace@example.org"],
  );
  expect(code).toBe(0);
  expect(readdirSync(dir).sort()).toEqual(["email.toml", "runegate.env"]);
  for (const [name, mode] of [
    ["", 0o700],
    ["email.toml", 0o600],
    ["runegate.env", 0o600],
  ] as const)
    expect([name, statSync(join(dir, name)).mode & 0o777]).toEqual([name, mode]);

  const { options, email, warnings } = configurationIn(dir);
  expect(warnings).toEqual([]);
  expect([options.production, options.baseUrl, options.tls]).toEqual([
    true,
    "https://app.example.test",
    "acme",
  ]);
  expect([...options.allowedEmails].join()).toBe("ada@example.org");
  expect(options.listen).toEqual({ kind: "tcp", hostname: "::", port: 443 });
  expect(options.target).toMatchObject({ origin: application.url.origin });
  expect(options.tlsDirectory).toBe(join(dir, "certificates"));
  expect(email?.backends).toMatchObject([{ kind: "smtp", port: smtp.port, ...CREDENTIALS, tls: "none" }]);
  expect(String(email?.from.address)).toBe(CREDENTIALS.user);

  const [message] = smtp.messages.slice(sent);
  expect(message?.to).toEqual(["grace@example.org"]);
  expect(stdout).toContain("RUNEGATE_BASE_URL=https://app.example.test");
  expect(stdout).toContain("RUNEGATE_JWT_SECRET=********");
  expect(stdout).toContain("smtp_pass = ********");
  const secrets = /^RUNEGATE_(?:JWT_SECRET|SESSION_KEY)=(\w+)$/gm;
  const written = Array.from(
    readFileSync(join(dir, "runegate.env"), "utf8").matchAll(secrets),
    ([, value = ""]) => value,
  );
  expect(written.map(({ length }) => length)).toEqual([64, 128]);
  for (const secret of [...written, CREDENTIALS.pass]) expect(stdout).not.toContain(secret);
});

test("every other option is a flag, and a flag goes before what setup would write", async () => {
  const dir = freshFolder();
  const store = `sqlite:${join(dir, "other.db")}`;
  const flags = ["--acme-directory", "staging", "--store", store, "--app-name", "My Lab", "--no-passkeys"];
  const { code } = await run(...SITE, ...target(), ...mail(), "--dir", dir, ...flags);
  expect(code).toBe(0);
  const { options } = configurationIn(dir);
  expect([options.acmeDirectory, options.appName, options.passkeys]).toEqual([
    expect.stringContaining("staging"),
    "My Lab",
    false,
  ]);
  expect(readFileSync(join(dir, "runegate.env"), "utf8")).toContain(`RUNEGATE_STORE=${store}\n`);
});

test("behind a proxy it listens for that alone", async () => {
  const dir = freshFolder();
  expect((await run(...SITE, ...target(), ...mail(), "--dir", dir, "--tls", "off")).code).toBe(0);
  const { options } = configurationIn(dir);
  expect([options.tls, options.listen]).toEqual(["off", { kind: "tcp", hostname: "127.0.0.1", port: 7870 }]);
});

test("with several applications in routes.toml it asks neither for one nor who may", async () => {
  const dir = freshFolder();
  const routes = join(folder, "routes.toml");
  writeFileSync(
    routes,
    `[[routes]]\nname = "a"\npath = "/"\ntarget = "${application.url.origin}"\nallow = ["ada@example.org"]\n`,
  );
  const flags = ["--yes", "--domain", "app.example.test", "--routes", routes];
  expect(await run(...flags, ...mail(), "--dir", dir)).toMatchObject({ code: 0 });
  expect(configurationIn(dir).routesFile?.routes).toHaveLength(1);
});

describe("what is missing or wrong is said by its flag, with exit code 64, and nothing is written", () => {
  const good = {
    "--domain": "app.example.test",
    "--allow": "ada@example.org",
    "--target": "http://127.0.0.1:9",
    "--smtp": "127.0.0.1:25",
  };
  const withOther = (flag: string, value: string | undefined) =>
    Object.entries({ ...good, [flag]: value }).flatMap(([name, text]) =>
      text === undefined ? [] : [`${name}=${text}`],
    );

  test.each([
    ["--domain", undefined, "say --domain"],
    ["--allow", undefined, "say --allow"],
    ["--smtp", undefined, "say --smtp"],
    ["--domain", "app", "no domain name"],
    ["--domain", "localhost", "no domain name"],
    ["--domain", "app.localhost", "no domain name"],
    ["--domain", "192.0.2.7", "no domain name"],
    ["--domain", "[2001:db8::1]", "no domain name"],
    ["--domain", "app.example.org:8443", "no domain name"],
    ["--domain", "https://app.example.org/path", "no domain name"],
    ["--domain", "ada@app.example.org", "no domain name"],
    ["--domain", "app_1.example.org", "no domain name"],
    ["--domain", "-app.example.org", "no domain name"],
    ["--domain", "*.example.org", "no domain name"],
    ["--domain", "app.example.org\nx", "no domain name"],
    ["--domain", `${"a".repeat(64)}.example.org`, "no domain name"],
    ["--domain", `${"a.".repeat(126)}ab`, "no domain name"],
    ["--domain", "app.example.org..", "no domain name"],
    ["--allow", "ada", "no address"],
    ["--allow", "*@example.org", "write @example.org"],
    ["--allow", "@*.example.org", "has a pattern"],
    ["--allow", "@", "names nobody"],
    ["--allow", "@lab_", "no domain"],
    ["--allow", "", "names nobody"],
    ["--allow", ",", "names nobody"],
    ["--target", "ftp://127.0.0.1", "http or https"],
    ["--smtp", "smtp.example.net:70000", "not a port"],
    ["--smtp", "smtp example", "not a host name"],
    ["--from", "nobody", "not an address"],
    ["--app-name", "it's", "RUNEGATE_APP_NAME"],
    ["--app-name", "a\nRUNEGATE_ALLOW_ANY_EMAIL=true", "RUNEGATE_APP_NAME"],
    ["--smtp-password-file", "/nonexistent", undefined],
  ])("%s %s", async (flag, value, problem) => {
    const dir = freshFolder();
    const user = flag === "--smtp-password-file" ? ["--smtp-user", "ada"] : [];
    const { code, stderr } = await run("--yes", "--dir", dir, ...withOther(flag, value), ...user);
    expect([code, stderr]).toEqual([64, expect.stringContaining(problem ?? flag)]);
    expect(existsSync(dir)).toBe(false);
  });

  test("flags of options are looked at together", async () => {
    const dir = freshFolder();
    const flags = Object.entries(good).flat();
    const { code, stderr } = await run("--yes", "--dir", dir, ...flags, "--session-ttl", "soon");
    expect([code, stderr]).toEqual([78, expect.stringContaining("RUNEGATE_SESSION_TTL")]);
    expect(existsSync(dir)).toBe(false);
  });
});

test("https:// before a domain, capitals, and a dot and a slash behind it are taken as what they mean", async () => {
  const dir = freshFolder();
  const site = ["--yes", "--domain", "https://App.Example.Test./", "--allow", "Ada@Example.ORG,@Lab.Example"];
  expect((await run(...site, ...target(), ...mail(), "--dir", dir)).code).toBe(0);
  const { options } = configurationIn(dir);
  expect([options.baseUrl, [...options.allowedDomains].join()]).toEqual([
    "https://app.example.test",
    "lab.example",
  ]);
});

describe("a mail server that does not take it is the end, and nothing is written", () => {
  test("a wrong password", async () => {
    const dir = freshFolder();
    const { code, stderr } = await run(...SITE, ...target(), ...mail("wrong"), "--dir", dir);
    expect([code, existsSync(dir)]).toEqual([1, false]);
    expect(stderr).toContain("535");
    expect(stderr).toEndWith("Nothing was written.");
    expect(stderr).not.toContain("not-the-password");
  });

  test("nobody there", async () => {
    const dir = freshFolder();
    const { code, stderr } = await run(...SITE, ...target(), "--smtp", "127.0.0.1:1", "--dir", dir);
    expect([code, existsSync(dir)]).toEqual([1, false]);
    expect(stderr).toContain("127.0.0.1:1");
  });

  test("without TLS on another machine", async () => {
    const dir = freshFolder();
    const flags = ["--smtp", "192.0.2.7:25", "--smtp-tls", "none", "--dir", dir];
    const { code, stderr } = await run(...SITE, ...target(), ...flags);
    expect([code, existsSync(dir)]).toEqual([78, false]);
    expect(stderr).toContain("is another machine");
  });

  test("a test mail that is refused", async () => {
    const dir = freshFolder();
    smtp.behavior.refuseRecipient = () => ({ code: 550, text: "no such user" });
    try {
      const { code } = await run(
        ...[...SITE, ...target(), ...mail(), "--dir", dir, "--test-mail", "ada@example.org"],
      );
      expect([code, existsSync(dir)]).toEqual([1, false]);
    } finally {
      smtp.behavior.refuseRecipient = undefined;
    }
  });
});

test("an application that is not up and a name that leads nowhere are said, and in nobody's way", async () => {
  const dir = freshFolder();
  const { code, stderr } = await run(...SITE, "--target", "1", ...mail(), "--dir", dir);
  expect(code).toBe(0);
  expect(stderr).toContain("http://127.0.0.1:1 cannot be reached");
  expect(stderr).toContain("app.example.test leads nowhere yet");
});

test("where there are files already, what changes is changed, all else stays, and the ones before are kept", async () => {
  const dir = freshFolder();
  await run(...SITE, ...target(), ...mail(), "--dir", dir);
  const [env, email] = [join(dir, "runegate.env"), join(dir, "email.toml")];
  const own = `${readFileSync(env, "utf8")}# mine\nRUNEGATE_SESSION_TTL=7d\n`;
  writeFileSync(env, own);
  const template = readFileSync(email, "utf8").replace("Hello,", "Good day,");
  writeFileSync(email, template);

  const same = await run("--yes", "--dir", dir);
  expect(same.code).toBe(0);
  expect(readdirSync(dir).sort()).toEqual(["email.toml", "runegate.env"]);
  expect(readFileSync(env, "utf8")).toBe(own);

  const { code, stdout } = await run("--yes", "--dir", dir, "--domain", "other.example.test", "--json");
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ url: "https://other.example.test", written: [env], installed: false });
  expect(readFileSync(env, "utf8")).toBe(own.replace("app.example.test", "other.example.test"));
  expect(readFileSync(`${env}.previous`, "utf8")).toBe(own);
  expect(statSync(`${env}.previous`).mode & 0o777).toBe(0o600);
  expect(readFileSync(email, "utf8")).toBe(template);

  const mails = await run("--yes", "--dir", dir, ...mail(), "--from", "Lab <lab@example.org>");
  expect(mails.code).toBe(0);
  expect(mails.stdout).toContain(`+ from_address = "Lab <lab@example.org>"`);
  expect(readFileSync(`${email}.previous`, "utf8")).toBe(template);
});

test("beside a file that names none, the settings for mail are named in it", async () => {
  const dir = freshFolder();
  mkdirSync(dir);
  writeFileSync(join(dir, "runegate.env"), "# mine\nRUNEGATE_BASE_URL=https://app.example.test\n", {
    mode: 0o600,
  });
  expect(
    await run("--yes", "--allow", "ada@example.org", ...target(), ...mail(), "--dir", dir),
  ).toMatchObject({
    code: 0,
  });
  expect(configurationIn(dir).email?.path).toBe(join(dir, "email.toml"));
});

test("a port of the base URL stays, and is said", async () => {
  const dir = freshFolder();
  mkdirSync(dir);
  const url = "https://app.example.test:8443";
  writeFileSync(join(dir, "runegate.env"), `RUNEGATE_BASE_URL=${url}\n`, { mode: 0o600 });
  const flags = ["--yes", "--json", "--allow", "ada@example.org", ...target(), ...mail(), "--dir", dir];
  const { stdout } = await run(...flags);
  expect([JSON.parse(stdout).url, configurationIn(dir).options.baseUrl]).toEqual([url, url]);
});

test("what others may do with a file that gets secrets is taken away", async () => {
  const dir = freshFolder();
  await run(...SITE, ...target(), ...mail(), "--dir", dir);
  const env = join(dir, "runegate.env");
  writeFileSync(env, readFileSync(env, "utf8").replace(/^RUNEGATE_(?:JWT_SECRET|SESSION_KEY)=.*\n/gm, ""));
  chmodSync(env, 0o666);
  expect(await run("--yes", "--dir", dir)).toMatchObject({ code: 0 });
  expect(readFileSync(env, "utf8")).toMatch(/^RUNEGATE_JWT_SECRET=\w{64}$/m);
  for (const file of [env, `${env}.previous`])
    expect([file, statSync(file).mode & 0o777]).toEqual([file, 0o640]);
});

describe("no flag for mail is passed over where mail is set already", () => {
  test("one that is set asks for the others", async () => {
    const dir = freshFolder();
    await run(...SITE, ...target(), ...mail(), "--dir", dir);
    const { code, stderr } = await run("--yes", "--dir", dir, "--from", "lab@example.org");
    expect([code, stderr]).toEqual([64, expect.stringContaining("say --smtp")]);
  });

  test("a test mail goes by the settings that are kept", async () => {
    const dir = freshFolder();
    await run(...SITE, ...target(), ...mail(), "--dir", dir);
    const sent = smtp.messages.length;
    const to = ["--test-mail", "grace@example.org"];
    expect(await run("--yes", "--dir", dir, ...to)).toMatchObject({ code: 0 });
    expect(smtp.messages.slice(sent).map((message) => message.to)).toEqual([["grace@example.org"]]);
    smtp.behavior.refuseRecipient = () => ({ code: 550, text: "no such user" });
    try {
      expect(await run("--yes", "--dir", dir, ...to)).toMatchObject({ code: 1 });
    } finally {
      smtp.behavior.refuseRecipient = undefined;
    }
  });

  test("in a file elsewhere they are refused", async () => {
    const [dir, other] = [freshFolder(), freshFolder()];
    await run(...SITE, ...target(), ...mail(), "--dir", other);
    const elsewhere = ["--email-config", join(other, "email.toml")];
    const { code, stderr } = await run(...SITE, ...target(), ...mail(), "--dir", dir, ...elsewhere);
    expect([code, stderr]).toEqual([64, expect.stringContaining("--smtp would say what is said by")]);
    expect(existsSync(dir)).toBe(false);
  });
});

test("settings for mail that were never filled in are asked for", async () => {
  const dir = freshFolder();
  await run(...SITE, ...target(), ...mail(), "--dir", dir);
  writeFileSync(join(dir, "email.toml"), EXAMPLES.get("email") ?? "");
  expect(await run("--yes", "--dir", dir)).toMatchObject({
    code: 64,
    stderr: expect.stringContaining("--smtp"),
  });
});

describe("the certificate of what was just started", () => {
  function waitAt(port: number, within: number) {
    const io = recordedIo();
    const { options, routesFile } = configurationFor(port);
    return { io, given: waitForCertificate({ options, routesFile }, io, within) };
  }
  function configurationFor(port: number) {
    const env = {
      RUNEGATE_BASE_URL: "https://app.example.test",
      RUNEGATE_TLS: "acme",
      RUNEGATE_LISTEN: `127.0.0.1:${port}`,
    };
    return loadAccess({ env }, { ...SYSTEM, envFiles: [], routesFiles: [] });
  }

  test("is waited for until it is there to stay", async () => {
    const { cert, key } = makeCertificate({ names: ["app.example.test"] });
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      tls: { cert, key },
      fetch: () => new Response(),
    });
    try {
      const { io, given } = waitAt(server.port ?? 0, 10_000);
      expect(await given).toBe(true);
      expect(io.stdout.join()).toMatch(/good until \d{4}-/);
    } finally {
      await server.stop(true);
    }
  });

  test("is not the one that is shown meanwhile, and then it is said where the name leads", async () => {
    const interim = interimPair(["app.example.test"], { clock: systemClock, random: systemRandom });
    const { cert, key } = interim;
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      tls: { cert, key },
      fetch: () => new Response(),
    });
    try {
      const { io, given } = waitAt(server.port ?? 0, 1);
      expect(await given).toBe(false);
      expect(io.stderr.join()).toMatch(/none yet[\s\S]*app\.example\.test leads nowhere/);
    } finally {
      await server.stop(true);
    }
  });
});

test("from source nothing is installed", async () => {
  const { code, stderr } = await run(...SITE, ...target(), ...mail());
  expect([code, stderr]).toEqual([1, expect.stringMatching(/From source|takes root/)]);
});

test("all that install.sh needs around it is inside", () => {
  const [, list = ""] = /for name in ([^;]+);/.exec(SHIPPED["install.sh"]) ?? [];
  const needed = list.replaceAll("\\\n", " ").split(/\s+/).filter(Boolean);
  expect(needed.length).toBeGreaterThan(5);
  const inside = ["install.sh", "runegate.env.example", "config/email.toml.example", ...Object.keys(SHIPPED)];
  for (const name of needed) expect(inside).toContain(name);
  for (const [name, text] of Object.entries(SHIPPED))
    expect(text).toBe(readFileSync(join(import.meta.dir, "../../deploy", name), "utf8"));
});

describe("the texts", () => {
  const printable = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }).filter((text) => {
    return !/\p{Cc}|\p{Cs}/u.test(text) && text !== "change me";
  });

  test("whatever a password is made of, email.toml says exactly that", () => {
    fc.assert(
      fc.property(printable, printable, (user, pass) => {
        const keys = {
          host: "mail.example.net",
          port: 465,
          from: "a@example.net",
          tls: undefined,
          user,
          pass,
        };
        const text = fillEmail(EXAMPLES.get("email") ?? "", keys);
        expect(parseEmailConfig(text, "email.toml").config.backends).toMatchObject([{ user, pass }]);
      }),
    );
  });

  test("whatever a value is made of, the env file says exactly that or it is refused", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 20 }), (value) => {
        let text: string;
        try {
          text = fillEnv("A=1\nRUNEGATE_APP_NAME=x\nB=2\n", { RUNEGATE_APP_NAME: value });
        } catch {
          return;
        }
        const { entries, problems } = parseEnvFile(text, "f");
        if (problems.length > 0) return;
        expect([...entries.keys()]).toEqual(["A", "RUNEGATE_APP_NAME", "B"]);
        expect(entries.get("RUNEGATE_APP_NAME")?.value).toBe(
          value.trim() === value ? value : expect.any(String),
        );
      }),
    );
  });

  test.each([
    ["in its place", "A=1\nX=2\nB=3\n", "A=1\nX=9\nB=3\n"],
    ["where an example is commented out", "A=1\n#X=2\nB=3\n", "A=1\nX=9\nB=3\n"],
    ["beside an example, in its own place", "#X=2\nA=1\nX=3\n", "#X=2\nA=1\nX=9\n"],
    ["once", "X=2\nA=1\nX=3\n", "X=9\nA=1\n"],
    ["at the end", "A=1", "A=1\nX=9\n"],
    ["not where another name ends so", "AX=1\n", "AX=1\nX=9\n"],
  ])("a value is set %s", (_, before, after) => expect(fillEnv(before, { X: "9" })).toBe(after));

  test("without a proxy nothing is left of one", () => {
    const text = withoutProxy(
      "RUNEGATE_TLS=off\nRUNEGATE_LISTEN=127.0.0.1:7870\nRUNEGATE_TRUSTED_PROXIES=::1\n",
      "acme",
    );
    expect(text).toBe("RUNEGATE_TLS=acme\n");
    const example = withoutProxy(EXAMPLES.get("env") ?? "", "acme");
    expect(example).not.toMatch(/^RUNEGATE_LISTEN|nginx or Caddy finds/m);
    expect(example).toMatch(/^# TLS on port 443.*\nRUNEGATE_TLS=acme$/m);
  });

  test.each([
    ["RUNEGATE_JWT_SECRET  =\thidden"],
    ["  RUNEGATE_JWT_SECRET = hidden"],
    ["RUNEGATE_OF_ANOTHER_VERSION=hidden"],
    ["MY_PASSWORD=hidden"],
    ['smtp_pass  = "hidden"'],
    ['"smtp_pass" = "hidden"'],
    ['smtp_pass = """\nhidden"""'],
    ['api_key = "hidden"'],
    ['backends = [{ smtp_pass = "hidden" }]'],
    ["not even an assignment: hidden"],
  ])("differences show no secret that is spelled %j", (text) => {
    const { added, removed } = differences(text, "");
    expect([...added, ...removed, ...differences("", text).added].join()).not.toContain("hidden");
  });

  test("differences show lines and no secrets", () => {
    const before = "# a\nRUNEGATE_JWT_SECRET=old\nA=1\nRUNEGATE_STORE=valkey://me:secret@host:6379/0\n";
    expect(differences(before, 'A=1\n# b\nRUNEGATE_JWT_SECRET=new\nsmtp_pass = "x"\n')).toEqual({
      added: ["RUNEGATE_JWT_SECRET=********", "smtp_pass = ********"],
      removed: ["RUNEGATE_JWT_SECRET=********", "RUNEGATE_STORE=valkey://…@host:6379/0"],
    });
  });
});
