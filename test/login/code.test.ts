import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { systemRandom } from "../../src/clock.ts";
import { drawCode, parseCode, shownCode } from "../../src/login/code.ts";
import { testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { askFor, NAVIGATION, openLink, redeem, said, sessionOf, whoAmI } from "./support.ts";

/** The code in the mail, typed into the browser that asked (CONTRACT section 2). */

/** One wording for programs, with the reason beside it. */
const refused = (reason: string, triesLeft?: number) => ({
  status: 401,
  error: "invalid_code",
  message: "That code is not right, or it has expired. Check it, or ask for a new link.",
  reason,
  ...(triesLeft === undefined ? {} : { tries_left: triesLeft }),
});

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.stop());

/** Another code than this one, in its form. */
const other = (code: string) => (code.startsWith("2") ? "3" : "2") + code.slice(1);

describe("a code is drawn", () => {
  test("of eight digits, each as likely as the others", () => {
    const counts = new Map<string, number>();
    for (let draw = 0; draw < 5_000; draw++) {
      const code = drawCode(systemRandom, "digits");
      expect(code).toMatch(/^[0-9]{8}$/);
      for (const digit of code) counts.set(digit, (counts.get(digit) ?? 0) + 1);
    }
    // Each stands 4000 times on average, with a deviation of 60.
    for (const count of counts.values()) expect(Math.abs(count - 4_000)).toBeLessThan(420);
  });

  test("of digits again where a byte would favor the first", () => {
    const bytes = [255, 250, 251, 252, 253, 254, 249, 0, 1, 2, 3, 4, 5, 6, 17, 9];
    let at = 0;
    const random = {
      bytes: (length: number) => Uint8Array.from({ length }, () => bytes[at++ % bytes.length] ?? 0),
    };
    expect(drawCode(random, "digits")).toBe("90123456");
  });

  test("is shown in two halves", () => {
    expect([shownCode("12345678"), shownCode("ABCD2345")]).toEqual(["1234 5678", "ABCD-2345"]);
  });

  test("from 31 letters nobody mistakes, each as likely as the others", () => {
    const counts = new Map<string, number>();
    const draws = 5_000;
    for (let draw = 0; draw < draws; draw++) {
      const code = drawCode(systemRandom, "letters");
      expect(code).toMatch(/^[2-9A-HJKMNP-Z]{8}$/);
      for (const letter of code) counts.set(letter, (counts.get(letter) ?? 0) + 1);
    }
    expect(counts.size).toBe(31);
    // Each stands 1290 times on average, with a deviation of 35: this is off by seven of them.
    for (const count of counts.values()) expect(Math.abs(count - (draws * 8) / 31)).toBeLessThan(250);
  });

  test("again where a byte would favor the first letters", () => {
    const bytes = [255, 254, 253, 252, 251, 250, 249, 248, 0, 1, 2, 3, 4, 5, 6, 247];
    let at = 0;
    const random = {
      bytes: (length: number) => Uint8Array.from({ length }, () => bytes[at++ % bytes.length] ?? 0),
    };
    expect(drawCode(random, "letters")).toBe("2345678Z");
  });
});

describe("a code as typed", () => {
  test.each<[what: string, typed: string, code: string | undefined]>([
    ["as shown", "ABCD-2345", "ABCD2345"],
    ["of digits, as shown", "1203 5678", "12035678"],
    ["of digits, in one", " 12035678\n", "12035678"],
    ["of seven digits", "1234567", undefined],
    ["of Arabic digits", "١٢٣٤٥٦٧٨", undefined],
    ["without the hyphen", "ABCD2345", "ABCD2345"],
    ["in small letters", "abcd-2345", "ABCD2345"],
    ["with blanks", " ab cd 23 45 ", "ABCD2345"],
    ["with another dash", "ABCD–2345", "ABCD2345"],
    ["with a line end from a paste", "ABCD-2345\r\n", "ABCD2345"],
    ["too short", "ABCD-234", undefined],
    ["too long", "ABCD-23456", undefined],
    ["with a letter it cannot have", "ABCD-234O", undefined],
    ["with a one", "ABCD-2341", undefined],
    ["nothing", "", undefined],
    ["fullwidth letters", "ＡBCD2345", undefined],
    ["the dotless ı, upper-cased to an I", "ABCD234ı", undefined],
    ["very long", "A".repeat(10_000), undefined],
  ])("%s", (_, typed, code) => {
    expect(parseCode(typed)).toBe(code);
  });
});

describe("typed in the first browser, after the mail was read elsewhere,", () => {
  test("it signs in and spends the link", async () => {
    const { token, code, cookie } = await askFor(gateway, "ada@example.org", { next: "/wanted" });
    // The phone that shows the mail opens the link and closes it again.
    expect((await openLink(gateway, token, NAVIGATION)).status).toBe(200);
    const typed = await fetch(`${gateway.url}/_runegate/auth`, {
      method: "POST",
      redirect: "manual",
      headers: { ...NAVIGATION, Cookie: cookie, Origin: gateway.url, "Sec-Fetch-Site": "same-origin" },
      body: new URLSearchParams({ code: code.toLowerCase() }),
    });
    expect([typed.status, typed.headers.get("location")]).toEqual([303, "/wanted"]);
    expect(await whoAmI(gateway, sessionOf(typed) ?? "")).toMatchObject({
      authenticated: true,
      email: "ada@example.org",
    });
    expect((await redeem(gateway, { token })).status).toBe(401);
    expect(await said(await redeem(gateway, { code }, { Cookie: cookie }))).toEqual(refused("used"));
  });

  test("a link that was used has spent it", async () => {
    const { token, code, cookie } = await askFor(gateway);
    expect((await redeem(gateway, { token })).status).toBe(200);
    expect(await said(await redeem(gateway, { code }, { Cookie: cookie }))).toEqual(refused("used"));
  });

  test("wrong, it leads to the page of the login, with the address, the field, and the tries that are left", async () => {
    const { code, cookie } = await askFor(gateway);
    const page = await fetch(`${gateway.url}/_runegate/auth`, {
      method: "POST",
      headers: { ...NAVIGATION, Cookie: cookie },
      body: new URLSearchParams({ code: other(code) }),
    });
    expect([page.status, new URL(page.url).pathname]).toEqual([200, "/_runegate/code"]);
    const html = await page.text();
    for (const part of ["ada@example.org", "That is not the code. 4 tries left.", 'name="code"']) {
      expect(html).toContain(part);
    }
    expect((await redeem(gateway, { code }, { Cookie: cookie })).status).toBe(200);
  });
});

