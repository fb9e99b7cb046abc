import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { UsageError } from "../../src/commands/command.ts";
import { mail } from "../../src/commands/mail.ts";
import { runCommand } from "../../src/commands/run.ts";
import { main } from "../../src/main.ts";
import { until } from "../mail/support.ts";
import { recordedIo } from "../support/recorded-io.ts";

const directory = mkdtempSync(join(tmpdir(), "runegate-mail-command-"));
afterAll(() => rmSync(directory, { recursive: true }));

const CONFIG = join(directory, "email.toml");
writeFileSync(
  CONFIG,
  `
smtp_host = "mail.example.net"
smtp_port = 587
from_address = "Lab <login@example.net>"
subject = "Into the lab"
body_template = "Open {login_url} or type {code}, {email}: {app} at {host}, {from_ip}, {device}."
html_template_file = "login.html"
`,
);
writeFileSync(join(directory, "login.html"), '<p><a href="{login_url}">Into {app}</a> {code}</p>');
const ENV = { RUNEGATE_EMAIL_CONFIG: CONFIG, RUNEGATE_BASE_URL: "http://localhost:7870" };

describe("mail preview", () => {
  test("writes the mails as email.toml makes them, in three forms", async () => {
    const to = join(directory, "made", "here");
    const io = recordedIo(ENV);
    expect(await runCommand(mail, ["preview", "--directory", to], io)).toBe(0);
    expect(io.stderr).toEqual([]);
    expect(readdirSync(to).sort()).toEqual(
      [
        ...[
          "access-asked",
          "access-ends",
          "access-granted",
          "access-refused",
          "invited",
          "key-ends",
          "login",
        ],
        ...["new-browser", "new-passkey", "session-ended", "viewed"],
      ].flatMap((name) => ["eml", "html", "txt"].map((form) => `${name}.${form}`)),
    );
    const read = (name: string) => readFileSync(join(to, name), "utf8");
    const link = "http://localhost:7870/_runegate/auth?token=preview";
    expect(read("login.html")).toBe(`<p><a href="${link}">Into localhost:7870</a> 1234 5678</p>`);
    expect(read("login.txt")).toBe(
      `Into the lab\n\nOpen ${link} or type 1234 5678, ada@example.org: localhost:7870 at localhost:7870, 203.0.113.7, Firefox on Linux.`,
    );
    expect(read("new-browser.txt")).toContain("http://localhost:7870/_runegate/not-me?token=preview");
    expect(read("key-ends.html")).toContain("k1k2k3k4k5k6 (backup)");
    expect(read("login.eml")).toContain("From: Lab <login@example.net>\r\n");
  });

  test("without email.toml, and with --json, those that are built in, in a new directory", async () => {
    const io = recordedIo({ RUNEGATE_BASE_URL: "http://localhost:7870", HOME: directory });
    expect(await main(["mail", "preview", "--json"], io)).toBe(0);
    const { files } = JSON.parse(io.stdout.join("\n"));
    expect(files).toHaveLength(33);
    expect(readFileSync(files[0], "utf8")).toContain("This button signs you in");
    rmSync(dirname(files[0]), { recursive: true });
  });

  test("--language shows them in another language, which has to be one that there is", async () => {
    const env = { RUNEGATE_BASE_URL: "http://localhost:7870" };
    const to = join(directory, "german");
    const args = ["mail", "preview", "--directory", to, "--language"];
    expect(await main([...args, "de"], recordedIo(env))).toBe(0);
    expect(readFileSync(join(to, "login.html"), "utf8")).toContain("Dieser Knopf meldet Sie");
    expect(await main([...args, "ar"], recordedIo(env))).toBe(0);
    expect(readFileSync(join(to, "login.html"), "utf8")).toContain('<html lang="ar" dir="rtl">');
    const wrong = recordedIo(env);
    expect(await main([...args, "fi"], wrong)).toBe(78);
    expect(wrong.stderr.join("\n")).toContain("is no language that there is");
  });

  test("--open shows the login mail in what opens files here", async () => {
    const bin = join(directory, "bin");
    mkdirSync(bin);
    const opened = join(directory, "opened");
    const name = process.platform === "darwin" ? "open" : "xdg-open";
    writeFileSync(
      join(bin, name),
      `#!/bin/sh\necho "$1" > "${opened}.part" && mv "${opened}.part" "${opened}"\n`,
    );
    chmodSync(join(bin, name), 0o755);
    const io = recordedIo({ ...ENV, PATH: `${bin}:/usr/bin:/bin` });
    const to = join(directory, "opens");
    expect(await runCommand(mail, ["preview", "--directory", to, "--open"], io)).toBe(0);
    await until(() => existsSync(opened));
    expect(readFileSync(opened, "utf8")).toBe(`${join(to, "login.html")}\n`);
    const bare = recordedIo({ ...ENV, PATH: join(directory, "nothing") });
    expect(await runCommand(mail, ["preview", "--directory", to, "--open"], bare)).toBe(1);
    expect(bare.stderr[0]).toContain("no browser");
  });

  test("what is wrong with a template stops it, and says where", async () => {
    const config = join(directory, "bad.toml");
    writeFileSync(config, readFileSync(CONFIG, "utf8").replace("{code}", "{kode}"));
    const io = recordedIo({ ...ENV, RUNEGATE_EMAIL_CONFIG: config });
    expect(await main(["mail", "preview"], io)).toBe(78);
    expect(io.stderr.join("\n")).toContain("bad.toml:6:1: body_template contains {kode}");
  });

  test("a place that cannot be written to is told", async () => {
    const io = recordedIo(ENV);
    expect(await runCommand(mail, ["preview", "--directory", join(CONFIG, "below")], io)).toBe(1);
    expect(io.stderr[0]).toContain("runegate mail: ");
  });

  test("other words are a mistake", () => {
    expect(runCommand(mail, ["look"], recordedIo(ENV))).rejects.toThrow(UsageError);
  });
});
