import { describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { parse as parseToml, stringify } from "smol-toml";
import SHIPPED from "../../deploy/config/email.toml.example" with { type: "text" };
import { loadConfiguration } from "../../src/config/configuration.ts";
import { findEmailConfig, type LoadedEmail, parseEmailConfig } from "../../src/config/email.ts";
import { ConfigError } from "../../src/option/finding.ts";
import { testMachine } from "../support/surroundings.ts";

const GOOD = {
  smtp_host: "mail.example.net",
  smtp_port: 587,
  smtp_user: "runegate",
  smtp_pass: "hunter2",
  from_address: "Example Login <Login@Example.net>",
  subject: "Your link",
  body_template: "Open {login_url} or type {code} within {expiry_minutes} minutes, {email}.",
};

const SMTP = {
  kind: "smtp",
  host: "mail.example.net",
  port: 587,
  tls: "starttls",
  user: "runegate",
  pass: "hunter2",
  dkim: undefined,
} as const;

type Result = LoadedEmail | { problems: string[]; warnings: string[] };

function parse(text: string): Result {
  // Where in the file is told by the tests of tables.
  const inWords = ({ option, problem }: { option: string; problem: string }) =>
    `${option.replace(/:\d+:\d+: /, ": ")} ${problem}`;
  try {
    return parseEmailConfig(text, "email.toml");
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { problems: error.problems.map(inWords), warnings: error.warnings.map(inWords) };
  }
}
const parseTable = (changes: Record<string, unknown> = {}) => parse(stringify({ ...GOOD, ...changes }));
const problemsIn = (result: Result) => ("problems" in result ? result.problems : []);
const configIn = (result: Result) => ("config" in result ? result.config : undefined);

describe("email.toml", () => {
  test("a good one", () => {
    const result = parseTable();
    expect(problemsIn(result)).toEqual([]);
    expect(result.warnings).toEqual([]);
    expect(configIn(result)).toEqual({
      path: "email.toml",
      backends: [SMTP],
      from: { name: "Example Login", address: "login@example.net" as never },
      replyTo: undefined,
      subject: "Your link",
      bodyTemplate: GOOD.body_template,
      htmlTemplate: undefined,
    });
  });

  const accepted: [string, Record<string, unknown>, object][] = [
    ["port 465 means TLS from the start", { smtp_port: 465 }, { backends: [{ tls: "implicit" }] }],
    [
      "a mode that is written counts",
      { smtp_port: 465, smtp_tls: "starttls" },
      { backends: [{ tls: "starttls" }] },
    ],
    ["no TLS on loopback", { smtp_host: "127.0.0.1", smtp_tls: "none" }, { backends: [{ tls: "none" }] }],
    ["a host in capitals", { smtp_host: "SMTP.Example.net" }, { backends: [{ host: "smtp.example.net" }] }],
    ["an IPv6 host", { smtp_host: "::1" }, { backends: [{ host: "::1" }] }],
    [
      "an address alone",
      { from_address: "a@b.example" },
      { from: { name: undefined, address: "a@b.example" } },
    ],
    ["angle brackets alone", { from_address: "<a@b.example>" }, { from: { name: undefined } }],
    ["a quoted name", { from_address: '"A, Inc." <a@b.example>' }, { from: { name: "A, Inc." } }],
    ["reply_to", { reply_to: "Help@Example.org" }, { replyTo: "help@example.org" }],
    [
      "no user name and password",
      { smtp_user: "", smtp_pass: "" },
      { backends: [{ user: undefined, pass: undefined }] },
    ],
    ["a style sheet in HTML", { html_template: "<style>a{color:red}</style>{login_url} {code}" }, {}],
    ["several lines of text", { body_template: "a\r\n\t{login_url}\n{code}\n" }, {}],
  ];
  test.each(accepted)("%s", (_, changes, expected) => {
    const result = parseTable(changes);
    expect(problemsIn(result)).toEqual([]);
    expect(result.warnings).toEqual([]);
    expect(configIn(result)).toMatchObject(expected);
  });

  const refused: [string, Record<string, unknown>, string][] = [
    ["a URL for a host", { smtp_host: "smtp://a" }, "smtp_host is not a host name"],
    ["a port in the host", { smtp_host: "a.example:25" }, "smtp_host is not a host name"],
    ["an empty host", { smtp_host: " " }, "smtp_host is empty"],
    ["a port in quotes", { smtp_port: "587" }, "smtp_port is not a port"],
    ["port 0", { smtp_port: 0 }, "smtp_port is not a port"],
    ["a port with a fraction", { smtp_port: 25.5 }, "smtp_port is not a port"],
    ["an unknown TLS mode", { smtp_tls: "ssl" }, 'smtp_tls is not one of its values: "ssl"'],
    ["no TLS to another machine", { smtp_tls: "none" }, "smtp_tls is none, and mail.example.net"],
    [
      "a name that looks like loopback",
      { smtp_tls: "none", smtp_host: "127.0.0.1.example" },
      "smtp_tls is none",
    ],
    ["a user without a password", { smtp_pass: "" }, "smtp_pass is missing while smtp_user is set"],
    ["a password without a user", { smtp_user: "" }, "smtp_user is missing while smtp_pass is set"],
    ["a number for a password", { smtp_pass: 12345678 }, "smtp_pass is not a text"],
    ["a line feed in the password", { smtp_pass: "hunter2\n" }, "smtp_pass contains a control character"],
    ["no address", { from_address: "Example" }, "from_address is not an address"],
    ["two addresses", { from_address: "a@b.example, c@d.example" }, "from_address is not an address"],
    [
      "a header in the name",
      { from_address: "A\r\nBcc: x <a@b.example>" },
      "from_address contains a line break",
    ],
    ["quotes in the name", { from_address: 'A" <x@y.example>, "B <a@b.example>' }, "from_address has a name"],
    ["a bad reply address", { reply_to: "A <a@b.example>" }, "reply_to is not an address"],
    ["a header in the subject", { subject: "Hi\nBcc: x@y.example" }, "subject contains a line break"],
    ["NUL in the subject", { subject: "Hi\0" }, "subject contains a line break"],
    ["a line separator in the subject", { subject: "Hi\u2028there" }, "subject contains a line break"],
    ["an empty subject", { subject: "" }, "subject is empty"],
    ["an unknown placeholder in the subject", { subject: "Hi {name}" }, "subject contains {name}"],
    ["no link", { body_template: "{code}" }, "body_template does not contain {login_url}"],
    ["no link in HTML", { html_template: "{code}" }, "html_template does not contain {login_url}"],
    ["unknown placeholders", { body_template: "{login_url} {name} {x} {name}" }, "contains {name}, {x}"],
    ["NUL in a template", { body_template: "{login_url}\0" }, "body_template contains a control character"],
    ["the example's host", { smtp_host: "SMTP.example.org" }, "smtp_host is still the example's"],
    ["the example's user name", { smtp_user: "login@example.org" }, "smtp_user is still the example's"],
    ["the example's password", { smtp_pass: "change me" }, "smtp_pass is still the example's"],
    [
      "the example's address, under another name",
      { from_address: "My App <Login@example.org>" },
      "from_address is still the example's",
    ],
    ["a table for a text", { subject: { text: "a" } }, "subject is not a text"],
  ];
  test.each(refused)("%s is refused", (_, changes, problem) => {
    const problems = problemsIn(parseTable(changes));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`email.toml: `);
    expect(problems[0]).toContain(problem);
    expect(problems[0]).not.toContain("hunter2");
  });

  test("everything that is missing is reported together", () => {
    expect(problemsIn(parse(""))).toEqual(
      ["from_address", "smtp_host", "smtp_port", "body_template"].map(
        (key) => `email.toml: ${key} is missing`,
      ),
    );
  });
  test("the shipped example is refused for what has to be filled in and nothing else, and is good once it is", () => {
    expect(problemsIn(parse(SHIPPED))).toEqual(
      ["smtp_host", "smtp_user", "smtp_pass", "from_address"].map(
        (key) => `email.toml: ${key} is still the example's`,
      ),
    );
    // With everything that is commented out as well.
    const all = SHIPPED.replace(/^# (?=smtp_tls|reply_to|html_template|<p>|""")/gm, "");
    for (const text of [SHIPPED, all]) {
      const { smtp_host, smtp_user, smtp_pass, from_address } = GOOD;
      const filled = stringify({ ...parseToml(text), smtp_host, smtp_user, smtp_pass, from_address });
      expect(parse(filled)).toMatchObject({
        config: { backends: [{ host: smtp_host, tls: "starttls" }] },
        warnings: [],
      });
    }
  });
  test("a missing {code} and unknown keys are warnings", () => {
    const { warnings } = parseTable({ body_template: "{login_url}", smpt_host: "x", colour: "red" });
    expect(warnings.map((warning) => (typeof warning === "string" ? warning : warning.option))).toEqual([
      "email.toml:7:1: body_template",
      "email.toml:8:1: smpt_host",
      "email.toml:9:1: colour",
    ]);
    expect(JSON.stringify(warnings)).toContain("Did you mean smtp_host?");
  });
  test.each([
    'smtp_pass = "hunter2',
    "smtp_pass = hunter2",
    'smtp_pass = "hun"hunter2',
    'smtp_pass = "hunter2\\q"',
    'smtp_pass = "hunter2"\nsmtp_pass = "hunter2"',
    '"hunter2" "x"',
  ])("what is not TOML is reported with its line, without its text: %j", (text) => {
    const problems = problemsIn(parse(text));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^email\.toml:\d+:\d+ is not TOML: [a-z]/);
    expect(problems[0]).not.toContain("hunter2");
  });

  test("any text is read or refused, and what is read has no line breaks where headers are made", () => {
    const keys = fc.constantFrom(...Object.keys(GOOD), "reply_to", "html_template", "smtp_tls", "other");
    const nasty = fc.string({
      unit: fc.constantFrom(...'ab@.<>" \r\n\0{}:', "{login_url}", "{code}", "a@b.example", "none"),
      maxLength: 12,
    });
    const tables = fc.dictionary(keys, fc.oneof(nasty, fc.integer(), fc.boolean()), { maxKeys: 4 });
    fc.assert(
      fc.property(tables, (changes) => {
        const config = configIn(parseTable(changes));
        if (config === undefined) return;
        const headers = [config.subject, config.from.name ?? "", config.from.address, config.replyTo ?? ""];
        const hosts = config.backends.map((one) => (one.kind === "smtp" ? one.host : ""));
        for (const header of [...headers, ...hosts]) expect(header).not.toMatch(/[\r\n\0]/);
        expect(config.from.name ?? "").not.toMatch(/[<>"]/);
        expect(config.bodyTemplate).toContain("{login_url}");
        expect(parseEmailConfig(stringify({ ...GOOD, subject: config.subject }), "f").config.subject).toBe(
          config.subject,
        );
      }),
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(problemsIn(parse(text)).length).toBeGreaterThan(0);
      }),
    );
  });
});