describe("guessed", () => {
  test("five times, even the right one is refused, and the link still works", async () => {
    const { token, code, cookie } = await askFor(gateway, "guessed@example.org");
    for (let guess = 0; guess < 5; guess++) {
      const answer = await redeem(gateway, { code: other(code) }, { Cookie: cookie });
      expect(await said(answer)).toEqual(refused("wrong", 4 - guess));
    }
    expect(await said(await redeem(gateway, { code }, { Cookie: cookie }))).toEqual(refused("used_up", 0));
    expect((await openLink(gateway, token, { Cookie: cookie })).status).toBe(302);
  });

  test("four times, the right one still signs in", async () => {
    const { code, cookie } = await askFor(gateway);
    for (let guess = 0; guess < 4; guess++) await redeem(gateway, { code: other(code) }, { Cookie: cookie });
    expect((await redeem(gateway, { code }, { Cookie: cookie })).status).toBe(200);
  });

  test("over the whole life of the ticket, it is five tries in all", async () => {
    const clock = testClock();
    const here = await startGateway({ clock });
    try {
      const { token, code, cookie } = await askFor(here);
      for (let guess = 0; guess < 5; guess++) await redeem(here, { code: other(code) }, { Cookie: cookie });
      // Half of what is left, and half again: no try may be forgotten while the code is good.
      for (let left = 15 * 60_000; left > 4_000; left /= 2) {
        clock.advance(left / 2);
        expect(await said(await redeem(here, { code }, { Cookie: cookie }))).toEqual(refused("used_up", 0));
      }
      expect((await openLink(here, token, { Cookie: cookie })).status).toBe(302);
    } finally {
      await here.stop();
    }
  });

  test("something that is no code at all is no try", async () => {
    const { code, cookie } = await askFor(gateway);
    for (let slip = 0; slip < 8; slip++)
      expect((await redeem(gateway, { code: "oops" }, { Cookie: cookie })).status).toBe(401);
    expect((await redeem(gateway, { code }, { Cookie: cookie })).status).toBe(200);
  });

  test("by a stranger, on a ticket of their own, it costs the owner nothing", async () => {
    const owner = await askFor(gateway, "victim@example.org");
    const stranger = await askFor(gateway, "victim@example.org");
    for (let guess = 0; guess < 7; guess++) {
      expect(
        (await redeem(gateway, { code: other(stranger.code) }, { Cookie: stranger.cookie })).status,
      ).toBe(401);
    }
    expect((await redeem(gateway, { code: owner.code }, { Cookie: owner.cookie })).status).toBe(200);
  });
});

describe("a right code is refused", () => {
  test.each<[what: string, cookie: (own: string, others: string) => string | undefined]>([
    ["without the login cookie", () => undefined],
    ["with an empty one", () => "runegate_login="],
    ["with a made-up one", () => "runegate_login=x.y.z"],
    ["with another ticket's", (_, others) => others],
    ["with two that differ", (own, others) => `${own}; ${others}`],
    ["with its own under another name", (own) => own.replace("runegate_login", "Runegate_Login")],
  ])("%s", async (_, cookieOf) => {
    const mine = await askFor(gateway);
    const others = await askFor(gateway, "eve@example.org");
    const cookie = cookieOf(mine.cookie, others.cookie);
    const refused = await redeem(
      gateway,
      { code: mine.code },
      cookie === undefined ? {} : { Cookie: cookie },
    );
    expect(await said(refused)).toMatchObject({ status: 401, error: "invalid_code" });
    expect(sessionOf(refused)).toBeUndefined();
    expect((await redeem(gateway, { code: mine.code }, { Cookie: mine.cookie })).status).toBe(200);
  });

  test("with the link's token as login cookie", async () => {
    const { token, code } = await askFor(gateway);
    expect((await redeem(gateway, { code }, { Cookie: `runegate_login=${token}` })).status).toBe(401);
  });

  test("after it has expired, to the second", async () => {
    const clock = testClock(Date.parse("2026-03-04T05:06:07Z"));
    const here = await startGateway({ clock });
    try {
      const first = await askFor(here, "a@example.org");
      const second = await askFor(here, "b@example.org");
      clock.advance(15 * 60_000 - 1);
      expect((await redeem(here, { code: first.code }, { Cookie: first.cookie })).status).toBe(200);
      clock.advance(1);
      expect(await said(await redeem(here, { code: second.code }, { Cookie: second.cookie }))).toMatchObject({
        status: 401,
        error: "invalid_code",
      });
    } finally {
      await here.stop();
    }
  });
});
