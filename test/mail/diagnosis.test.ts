import { describe, expect, test } from "bun:test";
import { diagnose } from "../../src/mail/diagnosis.ts";
import { printable } from "../../src/mail/printable.ts";
import { CREDENTIALS, emailConfig } from "../support/smtp.ts";

/** What no server on this machine can be made to do; all the rest is tested with a real one. */
describe("diagnose", () => {
  const loginRefused = {
    code: "EAUTH",
    command: "AUTH PLAIN",
    responseCode: 535,
    response:
      "535 5.7.8 Username and Password not accepted. https://support.google.com/mail/?p=BadCredentials x",
    permanent: true,
  };
  test.each<[string, string, object, { permanent: boolean; misconfigured: boolean }, string, string]>([
    [
      "Gmail wants an app password",
      "smtp.gmail.com",
      loginRefused,
      { permanent: false, misconfigured: true },
      "smtp.gmail.com:587 did not accept the login of mailer@runegate.test: 535",
      "app password",
    ],
    [
      "a name that only looks like Gmail's does not",
      "smtp.notgmail.com",
      loginRefused,
      { permanent: false, misconfigured: true },
      "smtp.notgmail.com:587 did not accept",
      "Check smtp_user and smtp_pass.",
    ],
    [
      "login not possible just now",
      "smtp.example.org",
      {
        ...loginRefused,
        responseCode: 454,
        response: "454 4.7.0 Temporary authentication failure",
        permanent: false,
      },
      { permanent: false, misconfigured: false },
      "could not check the login just now: 454 4.7.0",
      "later",
    ],
    [
      "no answer to the connection",
      "smtp.example.org",
      { code: "ETIMEDOUT", timeoutType: "CONNECT_TIMEOUT" },
      { permanent: false, misconfigured: false },
      "smtp.example.org:587 did not answer",
      "VPS providers block",
    ],
    [
      "no route",
      "2001:db8::25",
      { code: "ESOCKET", originalCode: "ENETUNREACH" },
      { permanent: false, misconfigured: false },
      "[2001:db8::25]:587 cannot be reached",
      "firewall",
    ],
    [
      "TLS handshake that never ends",
      "smtp.example.org",
      { code: "ETIMEDOUT", timeoutType: "UPGRADE_TIMEOUT" },
      { permanent: false, misconfigured: false },
      "did not finish the TLS handshake",
      "implicit",
    ],
    [
      "TLS that is too old",
      "smtp.example.org",
      { code: "ESOCKET", originalCode: "ERR_SSL_UNSUPPORTED_PROTOCOL" },
      { permanent: false, misconfigured: true },
      "handshake with smtp.example.org:587 failed",
      "TLS 1.2",
    ],
    [
      "something unheard of",
      "smtp.example.org",
      {},
      { permanent: false, misconfigured: false },
      "The conversation with smtp.example.org:587 failed: odd",
      "log",
    ],
  ])("%s", (_, host, fields, kind, reason, remedy) => {
    const error = diagnose(Object.assign(new Error("odd"), fields), emailConfig(587, { host }));
    expect(error).toMatchObject(kind);
    expect(error.reason).toContain(reason);
    expect(error.remedy).toContain(remedy);
  });
});

describe("printable", () => {
  const config = emailConfig(587);
  test.each([
    ["250 ok", "250 ok"],
    ["550-no\r\n550\u001b[31m really no\u0007", "550-no 550 [31m really no"],
    [`AUTH LOGIN ${btoa(CREDENTIALS.pass)}`, "AUTH LOGIN ***"],
    ["see https://help.example/why?id=1&token=x now", "see https://help.example/why?*** now"],
    ["see https://help.example/why", "see https://help.example/why"],
  ])("%j", (reply, expected) => {
    expect(printable(reply, config)).toBe(expected);
  });

  test("is of bounded length", () => {
    expect(printable("x".repeat(10_000), config)).toHaveLength(300);
  });
});