describe("what takes the mail", () => {
  const WORDS = { from_address: "a@b.example", subject: "s", body_template: "{login_url} {code}" };
  /** A file beside which those others lie. */
  function load(changes: object, files: Record<string, string> = {}, env: Record<string, string> = {}) {
    using machine = testMachine();
    mkdirSync(machine.serviceCredentials);
    for (const [name, content] of Object.entries(files)) machine.write(name, content);
    machine.write("email.toml", stringify({ ...WORDS, ...changes }));
    try {
      const { config, warnings } =
        findEmailConfig({ production: true, emailConfig: undefined }, machine, env) ?? {};
      const told = warnings?.map(({ option, problem }) => `${option} ${problem}`);
      return { backends: config?.backends, warnings: inWords(told, machine.directory) };
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const told = error.problems.map(({ option, problem }) => `${option} ${problem}`);
      return { problems: inWords(told, machine.directory) };
    }
  }
  const inWords = (lines: readonly string[] = [], directory: string) =>
    lines.map((line) => line.replaceAll(`${directory}/`, ""));

  test.each<[string, object, object]>([
    [
      "sendgrid",
      { backend: "sendgrid" },
      { kind: "sendgrid", apiKey: "k3y", endpoint: "https://api.sendgrid.com" },
    ],
    [
      "sendgrid in the EU",
      { backend: "sendgrid", endpoint: "https://api.eu.sendgrid.com/" },
      { endpoint: "https://api.eu.sendgrid.com" },
    ],
    [
      "mailgun",
      { backend: "mailgun", domain: "mg.example.org" },
      { kind: "mailgun", domain: "mg.example.org", endpoint: "https://api.mailgun.net" },
    ],
    ["postmark", { backend: "postmark" }, { kind: "postmark", endpoint: "https://api.postmarkapp.com" }],
    ["resend", { backend: "Resend" }, { kind: "resend", endpoint: "https://api.resend.com" }],
    [
      "ses",
      { backend: "ses", region: "eu-central-1", api_key_file: "aws" },
      { kind: "ses", apiKey: "AKID\ns3cret", endpoint: "https://email.eu-central-1.amazonaws.com" },
    ],
    [
      "notices of bounces",
      { backend: "postmark", bounce_key_file: "bounces" },
      { bounceKey: "runegate:made-up-by-ourselves" },
    ],
    [
      "notices of bounces by SNS",
      {
        ...{ backend: "ses", region: "eu-west-1", api_key_file: "aws" },
        bounce_topic: "arn:aws:sns:eu-west-1:123456789012:b",
      },
      { bounceKey: "arn:aws:sns:eu-west-1:123456789012:b" },
    ],
    ["a stand-in on this machine", { backend: "resend", endpoint: "http://127.0.0.1:1" }, { kind: "resend" }],
  ])("%s", (_, changes, expected) => {
    const files = { key: "k3y\n", aws: "AKID\ns3cret\n", bounces: "runegate:made-up-by-ourselves\n" };
    expect(load({ api_key_file: "key", ...changes }, files)).toMatchObject({
      backends: [expected],
      warnings: [],
    });
  });

  test("a directory, beside the file unless it is absolute", () => {
    const { backends } = load({ backend: "file", directory: "/tmp/mail" });
    expect(backends).toEqual([{ kind: "file", directory: "/tmp/mail", dkim: undefined }]);
  });

  const pem = (type: "rsa" | "ed25519", modulusLength = 2048) =>
    (type === "rsa" ? generateKeyPairSync(type, { modulusLength }) : generateKeyPairSync(type)).privateKey
      .export({ type: "pkcs8", format: "pem" })
      .toString();

  test("a key to sign with, all of it or nothing", () => {
    const files = {
      rsa: pem("rsa"),
      ed: pem("ed25519"),
      weak: pem("rsa", 512),
      no: "-----BEGIN PRIVATE KEY-----",
    };
    const sign = { dkim_domain: "Example.net", dkim_selector: "s1", dkim_key_file: "rsa" };
    const file = { backend: "file", directory: "/x" };
    expect(load({ ...file, ...sign }, files)).toMatchObject({
      backends: [{ dkim: { domain: "example.net", selector: "s1", key: files.rsa.trim() } }],
      warnings: [],
    });
    for (const dkim_key_file of ["ed", "weak", "no"]) {
      const { problems } = load({ ...file, ...sign, dkim_key_file }, files);
      expect(problems).toEqual([expect.stringContaining("dkim_key_file does not have an RSA key")]);
    }
    expect(load({ ...file, ...sign, dkim_selector: undefined }, files).problems).toEqual([
      expect.stringContaining("dkim_selector is missing, and the others of DKIM are there"),
    ]);
    expect(load({ ...file, ...sign, dkim_selector: "a b" }, files).problems).toEqual([
      expect.stringContaining("dkim_selector is not a selector"),
    ]);
  });

  test("a key from the credential of the process, or of the service", () => {
    const files = { "credentials/runegate_resend_api_key": "from-systemd\n" };
    expect(load({ backend: "resend" }, files)).toMatchObject({ backends: [{ apiKey: "from-systemd" }] });
    const elsewhere = load({ backend: "resend" }, files, { CREDENTIALS_DIRECTORY: "/nonexistent" });
    expect(elsewhere.problems).toEqual([
      "email.toml: api_key_file is missing, and there is no credential runegate_resend_api_key",
    ]);
  });

  test("several, in their order", () => {
    const { smtp_host, smtp_port } = GOOD;
    const { backends } = load(
      {
        backends: [
          { smtp_host, smtp_port },
          { backend: "postmark", api_key_file: "key" },
        ],
      },
      { key: "k3y" },
    );
    expect(backends?.map(({ kind }) => kind)).toEqual(["smtp", "postmark"]);
  });

  test.each<[string, object, string]>([
    [
      "an unknown one",
      { backend: "sendmail" },
      'email.toml:4:1: backend is not one of its values: "sendmail"',
    ],
    [
      "no key file",
      { backend: "postmark", api_key_file: "none" },
      "api_key_file names a file that does not exist: none",
    ],
    [
      "an empty key file",
      { backend: "postmark", api_key_file: "empty" },
      "api_key_file names an empty file: empty",
    ],
    [
      "half a key",
      { backend: "ses", region: "eu-west-1", api_key_file: "key" },
      "does not have an access key and a secret",
    ],
    ["a key and more", { backend: "postmark", api_key_file: "aws" }, "api_key_file has more than a key"],
    ["no region", { backend: "ses", api_key_file: "aws" }, "region is missing"],
    [
      "a region that leads elsewhere",
      { backend: "ses", region: "x.example/", api_key_file: "aws" },
      "region is not the name of a region",
    ],
    ["no domain", { backend: "mailgun", api_key_file: "key" }, "domain is missing"],
    ["no directory", { backend: "file" }, "directory is missing"],
    [
      "an API in clear",
      { backend: "resend", api_key_file: "key", endpoint: "http://api.resend.com" },
      "endpoint is not the origin of an API",
    ],
    [
      "an API with a path",
      { backend: "resend", api_key_file: "key", endpoint: "https://api.resend.com/v2" },
      "endpoint is not the origin of an API",
    ],
    [
      "an API with a password",
      { backend: "resend", api_key_file: "key", endpoint: "https://hunter2:hunter2@api.resend.com" },
      "endpoint is not the origin of an API",
    ],
    [
      "a name that looks like this machine",
      { backend: "resend", api_key_file: "key", endpoint: "http://127.0.0.1.example" },
      "endpoint is not the origin of an API",
    ],
    [
      "a topic that is none",
      { backend: "ses", region: "eu-west-1", api_key_file: "aws", bounce_topic: "arn:aws:sqs:eu-west-1:1:x" },
      "bounce_topic is not the ARN of a topic",
    ],
    [
      "a key of bounces that is none",
      { backend: "resend", api_key_file: "key", bounce_key_file: "key" },
      "bounce_key_file does not have what this service gives out",
    ],
    [
      "a short password for bounces",
      { backend: "postmark", api_key_file: "key", bounce_key_file: "short" },
      "bounce_key_file does not have what this service gives out",
    ],
    [
      "one beside several",
      { smtp_host: "a.example", backends: [{ backend: "file", directory: "/x" }] },
      "email.toml:4:1: smtp_host is given beside [[backends]]",
    ],
    [
      "too many",
      { backends: Array.from({ length: 4 }, () => ({ backend: "file", directory: "/x" })) },
      "backends are more than 3",
    ],
    [
      "one of several that is wrong",
      {
        backends: [
          { backend: "file", directory: "/x" },
          { backend: "mailgun", api_key_file: "key" },
        ],
      },
      "email.toml:9:1: backends[1].domain is missing",
    ],
  ])("%s is refused", (_, changes, problem) => {
    const { problems = [] } = load(changes, {
      ...{ key: "k3y", empty: "\n", aws: "AKID\ns3cret", short: "user:short" },
    });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(problem);
    expect(problems[0]).not.toMatch(/hunter2|s3cret|k3y/);
  });

  const SMTP_KEYS = { smtp_host: "mail.example.net", smtp_port: 587, body_template: undefined };
  const FILES = {
    "login.txt": "Hello {email},\n{login_url}\n{code}\n",
    "login.html": "<p>{app} at {host}<a href='{login_url}'>in</a> {code} {from_ip} {device}</p>\n",
    "typo.txt": "Hello,\n{login_url}\n{kode} {code}",
    "typo.html": "<p>\n<a href='{login_url}'>in</b>\n{code} {naem}",
    "none.txt": "{code}",
  };

  test("templates in files of their own", () => {
    using machine = testMachine();
    for (const [name, content] of Object.entries(FILES)) machine.write(name, content, 0o644);
    const keys = {
      ...WORDS,
      ...SMTP_KEYS,
      text_template_file: "login.txt",
      html_template_file: "login.html",
    };
    machine.write("email.toml", stringify(keys));
    const { config, warnings } = findEmailConfig({ production: true, emailConfig: undefined }, machine) ?? {};
    expect(config).toMatchObject({ bodyTemplate: FILES["login.txt"], htmlTemplate: FILES["login.html"] });
    expect(warnings).toEqual([]);
  });

  test.each<[string, object, string[]]>([
    [
      "one that is not there",
      { text_template_file: "no.txt" },
      ["text_template_file names a file that does not exist: no.txt"],
    ],
    [
      "an unknown placeholder",
      { text_template_file: "typo.txt" },
      ["text_template_file names typo.txt, which in line 3 contains {kode}, which stands for nothing"],
    ],
    [
      "no link",
      { text_template_file: "none.txt" },
      [
        "text_template_file names none.txt, which in line 1 does not contain {login_url}, so nobody could sign in",
      ],
    ],
    [
      "HTML that is none, and all else that is wrong with it",
      { text_template_file: "login.txt", html_template_file: "typo.html" },
      [
        "html_template_file names typo.html, which in line 3 contains {naem}, which stands for nothing; " +
          "names typo.html, which in line 2 closes </b>, which is not open; " +
          "names typo.html, which in line 2 opens <a>, which is never closed",
      ],
    ],
    [
      "both a file and a text",
      { body_template: WORDS.body_template, text_template_file: "login.txt" },
      ["text_template_file is given beside body_template"],
    ],
    [
      "both, and the same",
      { body_template: FILES["login.txt"], text_template_file: "login.txt" },
      ["text_template_file is given beside body_template"],
    ],
    ["neither", {}, ["body_template is missing"]],
  ])("templates: %s", (_, changes, expected) => {
    const { problems = [] } = load({ ...SMTP_KEYS, ...changes }, FILES);
    expect(problems.map((line) => line.replace(/^email\.toml(:\d+:\d+)?: /, ""))).toEqual(expected);
  });

  test("a key file that others can read, and keys of another back-end, are warned about", () => {
    using machine = testMachine();
    const key = machine.write("key", "k3y");
    chmodSync(key, 0o644);
    machine.write(
      "email.toml",
      stringify({ ...WORDS, ...{ backend: "resend", api_key_file: "key", region: "eu-west-1" } }),
    );
    const { warnings = [] } = findEmailConfig({ production: true, emailConfig: undefined }, machine) ?? {};
    expect(
      warnings.map(({ option, problem }) => `${option} ${problem}`.replaceAll(`${machine.directory}/`, "")),
    ).toEqual([
      "email.toml:6:1: region means nothing to the back-end resend",
      "key holds a secret, and other users can read it (mode 0644)",
    ]);
  });
});

