import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import {
  type Environment,
  environment,
  freePort,
  type Place,
  REPOSITORY,
  type Running,
  run,
  runegate,
  signInWith,
  temporaryPlace,
} from "./support.ts";

/** `runegate users` and `requests`, against a running instance with three workers and, where none runs, on its store. */

setDefaultTimeout(60_000);

let place: Place;
let upstream: Upstream;
let env: Environment;
let gateway: Running;

beforeAll(async () => {
  place = temporaryPlace();
  upstream = await startUpstream();
  upstream.on("/events", async ({ wire }) => {
    await wire.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
    await new Promise(() => {});
  });
  writeFileSync(
    join(place.directory, "routes.toml"),
    `[groups]
staff = ["ada@example.org"]
[[routes]]
name = "lab"
target = "${upstream.url}"
allow = ["group:staff"]
request_access = true
[[routes]]
name = "wiki"
path = "/wiki"
target = "${upstream.url}"
allow = ["group:staff", "bob@example.org"]`,
  );
  env = environment(place, await freePort(), {
    RUNEGATE_ROUTES: join(place.directory, "routes.toml"),
    RUNEGATE_ADMINS: "root@example.org",
    RUNEGATE_ALLOW_ANY_EMAIL: "false",
    RUNEGATE_DYNAMIC_USERS: "true",
    RUNEGATE_WORKERS: "3",
    RUNEGATE_SESSION_KEY: "5e".repeat(64),
    RUNEGATE_STORE: `sqlite:${join(place.directory, "state.db")}`,
  });
  const { RUNEGATE_ALLOWED_EMAILS: _, ...rest } = env;
  env = rest;
  gateway = await run([join(REPOSITORY, "src/main.ts")], env, place.directory);
});
afterAll(async () => {
  await gateway.stop();
  upstream.stop();
  place[Symbol.dispose]();
});

const cli = (...args: string[]) => runegate(args, env, place.directory);
const status = async (cookie: string, path = "/") => {
  const answer = await fetch(gateway.url + path, {
    ...{ keepalive: false, redirect: "manual" },
    headers: { Cookie: cookie },
  });
  await answer.arrayBuffer();
  return answer.status;
};
/** Over connections of their own, which different workers take. */
const everywhere = async (cookie: string) =>
  new Set(await Promise.all(Array.from({ length: 24 }, () => status(cookie))));

/** Whatever else is answered for a while, this is within 5 s, and nothing else from then on. */
async function within5s(cookie: string, expected: number): Promise<void> {
  const begun = performance.now();
  for (;;) {
    const seen = await everywhere(cookie);
    if (seen.size === 1 && seen.has(expected)) break;
    if (performance.now() - begun > 5_000) expect([...seen]).toEqual([expected]);
    await Bun.sleep(100);
  }
  expect([...(await everywhere(cookie))]).toEqual([expected]);
}

/** A worker may not know yet that they are let in. */
async function signInSoon(email: string): Promise<string> {
  const begun = performance.now();
  for (;;) {
    try {
      return await signInWith((await cli("link", email)).out);
    } catch (error) {
      if (performance.now() - begun > 5_000) throw error;
    }
  }
}

test("lets somebody in, and shuts them out, in every worker and what is open, within 5 s", async () => {
  const made = await cli(
    ..."users allow Carol@Partner.example --opens lab --until 30d --note trial".split(" "),
  );
  expect([made.code, made.err, made.out]).toEqual([
    0,
    "",
    expect.stringMatching(/^carol@partner\.example is let in until \d{4}-/),
  ]);
  const cookie = await signInSoon("carol@partner.example");
  await within5s(cookie, 200);
  const events = await fetch(`${gateway.url}/events`, { headers: { Cookie: cookie } });
  const reader = events.body?.getReader();
  await reader?.read();

  const listed = await cli("users");
  expect(listed.out).toMatch(/carol@partner\.example +lab +\d{4}-\S+ \S+ +operator +trial/);
  const { data } = { data: JSON.parse((await cli("users", "list", "--json")).out) };
  expect(JSON.stringify(data)).toContain('"granted_by":"operator"');

  const removed = await cli("users", "remove", "carol@partner.example");
  expect(removed).toEqual({ code: 0, err: "", out: "Ended: 1 grants, 1 sessions, 0 keys." });
  const begun = performance.now();
  const ended = (async () => {
    try {
      while ((await reader?.read())?.done === false);
    } catch {
      // Broken off is an end, too.
    }
    return performance.now() - begun;
  })();
  await within5s(cookie, 401);
  expect(await ended).toBeLessThan(5_000);
});

