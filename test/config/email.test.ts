import { describe, expect, test } from "bun:test";
import { chmodSync } from "node:fs";
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
      host: "mail.example.net",
      port: 587,
      tls: "starttls",
      user: "runegate",
      pass: "hunter2",
      from: { name: "Example Login", address: "login@example.net" as never },
      replyTo: undefined,
      subject: "Your link",
      bodyTemplate: GOOD.body_template,
      htmlTemplate: undefined,
    });
  });

  const accepted: [string, Record<string, unknown>, object][] = [
    ["port 465 means TLS from the start", { smtp_port: 465 }, { tls: "implicit" }],
    ["a mode that is written counts", { smtp_port: 465, smtp_tls: "starttls" }, { tls: "starttls" }],
    ["no TLS on loopback", { smtp_host: "127.0.0.1", smtp_tls: "none" }, { tls: "none" }],
    ["a host in capitals", { smtp_host: "SMTP.Example.net" }, { host: "smtp.example.net" }],
    ["an IPv6 host", { smtp_host: "::1" }, { host: "::1" }],
    [
      "an address alone",
      { from_address: "a@b.example" },
      { from: { name: undefined, address: "a@b.example" } },
    ],
    ["angle brackets alone", { from_address: "<a@b.example>" }, { from: { name: undefined } }],
    ["a quoted name", { from_address: '"A, Inc." <a@b.example>' }, { from: { name: "A, Inc." } }],
    ["reply_to", { reply_to: "Help@Example.org" }, { replyTo: "help@example.org" }],
    ["no user name and password", { smtp_user: "", smtp_pass: "" }, { user: undefined, pass: undefined }],
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
      ["smtp_host", "smtp_port", "from_address", "body_template"].map(
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
      expect(parse(filled)).toMatchObject({ config: { host: smtp_host, tls: "starttls" }, warnings: [] });
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
        for (const header of [...headers, config.host]) expect(header).not.toMatch(/[\r\n\0]/);
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
    expect([options.production, email?.host, sources.listen.source]).toEqual([
      false,
      "mail.example.net",
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
