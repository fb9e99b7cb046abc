import { describe, expect, test } from "bun:test";
import { parseAddress } from "../../src/identity/address.ts";
import { DEFAULT_TEMPLATE, type LoginMailFacts, renderLoginMail } from "../../src/mail/message.ts";

const facts: LoginMailFacts = {
  to: parseAddress("ann@example.org"),
  loginUrl: "https://gate.example/auth?token=a.b.c&x=1",
  code: "ABCD2345",
  expiryMinutes: 15,
  fromIp: "203.0.113.7",
  device: "Firefox on Linux",
};

const template = (changes: Partial<typeof DEFAULT_TEMPLATE>) => ({ ...DEFAULT_TEMPLATE, ...changes });

describe("the built-in mail", () => {
  const mail = renderLoginMail(DEFAULT_TEMPLATE, facts);

  test("says in the text what it is, the link on a line of its own, the code, its life and its origin", () => {
    expect(mail.subject).toBe("Your sign-in link");
    const lines = mail.text.split("\n");
    expect(lines).toContain("https://gate.example/auth?token=a.b.c&x=1");
    expect(lines.map((line) => line.trim())).toContain("ABCD-2345");
    expect(mail.text).toContain("ann@example.org");
    expect(mail.text).toContain("15 minutes");
    expect(mail.text).toContain("203.0.113.7, Firefox on Linux");
    expect(mail.text).toContain("If that was not you, ignore");
  });

  test("has the same in HTML, the link as a button and bare", () => {
    const links = [...mail.html.matchAll(/href="([^"]+)"/g)].map((match) => match[1]);
    expect(links).toEqual(Array(2).fill("https://gate.example/auth?token=a.b.c&#38;x=1"));
    expect(mail.html).toContain(">https://gate.example/auth?token=a.b.c&#38;x=1</a>");
    expect(mail.html).toContain("ABCD-2345");
    expect(mail.html).toContain("15 minutes");
    expect(mail.html).toContain("203.0.113.7, Firefox on Linux");
  });

  test("loads nothing from anywhere and runs nothing", () => {
    expect(mail.html).not.toMatch(/<(?:img|script|link|iframe|form|object)|src=|url\(|@import|@font-face/i);
  });

  test("leaves no placeholder behind", () => {
    expect(mail.text + mail.html).not.toMatch(/\{[a-z_]+\}/);
  });
});

describe("templates", () => {
  test.each([
    ["{login_url}", "https://gate.example/auth?token=a.b.c&x=1"],
    ["{code} and {code}", "ABCD-2345 and ABCD-2345"],
    ["{expiry_minutes}", "15"],
    ["{email}", "ann@example.org"],
    ["{from_ip} {device}", "203.0.113.7 Firefox on Linux"],
    ["{app} at {host}", "gate.example at gate.example"],
    ["{requested_from}", "203.0.113.7, Firefox on Linux"],
    ["{unknown} {CODE} { code } {}", "{unknown} {CODE} { code } {}"],
    ["{{code}}", "{ABCD-2345}"],
    ["$& $1 $$", "$& $1 $$"],
  ])("%s", (bodyTemplate, text) => {
    expect(renderLoginMail(template({ bodyTemplate }), facts).text).toBe(text);
  });

  test("an HTML template keeps its style sheet and gets escaped values", () => {
    const htmlTemplate = '<style>p{color:red}</style><a href="{login_url}">{device}</a>';
    const mail = renderLoginMail(template({ htmlTemplate }), {
      ...facts,
      device: `<b>"me" & 'you'</b>`,
    });
    expect(mail.html).toBe(
      '<style>p{color:red}</style><a href="https://gate.example/auth?token=a.b.c&#38;x=1">' +
        "&#60;b&#62;&#34;me&#34; &#38; &#39;you&#39;&#60;/b&#62;</a>",
    );
  });

  test("a value that contains a placeholder, or a replacement pattern, is not expanded again", () => {
    const tricky = {
      ...facts,
      to: parseAddress("{code}@example.org"),
      device: "{login_url} $& $`",
    };
    const mail = renderLoginMail(template({ bodyTemplate: "{email} {device}" }), tricky);
    expect(mail.text).toBe("{code}@example.org {login_url} $& $`");
  });

  test.each([
    ["A\r\nBcc: eve@example.net", "A Bcc: eve@example.net"],
    ["A\nB\rC\u2028D\u0000E", "A B C D E"],
    ["{code} as it stands\r\n\r\nbody", "{code} as it stands body"],
  ])("the subject %j is one line", (subject, expected) => {
    expect(renderLoginMail(template({ subject }), facts).subject).toBe(expected);
  });

  test("where it was asked from is one line of bounded length", () => {
    const mail = renderLoginMail(template({ bodyTemplate: "{device}" }), {
      ...facts,
      device: `a\r\n\r\nb${"x".repeat(500)}`,
    });
    expect(mail.text).toStartWith("a bxxx");
    expect(mail.text.length).toBe(100);
  });
});
