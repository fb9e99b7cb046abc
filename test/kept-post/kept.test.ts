import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { KEPT_POST_OPTIONS } from "../../src/kept-post/options.ts";
import { ValueError } from "../../src/option/value-error.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { askFor, NAVIGATION } from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";

/** What was being sent when a session ended is not lost, and is sent by its writer alone, once. */

const FORM = "application/x-www-form-urlencoded";
const EMAIL = "ada@example.org";
const TARGET = "/notes/new?draft=1&x=%C3%A9";

type Got = {
  method: string;
  path: string;
  type: string | null;
  user: string | null;
  cookie: string | null;
  body: string;
};

let clock: TestClock;
let gateway: TestGateway;
let got: Got[];
let application: ReturnType<typeof startApplication>;
let browser: Browser;

function startApplication() {
  return Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      got.push({
        method: request.method,
        path: pathname + search,
        type: request.headers.get("content-type"),
        user: request.headers.get("x-runegate-user"),
        cookie: request.headers.get("cookie"),
        body: Buffer.from(await request.bytes()).toString("latin1"),
      });
      return new Response("saved", { status: 201 });
    },
  });
}

/** Keeps cookies as a browser does. */
class Browser {
  readonly jar = new Map<string, string>();
  readonly at: TestGateway = gateway;

