import { afterEach, describe, expect, test } from "bun:test";
import type { Address } from "../../src/identity/address.ts";
import { HOUR } from "../../src/option/values.ts";
import { testClock } from "../support/clock.ts";
import {
  cookieHeader,
  startGateway,
  type TestGateway,
  type TestGatewaySettings,
} from "../support/gateway.ts";

/** In which language somebody is answered, through the front door. */

const GERMAN = { "Accept-Language": "de-AT,de;q=0.9,en;q=0.5" };
const PAGE = { Accept: "text/html" };
const FORM = { ...PAGE, "Content-Type": "application/x-www-form-urlencoded" };

let gateway: TestGateway;
let stop: (() => unknown)[] = [];

afterEach(async () => {
  for (const one of stop.reverse()) await one();
  stop = [];
});

async function start(settings: TestGatewaySettings = {}): Promise<void> {
  gateway = await startGateway(settings);
  stop.push(() => gateway.stop());
}

const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(gateway.url + path, { headers: { ...PAGE, ...headers }, redirect: "manual" });

const post = (path: string, form: Record<string, string>, headers: Record<string, string> = {}) =>
  fetch(gateway.url + path, {
    ...{ method: "POST", redirect: "manual", body: new URLSearchParams(form).toString() },
    headers: { ...FORM, Origin: gateway.url, ...headers },
  });

const choose = (lang: string, back?: string, headers?: Record<string, string>) =>
  post("/_runegate/language", { lang, ...(back === undefined ? {} : { back }) }, headers);

/** What the menu of a page would send back to. */
const backOf = (html: string) =>
  /name="back" value="([^"]*)"/
    .exec(html)?.[1]
    ?.replaceAll(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));

/** An application that says which cookies and query reached it. */
function startApplication(): string {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) =>
      Response.json({ cookie: request.headers.get("cookie"), url: new URL(request.url).search }),
  });
  stop.push(() => server.stop(true));
  return `http://127.0.0.1:${server.port}`;
}

