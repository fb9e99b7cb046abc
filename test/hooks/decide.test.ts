import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { asOperator, JSON_BODY } from "../api/support.ts";
import { createJar, numbersIn, PHONE, shownBy, TV } from "../approval/support.ts";
import {
  askFor,
  auditOf,
  NAVIGATION,
  openLink,
  postLogin,
  redeem,
  sessionOf,
  whoAmI,
} from "../login/support.ts";
import { comeBack, setOut, startStandIn } from "../oidc-login/stand-in.ts";
import { createAuthenticator } from "../passkeys/authenticator.ts";
import { offerSignIn, register, send } from "../passkeys/support.ts";
import { until } from "../process/stage.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway, type TestGatewaySettings } from "../support/gateway.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import {
  allow,
  DECIDE,
  deny,
  type HookCall,
  hang,
  type Receiver,
  SIGN_IN,
  startReceiver,
} from "./support.ts";

/** Hooks that have a say, asked by a gateway over HTTP while people sign in. */

const ADA = "ada@example.org";
const SECOND = 1000;
const ASKING = `events = ["login_requested"]\nmode = "decide"`;

let upstream: Upstream;
let hook: Receiver;
let other: Receiver;
let clock: TestClock;
let gateway: TestGateway;

beforeEach(async () => {
  upstream = await startUpstream();
  [hook, other] = [startReceiver(), startReceiver()];
  clock = testClock(Date.now());
});
afterEach(async () => {
  await gateway.stop();
  for (const one of [hook, other, upstream]) one.stop();
});

async function start(hooks: string, more: TestGatewaySettings = {}): Promise<void> {
  gateway = await startGateway({
    target: upstream.url,
    clock,
    ...more,
    routes: hooks + (more.routes ?? ""),
    env: { RUNEGATE_LOG_FORMAT: "json", ...more.env },
  });
}

const failures = () =>
  auditOf(gateway)
    .filter(({ event }) => event === "hook_denied")
    .map(({ hook: name, reason }) => [name, reason]);
const sessions = () => gateway.gateway.sessions.list();
const skipped = () => gateway.gateway.hooks.counts().filter(({ outcome }) => outcome === "skipped");

/** Asks for a link; what is returned opens it, as often as wanted. */
async function link(email = ADA): Promise<(headers?: Readonly<Record<string, string>>) => Promise<Response>> {
  const { token, cookie } = await askFor(gateway, email);
  return (headers = {}) => openLink(gateway, token, { Cookie: cookie, ...headers });
}

type Way = {
  readonly method: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Up to the request that signs in, which is returned, to be sent as often as wanted. */
  prepare(): Promise<() => Promise<Response>>;
};

const WAYS: readonly Way[] = [
  { method: "link", prepare: () => link() },
  {
    method: "code",
    async prepare() {
      const { code, cookie } = await askFor(gateway);
      return () => redeem(gateway, { code }, { Cookie: cookie });
    },
  },
  {
    method: "passkey",
    env: { RUNEGATE_PASSKEYS: "true", RUNEGATE_BASE_URL: "https://app.test" },
    async prepare() {
      const site = { url: gateway.url, origin: "https://app.test" };
      const key = createAuthenticator();
      await register(site, await gateway.signIn(), key);
      const { publicKey, ticket, cookie } = await offerSignIn(site);
      const credential = key.get(publicKey, site.origin, {});
      return () => send(site, "/sign-in", { ticket, credential }, cookie);
    },
  },
  {
    method: "approval",
    env: { RUNEGATE_APPROVAL: "true" },
    async prepare() {
      const screen = createJar(gateway, { ip: "192.0.2.7", userAgent: TV });
      const session = await gateway.signIn();
      const phone = createJar(gateway, { ip: "198.51.100.20", userAgent: PHONE, session });
      await screen.post("/_runegate/phone", { next: "/lab" });
      const { code } = await shownBy(screen);
      const offered = await (await phone.get(`/_runegate/approve?code=${code}`)).text();
      const { number = "" } = await shownBy(screen);
      expect(numbersIn(offered)).toContain(number);
      expect((await phone.post("/_runegate/approve", { code, number })).status).toBe(200);
      return () => screen.get("/_runegate/phone");
    },
  },
];