test("a grant that is taken back without ending a session counts nowhere after 5 s", async () => {
  await cli(..."users allow bob@example.org --opens lab".split(" "));
  const cookie = await signInSoon("bob@example.org");
  await within5s(cookie, 200);
  // Bob may use the wiki by configuration: to be denied signs him out, to be granted less does not.
  const denied = await cli(..."users deny bob@example.org --note left".split(" "));
  expect([denied.code, denied.err]).toEqual([0, ""]);
  await within5s(cookie, 401);
  expect((await cli("link", "bob@example.org")).code).toBe(1);
  await cli(..."users allow bob@example.org --opens lab".split(" "));
  expect((await cli("link", "bob@example.org")).code).toBe(0);
});

test("whom their domain lets in all the same is not said to be in configuration alone", async () => {
  await cli("users", "allow", "@partner.example", "--opens", "lab");
  await cli("users", "allow", "dan@partner.example", "--opens", "lab");
  const { code, out, err } = await cli("users", "remove", "dan@partner.example");
  expect([code, out, err]).toEqual([
    0,
    expect.stringContaining("Ended: 1 grants"),
    expect.stringContaining("by configuration or by what their domain was given"),
  ]);
  expect((await cli("users", "remove", "@partner.example")).err).toBe("");
});

test("what is wrong is said", async () => {
  const wrong = async (...args: string[]) => {
    const { code, err } = await cli(...args);
    return [code, err.split("\n")[0]];
  };
  expect(await wrong("users", "allow", "@gmail.com", "--opens", "lab")).toEqual([
    1,
    "Anybody gets a mailbox at gmail.com, and would be let in. `runegate users allow @… --force` does that.",
  ]);
  expect(await wrong("users", "allow", "eve@example.org")).toEqual([
    1,
    "Say which applications, or a group: lab, wiki.",
  ]);
  expect((await wrong("users", "promote", "eve@example.org"))[0]).toBe(64);
  expect((await wrong("users", "deny", "eve@example.org", "--until", "3d"))[0]).toBe(64);
  expect((await wrong("requests", "approve"))[0]).toBe(64);
  expect(await wrong("requests", "approve", "A".repeat(22))).toEqual([
    1,
    "There is no such request any more.",
  ]);
});

test("requests are listed, approved and refused, and without an instance on the store", async () => {
  const bob = await signInSoon("bob@example.org");
  await cli("users", "remove", "bob@example.org");
  const again = await signInSoon("bob@example.org");
  await within5s(again, 403);
  expect(bob).not.toBe(again);
  const asked = await fetch(`${gateway.url}/_runegate/access`, {
    method: "POST",
    headers: { Cookie: again, Origin: gateway.url },
    body: new URLSearchParams({ route: "lab", reason: "a deadline" }),
  });
  expect([asked.status, await asked.json()]).toEqual([200, { state: "waiting" }]);
  const [request] = JSON.parse((await cli("requests", "--json")).out) as { id: string; reason: string }[];
  expect(request?.reason).toBe("a deadline");
  expect((await cli("requests")).out).toMatch(/bob@example\.org +lab .+a deadline/);
  const approved = await cli("requests", "approve", request?.id ?? "", "--until", "8h");
  expect(approved).toEqual({ code: 0, err: "", out: "bob@example.org may use lab now, and gets a mail." });
  await within5s(again, 200);
  expect((await cli("requests")).out).toBe("No request waits for an answer.");

  await gateway.stop();
  const invited = await cli(..."users invite dave@partner.example --opens lab,wiki".split(" "));
  // What is audited goes to the terminal.
  expect([invited.code, invited.out]).toEqual([0, "dave@partner.example is let in."]);
  expect(invited.err).toContain("user_invited");
  gateway = await run([join(REPOSITORY, "src/main.ts")], env, place.directory);
  expect(await everywhere(again)).toEqual(new Set([200]));
  expect((await cli("users")).out).toMatch(/dave@partner\.example +lab,wiki/);
});