describe("which language", () => {
  test("the browser's, from the first page on, which says so", async () => {
    await start();
    const response = await get("/_runegate/login", GERMAN);
    const html = await response.text();
    expect(html).toContain('<html lang="de" dir="ltr">');
    expect(html).toContain("<h1>Anmelden</h1>");
    expect(response.headers.get("content-language")).toBe("de");
    expect(response.headers.get("vary")).toContain("Accept-Language");
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  test("English, where the browser asks for none that there is, or for nothing", async () => {
    await start();
    for (const headers of [{}, { "Accept-Language": "fi" }, { "Accept-Language": ";;;" }]) {
      const response = await get("/_runegate/login", headers);
      expect(response.headers.get("content-language")).toBe("en");
      expect(await response.text()).toContain("<h1>Sign in</h1>");
    }
  });

  test("that of the address, before all others, and it is kept", async () => {
    await start();
    const response = await get("/_runegate/login?next=%2Fa&lang=de", { "Accept-Language": "en" });
    expect(await response.text()).toContain("<h1>Anmelden</h1>");
    expect(response.headers.getSetCookie()).toEqual([
      "runegate_language=de; Path=/; HttpOnly; SameSite=Lax; Max-Age=34560000",
    ]);
    const cookie = cookieHeader(response);
    expect(await (await get("/_runegate/login", { Cookie: cookie })).text()).toContain("<h1>Anmelden</h1>");
    const other = await get("/_runegate/login?lang=en-GB", { Cookie: cookie });
    expect(await other.text()).toContain("<h1>Sign in</h1>");
    expect(cookieHeader(other)).toBe("runegate_language=en");
  });

  test.each(["", "fi", "../de", "d", "%00", "x".repeat(5_000)])(
    "not one that there is not: lang=%s",
    async (lang) => {
      await start();
      const response = await get(`/_runegate/login?lang=${lang}`, GERMAN);
      expect(await response.text()).toContain("<h1>Anmelden</h1>");
      expect(response.headers.getSetCookie()).toEqual([]);
    },
  );

  test("a cookie that is none of ours counts for nothing", async () => {
    await start();
    for (const value of ["fi", "DE", "../de", "de-AT"]) {
      const response = await get("/_runegate/login", { Cookie: `runegate_language=${value}` });
      expect([value, response.headers.get("content-language")]).toEqual([value, "en"]);
    }
  });

  test("errors too, on paths of the application as well, and the first time", async () => {
    await start({ target: "http://127.0.0.1:9" });
    const nowhere = await get("/_runegate/nowhere", GERMAN);
    expect([nowhere.status, await nowhere.text()]).toEqual([404, expect.stringContaining("Nicht gefunden")]);
    const Cookie = await gateway.signIn();
    // A language that nobody has wanted before in this process.
    const away = await get("/report?lang=1", { Cookie, "Accept-Language": "it" });
    expect(away.status).toBe(502);
    expect(await away.text()).toContain("L’applicazione non risponde");
    expect(away.headers.getSetCookie()).toEqual([]);
  });

  test("programs are answered in English", async () => {
    await start();
    const headers = { ...GERMAN, Accept: "application/json" };
    expect(await (await fetch(`${gateway.url}/_runegate/nowhere`, { headers })).json()).toEqual(
      expect.objectContaining({ error: "not_found", message: "There is nothing at this address." }),
    );
  });

  test("RUNEGATE_LANGUAGE is the only one, and nobody is offered another", async () => {
    await start({ env: { RUNEGATE_LANGUAGE: "DE" } });
    const response = await get("/_runegate/login?lang=en", {
      "Accept-Language": "en",
      Cookie: "runegate_language=en",
    });
    const html = await response.text();
    expect(html).toContain("<h1>Anmelden</h1>");
    expect(html).not.toContain("/_runegate/language");
    expect(response.headers.getSetCookie()).toEqual([]);
    expect((await choose("en")).status).toBe(404);
  });

  test("RUNEGATE_LANGUAGE has to be one that there is", async () => {
    expect(start({ env: { RUNEGATE_LANGUAGE: "fi" } })).rejects.toThrow(/RUNEGATE_LANGUAGE/);
  });
});

describe("the menu", () => {
  test("is below every page, in every language's own name, with the one that is shown", async () => {
    await start();
    const html = await (await get("/_runegate/login", GERMAN)).text();
    expect(html).toContain("<summary>Sprache: Deutsch</summary>");
    expect(html).toContain(
      '<button name="lang" value="de" lang="de" dir="ltr" aria-current="true">Deutsch</button>',
    );
    expect(html).toContain('<button name="lang" value="en" lang="en" dir="ltr">English</button>');
  });

  test("leads back to the page with its query, but for the language in it", async () => {
    await start();
    const html = await (await get("/_runegate/login?next=%2Fa%3Fb%3D1&lang=de&x=%22%3E")).text();
    const back = backOf(html);
    expect(back).toBe("/_runegate/login?next=%2Fa%3Fb%3D1&x=%22%3E");
    const chosen = await choose("en", back, { Cookie: "runegate_language=de" });
    expect([chosen.status, chosen.headers.get("location")]).toEqual([303, back as string]);
    expect(cookieHeader(chosen)).toBe("runegate_language=en");
  });

  test("leads back after a form to its page, which is not sent again", async () => {
    await start();
    const html = await (
      await post("/_runegate/login", { email: "no address", next: "/a?b=1" }, GERMAN)
    ).text();
    expect(html).toContain("Eine E-Mail-Adresse hat genau ein @.");
    const back = backOf(html);
    expect(back).toBe("/_runegate/login?next=%2Fa%3Fb%3D1");
    expect((await get(back ?? "")).status).toBe(200);
  });

  test("leads to the start from where only a form leads", async () => {
    await start();
    expect((await choose("de", "/_runegate/passkeys/remove")).headers.get("location")).toBe("/_runegate/");
    expect((await choose("de", "/_runegate/nowhere")).headers.get("location")).toBe("/_runegate/");
    expect((await choose("de", "/reports/7?page=2")).headers.get("location")).toBe("/reports/7?page=2");
  });

  test.each([
    "//evil.example",
    "https://evil.example/",
    "/\\evil.example",
    "javascript:alert(1)",
    "/%2f%2fevil.example",
    "\t//evil",
    "",
  ])("leads nowhere else: %p", async (back) => {
    await start();
    expect((await choose("de", back)).headers.get("location")).toBe("/_runegate/");
  });

  test("refuses a language that there is not, and pages elsewhere", async () => {
    await start();
    expect((await choose("fi")).status).toBe(400);
    const foreign = await choose("de", "/", {
      Origin: "https://evil.example",
      "Sec-Fetch-Site": "cross-site",
    });
    expect([foreign.status, foreign.headers.getSetCookie()]).toEqual([403, []]);
  });
});

describe("the application", () => {
  test("never sees the cookie, and keeps its own query", async () => {
    await start({ target: startApplication() });
    const session = await gateway.signIn();
    const response = await get("/?lang=de", { Cookie: `${session}; runegate_language=de; theirs=1` });
    expect(await response.json()).toEqual({ cookie: "theirs=1", url: "?lang=de" });
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  test("the cookie has the prefix that keeps neighbors from planting it, where cookies are secure", async () => {
    await start({ env: { RUNEGATE_SECURE_COOKIE: "true" } });
    expect((await get("/_runegate/login?lang=de")).headers.getSetCookie().join()).toMatch(
      /^__Host-runegate_language=de;.*; Secure$/,
    );
  });
});

describe("mail", () => {
  const mail = (subject: RegExp) => gateway.mailbox.mails().find((one) => subject.test(one.subject));
  const ask = (headers: Record<string, string>) =>
    fetch(`${gateway.url}/_runegate/login`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify({ email: "ada@example.org" }),
    });

  test("is in the language of the request, whose answer to a program stays English", async () => {
    await start();
    expect(await (await ask(GERMAN)).json()).toEqual(
      expect.objectContaining({ message: expect.stringMatching(/^If /) }),
    );
    await gateway.gateway.outbox.runDue();
    const sent = mail(/Ihr Code/);
    expect(sent?.text).toContain("Link und Code gelten einmal, für 15 Minuten.");
    expect(sent?.html).toContain('<html lang="de" dir="ltr">');
  });

  const signIn = async (headers: Record<string, string>) => {
    const asked = await ask(headers);
    await gateway.gateway.outbox.runDue();
    // The newest comes first.
    const link = gateway.mailbox.mails().find((one) => one.link)?.link ?? "";
    const opened = await fetch(link, {
      redirect: "manual",
      headers: { ...PAGE, ...headers, Cookie: cookieHeader(asked) },
    });
    expect(opened.status).toBe(302);
    await gateway.gateway.outbox.runDue();
  };

  test("about a new browser is in the language of the one before: the new one may be anybody's", async () => {
    const clock = testClock();
    await start({ clock, env: { RUNEGATE_NEW_DEVICE_MAIL: "true" } });
    await signIn({ ...GERMAN, "User-Agent": "Firefox" });
    clock.advance(HOUR);
    await signIn({ "Accept-Language": "en", "User-Agent": "curl" });
    expect(mail(/^Neue Anmeldung/)?.text).toContain("Falls Sie das waren, ist nichts zu tun.");
  });

  test("that nobody asks for is in the person's last known language, else in the usual one", async () => {
    await start();
    await signIn(GERMAN);
    const { lookTo } = gateway.gateway;
    expect((await lookTo("ada@example.org" as Address)).language.tag).toBe("de");
    expect((await lookTo("bob@example.org" as Address)).language.tag).toBe("en");
    await gateway.stop();
    await start({ env: { RUNEGATE_LANGUAGE: "de" } });
    expect((await gateway.gateway.lookTo("bob@example.org" as Address)).language.tag).toBe("de");
  });
});