  get cookie(): string {
    return [...this.jar].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { ...NAVIGATION, Cookie: this.cookie, ...(init.headers as Record<string, string>) };
    const response = await fetch(path.startsWith("http") ? path : this.at.url + path, {
      ...{ redirect: "manual", ...init },
      headers,
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (line.includes("Max-Age=0")) this.jar.delete(name);
      else this.jar.set(name, value);
    }
    return response;
  }

  post(
    path: string,
    body: string | URLSearchParams | Uint8Array<ArrayBuffer>,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const own = { Origin: this.at.url, Referer: `${this.at.url}/notes/form`, "Content-Type": FORM };
    return this.fetch(path, { method: "POST", body, headers: { ...own, ...headers } });
  }

  async signIn(email = EMAIL): Promise<Response> {
    const { cookie, token } = await askFor(this.at, email);
    const [name = "", value = ""] = cookie.split("=");
    this.jar.set(name, value);
    return this.fetch(`/_runegate/auth?token=${token}`);
  }

  /** What becomes of it, seen from the application: its store has forgotten it. */
  async loseSession(): Promise<void> {
    for (const { id } of await this.at.gateway.sessions.list()) await this.at.gateway.sessions.end(id);
  }
}

const whereTo = ({ status, headers }: Response) => [status, headers.get("location")];

/** The hidden field and the place of the button that sends it. */
async function sendButton(of = browser): Promise<{ action: string; body: URLSearchParams; html: string }> {
  const html = await (await of.fetch("/_runegate/kept")).text();
  const [, action = "", id = ""] =
    /action="([^"]*)">\s*<input type="hidden" name="runegate_kept" value="([^"]*)"/.exec(html) ?? [];
  return { action: action.replaceAll("&#38;", "&"), body: new URLSearchParams({ runegate_kept: id }), html };
}

async function start(env: Record<string, string> = {}): Promise<void> {
  gateway = await startGateway({
    clock,
    target: application.url.origin,
    env,
    stores: createMemoryStore({ clock }),
  });
  browser = new Browser();
  await browser.signIn();
  await browser.loseSession();
  got.length = 0;
}

beforeEach(async () => {
  clock = testClock();
  got = [];
  application = startApplication();
  await start();
});
afterEach(async () => {
  await gateway.stop();
  await application.stop(true);
});

describe("a form that is sent after its session ended", () => {
  test("is kept, offered with its field names, and sent by one click, as it was", async () => {
    const body = "title=Hello&text=a+b%26c&text=two&_csrf=x";
    const sent = await browser.post(TARGET, body);
    expect(whereTo(sent)).toEqual([303, "/_runegate/login?next=%2F&kept=yes"]);
    const login = await (await browser.fetch(sent.headers.get("location") ?? "")).text();
    expect(login).toContain("What you wrote is kept for 15 minutes.");

    const opened = await browser.signIn();
    expect(whereTo(opened)).toEqual([302, "/_runegate/kept?next=%2F"]);
    const page = await sendButton();
    expect(page.html).toContain("<strong>/notes/new?draft=1&#38;x=%C3%A9</strong>");
    expect([...page.html.matchAll(/<li>(.*?)<\/li>/g)].map(([, name]) => name)).toEqual([
      "title",
      "text",
      "_csrf",
    ]);
    expect(page.html).not.toContain("Hello");
    expect(page.action).toBe(TARGET);
    expect(got).toEqual([]);

    const done = await browser.post(page.action, page.body);
    expect([done.status, await done.text()]).toEqual([201, "saved"]);
    expect(got).toEqual([{ method: "POST", path: TARGET, type: FORM, user: EMAIL, cookie: null, body }]);
  });

  test("arrives byte for byte where it is an upload", async () => {
    const bytes = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7919) % 256);
    const form = new FormData();
    form.set("note", "ä");
    form.set("file", new File([bytes], "a.bin", { type: "application/octet-stream" }));
    const whole = new Response(form);
    const type = whole.headers.get("content-type") ?? "";
    const body = new Uint8Array(await whole.arrayBuffer());
    await browser.post(TARGET, body, { "Content-Type": type });
    await browser.signIn();
    const page = await sendButton();
    expect([...page.html.matchAll(/<li>(.*?)<\/li>/g)].map(([, name]) => name)).toEqual(["note", "file"]);
    await browser.post(page.action, page.body);
    expect(got).toHaveLength(1);
    expect(got[0]?.type).toBe(type);
    expect(got[0]?.body === Buffer.from(body).toString("latin1")).toBe(true);
  });

  test("is sent once, by whichever of two tabs", async () => {
    await browser.post(TARGET, "a=1");
    await browser.signIn();
    const page = await sendButton();
    const answers = await Promise.all([1, 2, 3].map(() => browser.post(page.action, page.body)));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
    expect((await browser.post(page.action, page.body)).status).toBe(409);
    expect(got.map(({ body }) => body)).toEqual(["a=1"]);
    // The page is gone, too.
    expect(whereTo(await browser.fetch("/_runegate/kept?next=/after"))).toEqual([303, "/after"]);
  });

  test("is not sent where that is said, and leads back to where it was written", async () => {
    await browser.post(TARGET, "a=1");
    await browser.signIn();
    const page = await sendButton();
    const [, next = ""] =
      /action="\/_runegate\/kept">\s*<input type="hidden" name="next" value="([^"]*)"/.exec(page.html) ?? [];
    const dropped = await browser.post("/_runegate/kept", new URLSearchParams({ next }));
    expect(whereTo(dropped)).toEqual([303, "/notes/form"]);
    expect((await browser.post(page.action, page.body)).status).toBe(201);
    // Without anything that is kept, it is a form of the application like any other.
    expect(got.map(({ body }) => body)).toEqual([page.body.toString()]);
  });

  test("is dropped, and that is said, where somebody else signs in", async () => {
    await browser.post(TARGET, "a=1");
    await browser.signIn("eve@example.org");
    const html = await (await browser.fetch("/_runegate/kept?next=/after")).text();
    expect(html).toContain("written by somebody who was signed in with another address");
    expect(html).toContain('href="/after"');
    expect(browser.jar.has("runegate_kept")).toBe(false);
    await browser.signIn();
    expect(whereTo(await browser.fetch("/_runegate/kept"))).toEqual([303, "/"]);
    expect(got).toEqual([]);
  });

  test("is not sent by the button of somebody else, nor anywhere else", async () => {
    await browser.post(TARGET, "a=1");
    await browser.signIn();
    const page = await sendButton();
    const kept = browser.cookie;
    expect((await browser.post("/other", page.body)).status).toBe(409);
    const eve = new Browser();
    await eve.signIn("eve@example.org");
    for (const [name, value] of browser.jar) if (name === "runegate_kept") eve.jar.set(name, value);
    expect((await eve.post(page.action, page.body)).status).toBe(409);
    expect(got).toEqual([]);
    const foreign = await fetch(gateway.url + page.action, {
      method: "POST",
      headers: { ...NAVIGATION, Cookie: kept, Origin: "https://evil.example", "Content-Type": FORM },
      body: page.body,
    });
    // What the application gets of it is what was sent, and that is not what is kept.
    expect([foreign.status, got.map(({ body }) => body)]).toEqual([201, [page.body.toString()]]);
  });

  test("is gone at logout, and after its time", async () => {
    await browser.post(TARGET, "a=1");
    await browser.signIn();
    await browser.post("/_runegate/logout", "");
    // What is left tells a browser, and nobody.
    expect([...browser.jar.keys()]).toEqual(["runegate_device"]);
    await browser.signIn();
    await browser.loseSession();
    await browser.post(TARGET, "b=1");
    clock.advance(15 * 60_000);
    await browser.signIn();
    expect(whereTo(await browser.fetch("/_runegate/kept"))).toEqual([303, "/"]);
    expect(got).toEqual([]);
  });

  test("is one a browser: the last", async () => {
    await browser.post("/first", "a=1");
    await browser.post("/second", "b=2");
    await browser.signIn();
    expect((await sendButton()).action).toBe("/second");
  });

  test("cannot be read by whoever reads the store", async () => {
    await gateway.stop();
    const stores = createMemoryStore({ clock });
    gateway = await startGateway({ clock, target: application.url.origin, stores });
    browser = new Browser();
    await browser.signIn();
    await browser.loseSession();
    await browser.post(TARGET, "title=very-secret-words");
    const [, id = "", key = ""] = /^(.*)\.(.*)$/.exec(browser.jar.get("runegate_kept") ?? "") ?? [];
    const seen = await stores.records<{ sealed: string }>({ name: "kept_post", capacity: 1_000 }).get(id);
    const stored = JSON.stringify(seen);
    const plain = Buffer.from(seen?.record.sealed ?? "", "base64").toString("latin1");
    for (const part of ["very-secret-words", "/notes/new", key, EMAIL]) {
      expect(stored).not.toContain(part);
      expect(plain).not.toContain(part);
    }
  });

  test("of a page of our own application that comes by fetch gets 401, and is not kept", async () => {
    const answer = await browser.post(TARGET, "a=1", { "Sec-Fetch-Mode": "cors", Accept: "*/*" });
    expect(answer.status).toBe(401);
    expect(browser.jar.has("runegate_kept")).toBe(false);
  });
});

