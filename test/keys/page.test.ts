import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { MINUTE } from "../../src/option/values.ts";
import { NAVIGATION } from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { needs } from "../support/needs.ts";
import { bearer, HOME, openStage, type Stage, said } from "./stage.ts";

/** The page of keys, by forms alone. */

const PAGE = "/_runegate/keys";
const bash = needs("bash");
const curl = needs("curl");
let clock: TestClock;
let stage: Stage;
let ada: string;
beforeEach(async () => {
  clock = testClock();
  stage = await openStage({ clock });
  ada = await stage.gateway.signIn("ada@example.org");
});
afterEach(() => stage.stop());

type Shown = { readonly status: number; readonly html: string; readonly location: string | null };

async function show(asked: Promise<Response>): Promise<Shown> {
  const response = await asked;
  return {
    status: response.status,
    html: await response.text(),
    location: response.headers.get("location"),
  };
}
const get = (cookie = ada, path = PAGE) => show(stage.ask(path, { Cookie: cookie, ...NAVIGATION }));
const post = (fields: Record<string, string>, cookie = ada, more: Record<string, string> = {}) =>
  show(
    stage.ask(
      PAGE,
      { Cookie: cookie, ...NAVIGATION, Origin: `https://${HOME}`, ...more },
      { method: "POST", body: new URLSearchParams(fields) },
    ),
  );
const CREATE = { do: "create", life: "30d", "route-lab": "on", "route-wiki": "on" };
/** What an element says, as a browser would. */
const textOf = (html: string, id: string) =>
  (new RegExp(`<pre id="${id}"[^>]*>([^<]*)`).exec(html)?.[1] ?? "").replace(/&#(\d+);/g, (_, code: string) =>
    String.fromCharCode(Number(code)),
  );
const tokenIn = ({ html }: Shown) => textOf(html, "key");
const alertIn = ({ html }: Shown) => /role="alert">([^<]*)/.exec(html)?.[1];

test("a key is made, shown once, used, given a new secret, disabled, enabled and ended", async () => {
  expect((await get()).html).toContain("You have no keys yet.");
  const made = await post({ ...CREATE, description: "<b>ci</b>", paths: "/api/*, /x", rate: "60" });
  expect(made.status).toBe(200);
  const token = tokenIn(made);
  expect(token).toMatch(/^rg_[0-9a-z]{12}_[0-9A-Za-z]{38}$/);
  expect(await said(stage.ask("/api/x", bearer(token)))).toBe("200");
  expect(await said(stage.ask("/y", bearer(token)))).toBe("403 key_scope");

  const listed = (await get()).html;
  expect(listed).not.toContain(token.slice(16));
  expect(listed).toContain("&#60;b&#62;ci&#60;/b&#62;");
  expect(listed).toContain("lab, wiki: below /api/*, /x; 60 a minute");
  const id = token.slice(3, 15);
  expect(listed).toContain(`name="id" value="${id}"`);

  const rotated = await post({ do: "rotate", id, overlap: "1h" });
  expect(rotated.html).toContain("The secret before goes on until");
  for (const one of [token, tokenIn(rotated)]) expect(await said(stage.ask("/x", bearer(one)))).toBe("200");

  expect((await post({ do: "disable", id })).html).toContain("is disabled.");
  expect(await said(stage.ask("/x", bearer(token)))).toBe("401 invalid_key");
  expect((await post({ do: "enable", id })).html).toContain("is enabled.");
  expect(await said(stage.ask("/x", bearer(token)))).toBe("200");
  const ended = await post({ do: "revoke", id });
  expect(ended.html).toContain("has ended.");
  expect(ended.html).toContain("You have no keys yet.");
  expect(await said(stage.ask("/x", bearer(token)))).toBe("401 invalid_key");
  expect(alertIn(await post({ do: "revoke", id }))).toBe("There is no such key any more.");
});