describe("sign_in is decided by every way of signing in", () => {
  test.each(WAYS)("$method: a no burns nothing, and the same is good once the hook says yes", async (way) => {
    hook.answer = () => allow();
    await start(hook.block("crm", DECIDE), way.env === undefined ? {} : { env: way.env });
    const attempt = await way.prepare();
    const before = (await sessions()).length;
    hook.answer = () => deny("Not today.");
    // More often than a code may be tried.
    for (let n = 0; n < 12; n++) {
      const refused = await attempt();
      expect([refused.status, sessionOf(refused)]).toEqual([403, undefined]);
      expect(await refused.text()).toContain("Not today.");
    }
    expect(await sessions()).toHaveLength(before);
    expect(failures()).toEqual(Array(12).fill(["crm", "denied"]));
    hook.answer = () => allow({ max_age: 60 });
    const response = await attempt();
    expect(response.status).toBeLessThan(400);
    expect(await whoAmI(gateway, sessionOf(response) ?? "")).toMatchObject({
      email: ADA,
      expires_at: new Date(clock.now() + 60 * SECOND).toISOString(),
    });
    expect(hook.calls.at(-1)).toMatchObject({
      type: "sign_in",
      isSigned: [true],
      data: { email: ADA, method: way.method, request: expect.any(String), client_ip: expect.any(String) },
    });
  });

  test("oidc: nobody is signed in, the page says why, and the next time is another", async () => {
    const idp = await startStandIn();
    try {
      hook.answer = () => deny("Not today.");
      await start(hook.block("crm", DECIDE) + idp.block("main"));
      const enter = async () => {
        const { location, cookie } = await setOut(gateway, "main", "/lab");
        return comeBack(gateway, idp.authorize(location), cookie);
      };
      const refused = await enter();
      expect([refused.status, sessionOf(refused)]).toEqual([403, undefined]);
      expect(await refused.text()).toContain("Not today.");
      expect(await sessions()).toEqual([]);
      hook.answer = () => allow({ groups: ["staff"], max_age: 60 });
      const session = sessionOf(await enter()) ?? "";
      expect(await whoAmI(gateway, session)).toMatchObject({
        email: ADA,
        expires_at: new Date(clock.now() + 60 * SECOND).toISOString(),
      });
      expect(hook.calls.at(-1)?.data).toMatchObject({ email: ADA, method: "oidc" });
    } finally {
      idp.stop();
    }
  });

  test("an approval is worth nothing whose giver signs out while it is decided", async () => {
    const way = WAYS.find(({ method }) => method === "approval");
    hook.answer = () => allow();
    await start(hook.block("crm", DECIDE), { env: { RUNEGATE_APPROVAL: "true" } });
    const attempt = await way?.prepare();
    hook.answer = async () => {
      for (const { id } of await sessions()) await gateway.gateway.sessions.end(id);
      return allow();
    };
    const response = await attempt?.();
    expect([response && sessionOf(response), await sessions()]).toEqual([undefined, []]);
  });

  test("a link for several uses is worth nothing that is revoked while it is decided", async () => {
    await start(hook.block("crm", DECIDE), { env: { RUNEGATE_MULTI_USE_LINKS: "true" } });
    const { body } = await asOperator(gateway)("POST", "/links", {
      ...{ headers: JSON_BODY, body: JSON.stringify({ email: ADA, uses: 5 }) },
    });
    const { id, link: url = "" } = body as Record<string, string>;
    hook.answer = async () => {
      expect((await asOperator(gateway)("DELETE", `/links/${id}`)).status).toBe(204);
      return allow();
    };
    const token = new URL(url).searchParams.get("token") ?? "";
    const response = await redeem(gateway, { token });
    expect([response.status, sessionOf(response), await sessions()]).toEqual([401, undefined, []]);
  });

  test("a link that proves nothing is not asked about: forged, expired, spent", async () => {
    hook.answer = () => allow();
    await start(hook.block("crm", DECIDE));
    const open = await link();
    expect((await open()).status).toBe(302);
    expect(hook.calls).toHaveLength(1);
    expect((await open()).status).toBe(401);
    const { token, cookie } = await askFor(gateway);
    expect((await openLink(gateway, `${token}x`, { Cookie: cookie })).status).toBe(401);
    clock.advance(3_600 * SECOND);
    expect((await openLink(gateway, token, { Cookie: cookie })).status).toBe(401);
    expect(hook.calls).toHaveLength(1);
  });
});

