import { expect, test } from "bun:test";
import { parseAddress } from "../../src/identity/address.ts";
import { createMailbox } from "../../src/mail/mailbox.ts";
import { renderLoginMail } from "../../src/mail/message.ts";
import { PLAIN } from "../../src/pages/look.ts";
import { mailOf, NOW } from "./support.ts";

test("finds link and code in the mail as it is really written", async () => {
  const arrived: unknown[] = [];
  const mailbox = createMailbox({ onMail: (mail) => arrived.push(mail) });
  const mail = renderLoginMail(PLAIN, undefined, {
    to: parseAddress("ann@example.org"),
    loginUrl: "http://localhost:7870/auth?token=eyJ.a_b-c.WXYZ-6789-d",
    code: "1234 5678",
    expiryMinutes: 15,
    fromIp: "127.0.0.1",
    device: "curl",
  });
  await mailbox.send(mailOf({ ...mail, queuedAt: NOW + 7 }));
  expect(mailbox.mails()).toEqual([
    {
      to: "ann@example.org",
      ...mail,
      at: NOW + 7,
      link: "http://localhost:7870/auth?token=eyJ.a_b-c.WXYZ-6789-d",
      code: "1234 5678",
    },
  ]);
  expect(arrived).toEqual([...mailbox.mails()]);
});

test("a mail without link or code is kept all the same", async () => {
  const mailbox = createMailbox();
  await mailbox.send(mailOf({ text: "See https://example.org/help", html: undefined }));
  expect(mailbox.mails()[0]).toEqual({
    to: "ann@example.org",
    subject: "Your sign-in link",
    text: "See https://example.org/help",
    html: undefined,
    at: NOW,
  });
});

test("keeps the last 50, newest first", async () => {
  const mailbox = createMailbox();
  for (let n = 1; n <= 60; n++) await mailbox.send(mailOf({ subject: `mail ${n}` }));
  const subjects = mailbox.mails().map((mail) => mail.subject);
  expect(subjects).toHaveLength(50);
  expect(subjects[0]).toBe("mail 60");
  expect(subjects[49]).toBe("mail 11");
});