describe("it is not kept", () => {
  test.each<[what: string, headers: Record<string, string>]>([
    ["from a foreign page", { Origin: "https://evil.example" }],
    ["from nowhere", { Origin: "null" }],
    ["from a page of another scheme", { Origin: "https://127.0.0.1" }],
    ["of another type", { "Content-Type": "text/plain" }],
    ["in JSON", { "Content-Type": "application/json" }],
    ["compressed", { "Content-Encoding": "gzip" }],
  ])("%s", async (_, headers) => {
    const sent = await browser.post(TARGET, "a=1", headers);
    expect(whereTo(sent)).toEqual([303, "/_runegate/login?next=%2F"]);
    expect(browser.jar.has("runegate_kept")).toBe(false);
  });

  test("without an origin", async () => {
    const sent = await browser.fetch(TARGET, {
      method: "POST",
      body: "a=1",
      headers: { "Content-Type": FORM },
    });
    expect(whereTo(sent)).toEqual([303, "/_runegate/login?next=%2F"]);
  });

  test("from a browser that had no session, nor with a cookie that is not ours", async () => {
    const stranger = new Browser();
    expect(whereTo(await stranger.post(TARGET, "a=1"))).toEqual([303, "/_runegate/login?next=%2F"]);
    stranger.jar.set("runegate_last", "A".repeat(44));
    expect(whereTo(await stranger.post(TARGET, "a=1"))).toEqual([303, "/_runegate/login?next=%2F"]);
  });

  test.each([
    [2 ** 20, "yes"],
    [2 ** 20 + 1, "large"],
  ])("of %d bytes: %s, which the login page says", async (bytes, kept) => {
    const sent = await browser.post(TARGET, `a=${"x".repeat(bytes - 2)}`);
    expect(whereTo(sent)).toEqual([303, `/_runegate/login?next=%2F&kept=${kept}`]);
    expect(browser.jar.has("runegate_kept")).toBe(kept === "yes");
    const html = await (await browser.fetch(sent.headers.get("location") ?? "")).text();
    expect(html.includes("too large to be kept")).toBe(kept === "large");
  });

  test("where there is no room for more, which the login page says", async () => {
    const room = gateway.stores.records<{ sealed: string }>({ name: "kept_post", capacity: 1_000 });
    for (let i = 0; i < 1_000; i++) await room.add(`other-${i}`, { sealed: "" }, clock.now() + 60_000);
    const sent = await browser.post(TARGET, "a=1");
    expect(whereTo(sent)).toEqual([303, "/_runegate/login?next=%2F&kept=full"]);
    expect(await (await browser.fetch(sent.headers.get("location") ?? "")).text()).toContain(
      "could not be kept",
    );
    expect(browser.jar.has("runegate_kept")).toBe(false);
  });

  test("of large forms there are fewer, so that all together have a bound in bytes", async () => {
    const room = gateway.stores.records<{ sealed: string }>({ name: "kept_post_large", capacity: 64 });
    for (let i = 0; i < 64; i++) await room.add(`other-${i}`, { sealed: "" }, clock.now() + 60_000);
    const large = await browser.post(TARGET, `a=${"x".repeat(16 * 1024)}`);
    expect(whereTo(large)).toEqual([303, "/_runegate/login?next=%2F&kept=full"]);
    const small = await browser.post(TARGET, `a=${"x".repeat(16 * 1024 - 2)}`);
    expect(whereTo(small)).toEqual([303, "/_runegate/login?next=%2F&kept=yes"]);
  });

  test("where that is switched off", async () => {
    await gateway.stop();
    await start({ RUNEGATE_KEEP_POST: "0" });
    expect(whereTo(await browser.post(TARGET, "a=1"))).toEqual([303, "/_runegate/login?next=%2F"]);
    expect([...browser.jar.keys()].filter((name) => /kept|last/.test(name))).toEqual([]);
    expect((await browser.fetch("/_runegate/kept")).status).toBe(404);
  });
});