describe("finding email.toml", () => {
  const development = { production: false, emailConfig: undefined };

  test("the default place", () => {
    using machine = testMachine();
    const path = machine.write("email.toml", stringify(GOOD));
    expect(findEmailConfig(development, machine)?.config.path).toBe(path);
  });
  test("the configured place", () => {
    using machine = testMachine();
    machine.write("email.toml", "not toml");
    const path = machine.write("other.toml", stringify(GOOD));
    expect(findEmailConfig({ production: true, emailConfig: path }, machine)?.config.path).toBe(path);
  });
  test("none is fine in development, and a problem in production", () => {
    using machine = testMachine();
    expect(findEmailConfig(development, machine)).toBeUndefined();
    expect(() => findEmailConfig({ ...development, production: true }, machine)).toThrow(
      "no email.toml was found",
    );
  });
  test("a configured one that is missing is a problem", () => {
    using machine = testMachine();
    machine.write("email.toml", stringify(GOOD));
    const emailConfig = join(machine.directory, "other.toml");
    expect(() => findEmailConfig({ ...development, emailConfig }, machine)).toThrow(
      `RUNEGATE_EMAIL_CONFIG names a file that does not exist: ${emailConfig}`,
    );
  });
  test("one that others can read is warned about if it holds a password", () => {
    using machine = testMachine();
    const path = machine.write("email.toml", stringify(GOOD));
    chmodSync(path, 0o644);
    expect(findEmailConfig(development, machine)?.warnings.map(({ option }) => option)).toEqual([path]);
    machine.write("email.toml", stringify({ ...GOOD, smtp_user: "", smtp_pass: "" }));
    expect(findEmailConfig(development, machine)?.warnings).toEqual([]);
  });
});