describe("an answer that decides nothing", () => {
  const ANSWERS: readonly [string, (call: HookCall) => Response][] = [
    ['{"decision":"Allow"}', () => Response.json({ decision: "Allow" })],
    ["true", () => Response.json(true)],
    ["HTML", () => new Response("<p>allow</p>", { headers: { "Content-Type": "text/html" } })],
    ["10 MB", () => new Response(`{"decision":"allow","more":"${"x".repeat(10 << 20)}"}`)],
    ["204", () => new Response(null, { status: 204 })],
    ["201 with a yes", () => Response.json({ decision: "allow" }, { status: 201 })],
    ["500", () => new Response("", { status: 500 })],
    [
      "a yes, packed",
      () => new Response(Bun.gzipSync('{"decision":"allow"}'), { headers: { "Content-Encoding": "gzip" } }),
    ],
  ];

  test.each(ANSWERS)("I2 %s: on_error holds, deny or allow", async (_, answer) => {
    hook.answer = answer;
    await start(hook.block("crm", DECIDE));
    const refused = await (await link())();
    expect([refused.status, sessionOf(refused)]).toEqual([403, undefined]);
    expect(await refused.text()).not.toContain("decision");
    expect(failures()).toHaveLength(1);
    expect(failures()[0]?.[1]).not.toBe("denied");
    await gateway.stop();
    await start(hook.block("crm", `${DECIDE}\non_error = "allow"`));
    expect((await (await link())()).status).toBe(302);
  });

  test("I3 a hook hangs: signing in is answered within its time, and others wait for nothing", async () => {
    hook.answer = hang;
    await start(hook.block("crm", DECIDE));
    const open = await link();
    const began = performance.now();
    let isAnswered = false;
    const answer = open().finally(() => {
      isAnswered = true;
    });
    await until("the hook is asked", () => hook.calls.length === 1);
    expect((await fetch(`${gateway.url}/_runegate/login`)).status).toBe(200);
    expect(isAnswered).toBe(false);
    expect((await answer).status).toBe(403);
    expect(performance.now() - began).toBeLessThan(5 * SECOND);
    expect(failures()).toEqual([["crm", "no answer in time"]]);
  });

  test("I3 one that sends its answer without an end is left after its time too", async () => {
    hook.answer = () =>
      new Response(new ReadableStream({ start: (answer) => answer.enqueue('{"decision":') }));
    await start(hook.block("crm", `${DECIDE}\ntimeout = "300ms"`));
    expect((await (await link())()).status).toBe(403);
    expect(failures()).toEqual([["crm", "no answer in time"]]);
  });

  test("I3 several that are slow have five seconds in all", async () => {
    const slow = async () => {
      clock.advance(2_600);
      return allow();
    };
    hook.answer = other.answer = slow;
    const third = startReceiver();
    third.answer = () => allow();
    try {
      const more = `${DECIDE}\ntimeout = "5s"`;
      await start(hook.block("a", more) + other.block("b", more) + third.block("c", more));
      expect((await (await link())()).status).toBe(403);
      expect([hook.calls.length, other.calls.length, third.calls.length]).toEqual([1, 1, 0]);
      expect(failures()).toEqual([["c", "not asked"]]);
    } finally {
      third.stop();
    }
  });

  test.each([301, 302, 303, 307, 308])("I4 a redirect (%d) is not followed", async (status) => {
    other.answer = () => allow();
    hook.answer = () => new Response(null, { status, headers: { Location: other.url } });
    await start(hook.block("crm", DECIDE));
    expect((await (await link())()).status).toBe(403);
    expect(other.calls).toEqual([]);
    expect(failures()).toEqual([["crm", `no decision (${status})`]]);
  });

  test("I4 nor one to the metadata of a cloud", async () => {
    const asked: string[] = [];
    hook.answer = () =>
      new Response(null, { status: 302, headers: { Location: "http://169.254.169.254/latest/meta-data/" } });
    await start(hook.block("crm", DECIDE), {
      fetch: (input, init) => {
        asked.push(String(input));
        return fetch(input, init);
      },
    });
    expect((await (await link())()).status).toBe(403);
    expect(asked).toEqual([hook.url]);
  });

  test("nobody listens: on_error", async () => {
    await start(hook.block("crm", DECIDE));
    hook.stop();
    expect((await (await link())()).status).toBe(403);
    expect(failures()).toEqual([["crm", "ECONNREFUSED"]]);
  });

  test("ten failures within a minute: for 30 s it is not asked, and then again", async () => {
    hook.answer = () => new Response("", { status: 500 });
    await start(hook.block("crm", DECIDE));
    const open = await link();
    for (let n = 0; n < 12; n++) expect((await open()).status).toBe(403);
    expect(hook.calls).toHaveLength(10);
    expect(skipped()).toEqual([{ hook: "crm", outcome: "skipped", count: 2 }]);
    clock.advance(29 * SECOND);
    hook.answer = () => allow();
    expect((await open()).status).toBe(403);
    expect(hook.calls).toHaveLength(10);
    clock.advance(2 * SECOND);
    expect((await open()).status).toBe(302);
    expect(hook.calls).toHaveLength(11);
  });

  test("ten failures over more than a minute leave it asked", async () => {
    hook.answer = () => new Response("", { status: 500 });
    await start(hook.block("crm", DECIDE));
    const open = await link();
    for (let n = 0; n < 12; n++) {
      expect((await open()).status).toBe(403);
      clock.advance(7 * SECOND);
    }
    expect(hook.calls).toHaveLength(12);
  });
});