test("a form of the application that looks like the button goes through as it is", async () => {
  await browser.post(TARGET, "a=1");
  await browser.signIn();
  const body = `runegate_kept=${"A".repeat(22)}`;
  expect((await browser.post(TARGET, body)).status).toBe(201);
  expect(got.map((one) => one.body)).toEqual([body]);
  // And what is kept still is.
  expect((await sendButton()).action).toBe(TARGET);
});

test("what is kept on a further host is offered there, once its writer has come back", async () => {
  await gateway.stop();
  const target = application.url.origin;
  const [H, B] = ["https://home.example.org", "https://app.example.org"];
  gateway = await startGateway({
    clock,
    env: { RUNEGATE_BASE_URL: H, RUNEGATE_SECURE_COOKIE: "false" },
    routes: ["home", "app"]
      .map((name) => `[[routes]]\nname = "${name}"\nhost = "${name}.example.org"\ntarget = "${target}"`)
      .join("\n"),
  });
  const jars = new Map([H, B].map((origin) => [origin, new Browser()]));
  const at = (url: string, init: RequestInit = {}) => {
    const { origin, host } = new URL(url);
    const headers = { ...(init.headers as Record<string, string>), Host: host };
    return (jars.get(origin) as Browser).fetch(gateway.url + url.slice(origin.length), { ...init, headers });
  };
  async function follow(url: string): Promise<{ url: string; response: Response }> {
    const response = await at(url);
    const to = response.headers.get("location");
    return to === null ? { url, response } : follow(new URL(to, url).href);
  }
  const home = jars.get(H) as Browser;
  const { token, cookie } = await askFor(gateway, EMAIL, { headers: { Host: "home.example.org" } });
  home.jar.set("runegate_login", cookie.slice("runegate_login=".length));
  await at(`${H}/_runegate/auth?token=${token}`);
  expect((await follow(`${B}/notes`)).url).toBe(`${B}/notes`);
  await home.loseSession();

  const headers = { Origin: B, "Content-Type": FORM };
  const sent = await at(`${B}${TARGET}`, { method: "POST", body: "a=1", headers });
  const login = await follow(new URL(sent.headers.get("location") ?? "", B).href);
  expect(await login.response.text()).toContain("What you wrote is kept for 15 minutes.");
  const next = new URL(login.url).searchParams.get("next") ?? "";
  const again = await askFor(gateway, EMAIL, { next, headers: { Host: "home.example.org" } });
  home.jar.set("runegate_login", again.cookie.slice("runegate_login=".length));
  const back = await follow(`${H}/_runegate/auth?token=${again.token}`);
  expect(back.url).toStartWith(`${B}/_runegate/kept?next=`);
  expect(await back.response.text()).toContain("<li>a</li>");
});

test.each(["0", "1MiB", "512KiB", "16MiB"])("the option takes %s", (text) => {
  expect(KEPT_POST_OPTIONS.keepPost.parse(text)).toBeNumber();
});
test.each(["unlimited", "17MiB", "-1", "much"])("the option does not take %s", (text) => {
  expect(() => KEPT_POST_OPTIONS.keepPost.parse(text)).toThrow(ValueError);
});