test.skipIf(bash === undefined || curl === undefined)(
  "its curl line works when it is pasted into a shell",
  async () => {
    const { html } = await post({ ...CREATE, paths: "/api/*" });
    const line = textOf(html, "curl");
    expect(line).toBe(`curl -H 'Authorization: Bearer ${textOf(html, "key")}' 'https://${HOME}/api/'`);
    const pasted = line
      .replace(`https://${HOME}`, stage.gateway.url)
      .replace("curl", `curl -s -H 'Host: ${HOME}'`);
    const child = Bun.spawn([bash ?? "", "-c", pasted], { stdout: "pipe" });
    expect(JSON.parse(await child.stdout.text())).toMatchObject({ method: "GET", target: "/api/" });
  },
);

describe("is not done", () => {
  test("for whoever is not signed in: they are sent to do so, and come back here", async () => {
    const { status, location } = await get("");
    expect([status, location]).toEqual([302, "/_runegate/login?next=%2F_runegate%2Fkeys"]);
    const { token } = await stage.key();
    const keyed = await show(stage.ask(PAGE, { ...bearer(token), Cookie: ada, ...NAVIGATION }));
    expect([keyed.status, keyed.location]).toEqual([302, location]);
    const login = await show(stage.ask(location ?? "", NAVIGATION));
    expect(login.html).toContain('name="next" value="/_runegate/keys"');
    expect((await post(CREATE, "")).status).toBe(303);
  });

  test("long after signing in: a new sign-in is offered in place of the form", async () => {
    const { token, id } = await stage.key();
    clock.advance(15 * MINUTE);
    const { html } = await get();
    const again = "/_runegate/login?next=%2F_runegate%2Fkeys&again=1";
    expect(html).toContain(`href="${again.replaceAll("&", "&#38;")}"`);
    expect(html).not.toContain('value="create"');
    expect(html).not.toContain('value="rotate"');
    for (const fields of [CREATE, { do: "rotate", id }] as Record<string, string>[]) {
      const late = await post(fields);
      expect([late.status, late.location]).toEqual([303, again]);
    }
    expect((await post({ do: "revoke", id })).html).toContain("has ended.");
    expect(await said(stage.ask("/x", bearer(token)))).toBe("401 invalid_key");
  });

  test("for a page elsewhere", async () => {
    const { status } = await post(CREATE, ada, {
      Origin: "https://evil.example",
      "Sec-Fetch-Site": "cross-site",
    });
    expect(status).toBe(403);
    expect((await get()).html).toContain("You have no keys yet.");
  });

  test.each<[string, Record<string, string>, string]>([
    [
      "a path that is none",
      { paths: "api" },
      "paths: api is none; write /x, or /x/* for what lies below it.",
    ],
    ["a rate that is none", { rate: "many" }, "rate: a whole number of requests a minute, from 1 to 10000."],
    ["a method that is none", { methods: "get" }, "methods: get is none; write capitals, such as GET."],
  ])("with %s, and what was written is kept", async (_, fields, message) => {
    const answer = await post({
      do: "create",
      life: "7d",
      "route-wiki": "on",
      description: "kept",
      ...fields,
    });
    expect([answer.status, alertIn(answer)]).toEqual([400, message]);
    for (const value of ["kept", ...Object.values(fields)]) expect(answer.html).toContain(`value="${value}"`);
    expect(answer.html).toContain('<option value="7d" selected>');
    expect(answer.html).toMatch(/name="route-wiki" value="on" checked/);
    expect(answer.html).toMatch(/name="route-lab" value="on">/);
  });

  test("with somebody else's key", async () => {
    const { id } = await stage.key({ owner: "bob@example.org" });
    expect((await get()).html).not.toContain(id);
    for (const what of ["rotate", "disable", "enable", "revoke"])
      expect(alertIn(await post({ do: what, id }))).toBe("There is no such key any more.");
  });
});

test("is linked from the page of applications, and stands on the host where people sign in", async () => {
  expect((await get(ada, "/_runegate/")).html).toContain('<a href="/_runegate/keys">API keys</a>');
  const off = await openStage({ env: { RUNEGATE_API_KEYS: "false" } });
  const cookie = await off.gateway.signIn("ada@example.org");
  const start = await off.ask("/_runegate/", { Cookie: cookie, ...NAVIGATION });
  expect(await start.text()).not.toContain("API keys");
  expect(await said(off.ask(PAGE, { Cookie: cookie }))).toBe("404 not_found");
  await off.stop();
});