describe("what a decision says", () => {
  test("I8 a message with HTML in it is text, on pages and in JSON", async () => {
    const message = `<script>alert(1)</script> & "you" ${"x".repeat(300)}`;
    hook.answer = () => deny(message);
    await start(hook.block("crm", DECIDE));
    const open = await link();
    const page = await open(NAVIGATION);
    const html = await page.text();
    expect(page.headers.get("content-type")).toContain("text/html");
    expect(html).not.toContain("<script>alert");
    expect(html).toContain("&#60;script&#62;alert(1)&#60;/script&#62; &#38;");
    expect(await (await open({ Accept: "application/json" })).json()).toMatchObject({
      error: "denied",
      message: message.slice(0, 200),
    });
  });

  test("without one, the page has its own", async () => {
    hook.answer = () => deny();
    await start(hook.block("crm", DECIDE));
    const html = await (await (await link())({ ...NAVIGATION, "Accept-Language": "de" })).text();
    expect(html).toContain("Die Anmeldung wurde abgelehnt");
    expect(html).toContain('href="/_runegate/login');
  });

  test("I9 groups are theirs for this login, and admins is ignored", async () => {
    const routes = `[groups]\nstaff = []\nadmins = ["root@example.org"]\n[[routes]]\nname = "lab"\ntarget = "${upstream.url}"\nallow = ["group:staff", "group:admins"]`;
    await start(hook.block("crm", DECIDE), {
      routes,
    });
    const enter = async (groups: readonly string[]) => {
      hook.answer = () => allow({ groups });
      const cookie = sessionOf(await (await link())()) ?? "";
      const response = await fetch(`${gateway.url}/page`, {
        headers: { Cookie: cookie, Host: new URL(gateway.gateway.options.baseUrl).host },
      });
      return [response.status, upstream.to("/page").at(-1)?.one("remote-groups") ?? null];
    };
    expect(await enter(["admins"])).toEqual([403, null]);
    expect(await enter(["admins", "staff"])).toEqual([200, "staff"]);
    expect(await enter([])).toEqual([403, "staff"]);
  });

  test("a group lets nobody stay who may not sign in any more: a grant that is over is", async () => {
    const routes = `[groups]\nstaff = []\nadmins = ["root@example.org"]
      [[routes]]\nname = "lab"\nhost = "127.0.0.1"\ntarget = "${upstream.url}"\nallow = ["group:staff"]`;
    const env = { RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_DYNAMIC_USERS: "true" };
    hook.answer = () => allow({ groups: ["staff"] });
    await start(hook.block("crm", DECIDE), { routes, env });
    const email = "bob@partner.example";
    const grant = { email, mail: false, routes: ["lab"], until: "8h" };
    const invited = await asOperator(gateway)("POST", "/admin/users", {
      ...{ headers: JSON_BODY, body: JSON.stringify(grant) },
    });
    expect(invited.status).toBe(201);
    const Cookie = sessionOf(await (await link(email))()) ?? "";
    const status = async () =>
      (await fetch(`${gateway.url}/page`, { headers: { Cookie }, redirect: "manual" })).status;
    expect([await status(), upstream.to("/page").at(-1)?.one("remote-groups")]).toEqual([200, "staff"]);
    clock.advance(9 * 3_600 * SECOND);
    await gateway.gateway.grants.look();
    expect([await status(), upstream.to("/page").length]).toEqual([401, 1]);
    expect(await sessions()).toEqual([]);
  });

  test("as many groups as may be crowd out none by which somebody is kept out", async () => {
    const routes = `[groups]\nzz = ["${ADA}"]
      [[routes]]\nname = "lab"\nhost = "127.0.0.1"\ntarget = "${upstream.url}"
      [[routes]]\nname = "secret"\nhost = "127.0.0.1"\npath = "/secret"\ntarget = "${upstream.url}"\ndeny = ["group:zz"]`;
    const groups = Array.from({ length: 50 }, (_, n) => `a${n + 10}`);
    hook.answer = () => allow({ groups });
    await start(hook.block("crm", DECIDE), { routes });
    const Cookie = sessionOf(await (await link())()) ?? "";
    const status = async (path: string) =>
      (await fetch(gateway.url + path, { headers: { Cookie }, redirect: "manual" })).status;
    expect([await status("/page"), await status("/secret")]).toEqual([200, 403]);
    // Applications are told of no more than they can take.
    expect(upstream.to("/page").at(-1)?.one("remote-groups")).toBe(groups.join(","));
  });

  test("max_age ends the login, never later than options do; of two, the shorter", async () => {
    await start(hook.block("a", DECIDE) + other.block("b", DECIDE));
    const lasts = async () => {
      const { expires_at } = await whoAmI(gateway, sessionOf(await (await link())()) ?? "");
      return (Date.parse(expires_at ?? "") - clock.now()) / SECOND;
    };
    hook.answer = () => allow({ max_age: 900 });
    other.answer = () => allow({ max_age: 600 });
    expect(await lasts()).toBe(600);
    other.answer = () => allow();
    expect(await lasts()).toBe(900);
    hook.answer = () => allow({ max_age: 365 * 24 * 3600 });
    expect(await lasts()).toBe(14 * 24 * 3600);
  });

  test("all must allow, in their order, and after a no nobody else is asked", async () => {
    const order: string[] = [];
    hook.answer = () => {
      order.push("a");
      return allow();
    };
    other.answer = () => {
      order.push("b");
      return deny();
    };
    const third = startReceiver();
    try {
      await start(hook.block("a", DECIDE) + other.block("b", DECIDE) + third.block("c", DECIDE));
      expect((await (await link())()).status).toBe(403);
      expect([order, third.calls]).toEqual([["a", "b"], []]);
      expect(failures()).toEqual([["b", "denied"]]);
    } finally {
      third.stop();
    }
  });

  test("one call for all: the same id, no token and no code in it, and under 20 KB", async () => {
    hook.answer = other.answer = () => allow();
    await start(hook.block("a", DECIDE) + other.block("b", DECIDE));
    const { token, code, cookie } = await askFor(gateway, ADA, { next: `/${"x".repeat(1500)}` });
    expect((await openLink(gateway, token, { Cookie: cookie })).status).toBe(302);
    const [[one], [two]] = [hook.calls, other.calls];
    expect(one?.id).toMatch(/^msg_[\w-]{24}$/);
    expect(two?.id).toBe(one?.id ?? "");
    for (const secret of [token, code.replace(" ", ""), cookie.split("=")[1] ?? ""])
      expect(one?.body).not.toContain(secret);
    expect(one?.body.length).toBeLessThan(20_000);
  });

  test("over a unix socket too", async () => {
    const socket = `/tmp/runegate-hook-${process.pid}.sock`;
    const local = startReceiver(undefined, socket);
    try {
      local.answer = () => deny("By the socket.");
      await start(local.block("crm", DECIDE));
      expect(await (await (await link())()).text()).toContain("By the socket.");
      expect(local.calls[0]?.isSigned).toEqual([true]);
    } finally {
      local.stop();
    }
  });
});

