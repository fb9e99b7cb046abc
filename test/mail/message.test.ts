import { describe, expect, test } from "bun:test";
import { parseAddress } from "../../src/identity/address.ts";
import { type LoginMailFacts, type MailTemplate, renderLoginMail } from "../../src/mail/message.ts";
import { type Look, PLAIN } from "../../src/pages/look.ts";

const LAB: Look = { ...PLAIN, app: "Lab", host: "lab.example.org" };

const facts: LoginMailFacts = {
  to: parseAddress("ann@example.org"),
  loginUrl: "https://gate.example/auth?token=a.b.c&x=1",
  code: "1234 5678",
  expiryMinutes: 15,
  fromIp: "203.0.113.7",
  device: "Firefox on Linux",
};

const template = (changes: Partial<MailTemplate>): MailTemplate => ({
  ...{ subject: "Your sign-in link", bodyTemplate: "{login_url} {code}", htmlTemplate: undefined },
  ...changes,
});

describe("the built-in mail", () => {
  const mail = renderLoginMail(LAB, undefined, facts);

  test("says in the text what it is, the link on a line of its own, the code, its life and its origin", () => {
    expect(mail.subject).toBe("1234 5678 is your code for Lab");
    const lines = mail.text.split("\n");
    expect(lines).toContain("https://gate.example/auth?token=a.b.c&x=1");
    expect(lines.map((line) => line.trim())).toContain("1234 5678");
    expect(lines.slice(0, 2)).toEqual(["Sign in to Lab", "lab.example.org"]);
    expect(mail.html).toContain(">Sign in to <strong>Lab</strong></h1>");
    expect(mail.html).toContain(">lab.example.org</p>");
    expect(mail.text).toContain("ann@example.org");
    expect(mail.text).toContain("15 minutes");
    expect(mail.text).toContain("203.0.113.7, Firefox on Linux");
    expect(mail.text).toContain("If that was not you, ignore");
  });

  test("has the same in HTML, the link as a button and bare", () => {
    const links = [...mail.html.matchAll(/href="([^"]+)"/g)].map((match) => match[1]);
    expect(links).toEqual(Array(2).fill("https://gate.example/auth?token=a.b.c&#38;x=1"));
    expect(mail.html).toContain(">https://gate.example/auth?token=a.b.c&#38;x=1</a>");
    expect(mail.html).toContain("1234 5678");
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
    ["{code} and {code}", "1234 5678 and 1234 5678"],
    ["{expiry_minutes}", "15"],
    ["{email}", "ann@example.org"],
    ["{app} {host}", "Lab lab.example.org"],
    ["{from_ip} {device}", "203.0.113.7 Firefox on Linux"],
    ["{requested_from}", "203.0.113.7, Firefox on Linux"],
    ["{unknown} {CODE} { code } {}", "{unknown} {CODE} { code } {}"],
    ["{{code}}", "{1234 5678}"],
    ["$& $1 $$", "$& $1 $$"],
  ])("%s", (bodyTemplate, text) => {
    expect(renderLoginMail(LAB, template({ bodyTemplate }), facts).text).toBe(text);
  });

  test("an HTML template keeps its style sheet and gets escaped values", () => {
    const htmlTemplate = '<style>p{color:red}</style><a href="{login_url}">{device}</a>';
    const mail = renderLoginMail(LAB, template({ htmlTemplate }), {
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
    const mail = renderLoginMail(LAB, template({ bodyTemplate: "{email} {device}" }), tricky);
    expect(mail.text).toBe("{code}@example.org {login_url} $& $`");
  });

  test.each([
    ["A\r\nBcc: eve@example.net", "A Bcc: eve@example.net"],
    ["A\nB\rC\u2028D\u0000E", "A B C D E"],
    ["{code} for {app} on {host}\r\n\r\nbody", "1234 5678 for Lab on lab.example.org body"],
    ["{login_url}", "{login_url}"],
  ])("the subject %j is one line", (subject, expected) => {
    expect(renderLoginMail(LAB, template({ subject }), facts).subject).toBe(expected);
  });

  test("where it was asked from is one line of bounded length", () => {
    const mail = renderLoginMail(LAB, template({ bodyTemplate: "{device}" }), {
      ...facts,
      device: `a\r\n\r\nb${"x".repeat(500)}`,
    });
    expect(mail.text).toStartWith("a bxxx");
    expect(mail.text.length).toBe(100);
  });
});
