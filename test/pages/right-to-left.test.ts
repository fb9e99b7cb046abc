import { describe, expect, test } from "bun:test";
import { renderLoginMail } from "../../src/mail/message.ts";
import { type Language, said, say } from "../../src/pages/language.ts";
import { findLanguage, loadLanguage } from "../../src/pages/languages.ts";
import { PLAIN } from "../../src/pages/look.ts";
import { codePage } from "../../src/pages/pages.ts";
import { marked, toText } from "../../src/pages/template.ts";
import { SAMPLE } from "./samples.ts";

/** What is read from left to right within a text that is not: UAX #9 would have the halves of a code change places. */

const [OPEN, CLOSE] = ["\u2068", "\u2069"];
const arabic = findLanguage("ar");
if (arabic === undefined) throw new Error("there is no Arabic");
const language: Language = await loadLanguage(arabic);
const look = { ...PLAIN, language };

describe("in a text", () => {
  const subject = said("mail.subject", { code: "1234 5678", app: "Lab" });

  test("a value keeps its own order", () => {
    expect(say(language, subject)).toContain(`${OPEN}1234 5678${CLOSE}`);
    expect(toText(marked(language, "mail.subject", { code: "1234 5678", app: "<b>" }))).toContain(
      `${OPEN}1234 5678${CLOSE}`,
    );
  });

  test("nothing is put around it elsewhere", () => {
    expect(say(PLAIN.language, subject)).toBe("1234 5678 is your code for Lab");
  });
});

test("the code in a mail is from left to right, whatever the mail is in", () => {
  const mail = renderLoginMail(look, undefined, {
    ...{ to: SAMPLE.email, loginUrl: "https://lab.example.org/auth", code: "1234 5678", expiryMinutes: 15 },
    ...{ fromIp: "203.0.113.4", device: SAMPLE.device },
  });
  expect(mail.html).toMatch(/<p class="code" dir="ltr" [^>]*>1234 5678</);
  // Mail programs take only what is within the body.
  expect(mail.html).toContain('<table role="presentation" dir="rtl" class="page"');
  expect(mail.subject).toContain(`${OPEN}1234 5678${CLOSE}`);
  expect(mail.text).toContain("\n    1234 5678\n");
});

test("who a mail is from is in an order of its own", () => {
  const html = codePage(look, {
    ...{ state: "waiting", email: SAMPLE.email, next: "", now: 0, expiresAt: 900_000, use: undefined },
    ...{ triesLeft: 5, tries: 5, againAt: 0, askAt: 0, letters: false, mailbox: false },
    ...{ sender: "Lab <login@example.org>", subject: "x" },
  });
  expect(html).toContain('<html lang="ar" dir="rtl">');
  expect(html).toContain("<dd><bdi>Lab &#60;login@example.org&#62;</bdi></dd>");
});