describe("login_requested is decided behind the answer", () => {
  const asked = async (email: string) => {
    const response = await postLogin(gateway, { email });
    const { request_id: _, ...body } = (await response.json()) as Record<string, unknown>;
    return { status: response.status, body, cookies: response.headers.getSetCookie().length };
  };
  const settle = async () => {
    await gateway.gateway.hooks.runDue();
    await gateway.gateway.outbox.runDue();
    return gateway.mailbox.mails().map(({ to }) => to);
  };
  const reasons = () =>
    auditOf(gateway)
      .filter(({ event }) => event === "login_requested")
      .map(({ email, reason, outcome }) => [email, reason ?? outcome]);

  test("a yes sends the mail, a no sends none, and both are answered alike", async () => {
    hook.answer = ({ data }) => (data.email === ADA ? allow() : deny("A secret of ours."));
    await start(hook.block("crm", ASKING));
    const [ada, bob] = [await asked(ADA), await asked("bob@example.org")];
    expect({ ...bob, body: null }).toEqual({ ...ada, body: null });
    expect(JSON.stringify(bob)).not.toContain("secret");
    expect(await settle()).toEqual([ADA]);
    expect(reasons()).toEqual([
      [ADA, "queued"],
      ["bob@example.org", "denied"],
    ]);
    expect(hook.calls.map(({ type, data }) => [type, data.email])).toEqual([
      ["login_requested", ADA],
      ["login_requested", "bob@example.org"],
    ]);
  });

  test("I5 the hook is down, on_error deny: the answer is the same, and does not wait for it", async () => {
    // Nothing is decided before this resolves, and everybody is answered before.
    const held = Promise.withResolvers<void>();
    let waits = 0;
    hook.answer = hang;
    await start(hook.block("crm", `${ASKING}\ntimeout = "200ms"`), {
      pause: (milliseconds) => {
        if (milliseconds < 350) return Promise.resolve();
        waits++;
        return held.promise;
      },
    });
    const answers = [await asked(ADA), await asked("bob@example.org")];
    expect(hook.calls).toEqual([]);
    hook.stop();
    answers.push(await asked("carol@example.org"));
    held.resolve();
    expect(waits).toBe(3);
    expect(new Set(answers.map(({ status, cookies }) => `${status} ${cookies}`)).size).toBe(1);
    expect(await settle()).toEqual([]);
    expect(reasons().map(([, reason]) => reason)).toEqual(["denied", "denied", "denied"]);
  });

  test("on_error allow: the mail goes out though nobody answers", async () => {
    await start(hook.block("crm", `${ASKING}\non_error = "allow"`));
    hook.stop();
    await asked(ADA);
    expect(await settle()).toEqual([ADA]);
  });

  test("of whoever may not sign in anyway, no hook is asked, and they are answered alike", async () => {
    hook.answer = () => allow();
    await start(hook.block("crm", ASKING), {
      env: { RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ALLOWED_EMAILS: ADA },
    });
    const [ada, eve] = [await asked(ADA), await asked("eve@example.org")];
    expect({ ...eve, body: null }).toEqual({ ...ada, body: null });
    expect(await settle()).toEqual([ADA]);
    expect(hook.calls).toHaveLength(1);
  });

  test("a gateway that stops decides first what it has answered", async () => {
    hook.answer = () => allow();
    const never = new Promise<void>(() => {});
    await start(hook.block("crm", ASKING), {
      pause: (milliseconds) => (milliseconds < 350 ? Promise.resolve() : never),
    });
    await asked(ADA);
    await gateway.gateway.stop();
    expect(hook.calls).toHaveLength(1);
    expect(reasons()).toEqual([[ADA, "queued"]]);
  });

  test("a hook for signing in alone is not asked about mails", async () => {
    await start(hook.block("crm", `${SIGN_IN}\nmode = "decide"`));
    await asked(ADA);
    expect(await settle()).toEqual([ADA]);
    expect(hook.calls).toEqual([]);
  });
});