describe("the whole configuration", () => {
  const load = (env: Record<string, string>, toml?: string) => {
    using machine = testMachine();
    if (toml !== undefined) machine.write("email.toml", toml);
    return loadConfiguration({ env }, machine);
  };
  test("options and mail", () => {
    const { options, email, warnings, sources } = load({}, stringify(GOOD));
    expect([options.production, email?.backends[0]?.kind, sources.listen.source]).toEqual([
      false,
      "smtp",
      "default",
    ]);
    expect(warnings.map(({ option }) => option)).toEqual(["RUNEGATE_ALLOW_ANY_EMAIL"]);
  });
  test("without mail in development", () => expect(load({}).email).toBeUndefined());
  test("problems of both are reported together", () => {
    expect(() => load({ RUNEGATE_LISTEN: "x" }, stringify({ ...GOOD, smtp_port: 0 }))).toThrow(
      /RUNEGATE_LISTEN is not[\s\S]*smtp_port is not a port/,
    );
  });
  test("a path that is none is reported once", () => {
    let problems: readonly unknown[] = [];
    try {
      load({ RUNEGATE_EMAIL_CONFIG: "a\nb" }, "not toml");
    } catch (error) {
      if (error instanceof ConfigError) problems = error.problems;
    }
    expect(problems).toHaveLength(1);
  });
});
