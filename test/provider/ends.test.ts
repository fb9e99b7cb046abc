import { afterEach, expect, test } from "bun:test";
import type { Clock } from "../../src/clock.ts";
import { parseClients } from "../../src/config/clients.ts";
import { createEndings } from "../../src/provider/endings.ts";
import { createProviderService } from "../../src/provider/service.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { type RecordStore, StoreUnavailable } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";
import type { Jar } from "../approval/support.ts";
import { testClock } from "../support/clock.ts";
import {
  ADA,
  basic,
  browserOf,
  CALLBACK,
  clientBlock,
  codeFor,
  type House,
  isActive,
  redeem,
  refresh,
  startProvider,
  tokensFor,
  userinfo,
} from "./support.ts";

/** Ends that come otherwise than by signing out: of sessions, of clients, of people on the list, of keys. */

const SECRETS = {
  RUNEGATE_JWT_SECRET: "jwt secret ".repeat(4),
  RUNEGATE_SESSION_KEY: "session key ".repeat(8),
};

let heard: string[] = [];
const application = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  async fetch(request) {
    heard.push(await request.text());
    return new Response(null);
  },
});
const TOLD = clientBlock("app", `backchannel_logout_uri = "http://127.0.0.1:${application.port}/"`);

let here: House;
let there: House | undefined;
let ada: Jar;
afterEach(async () => {
  await Promise.all([here.gateway.stop(), there?.gateway.stop()]);
  there = undefined;
});

async function start(
  clientsToml = clientBlock(),
  env: Record<string, string> = {},
  open: (clock: Clock) => Store = (clock) => createMemoryStore({ clock }),
): Promise<void> {
  heard = [];
  const clock = testClock(Date.parse("2026-03-01T12:00:00Z"));
  here = {
    ...(await startProvider({ clientsToml, clock, env: { ...SECRETS, ...env }, stores: open(clock) })),
    clock,
  };
  ada = await browserOf(here);
}

/** The same as it goes on once its configuration has been read again. */
async function goOn(clientsToml: string, env: Record<string, string> = {}): Promise<House> {
  const { clock, gateway } = here;
  const same = { ...SECRETS, RUNEGATE_BASE_URL: here.issuer, ...env };
  there = { ...(await startProvider({ clientsToml, clock, stores: gateway.stores, env: same })), clock };
  return there;
}

function endingsOf({ gateway }: House, toml: string) {
  const { clients } = parseClients(toml, "clients.toml", undefined);
  const service = createProviderService({ ...gateway.gateway, clients });
  return createEndings(gateway.gateway, service);
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > end) throw new Error("it did not come to that");
    await Bun.sleep(10);
  }
}

test("a session that runs out, of which nobody tells, is noticed by the sweep, once, and its client told", async () => {
  await start(TOLD);
  await tokensFor(here, ada);
  const endings = endingsOf(here, TOLD);
  await endings.sweep();
  await endings.look();
  expect(heard).toEqual([]);
  here.clock.advance(here.gateway.gateway.options.sessionTtl + 1000);
  await endings.sweep();
  await endings.look();
  expect(heard).toHaveLength(1);
  await endings.sweep();
  await endings.look();
  expect(heard).toHaveLength(1);
});

test("an end that cannot be noted for want of room or a store is told later by the sweep", async () => {
  let isAway = false;
  await start(TOLD, {}, (clock) => {
    const store = createMemoryStore({ clock });
    const records: RecordStore["records"] = (kind) => {
      const found = store.records(kind);
      if (kind.name !== "provider_ended") return found;
      return {
        ...found,
        add(...given) {
          if (isAway) throw new StoreUnavailable("no room");
          return found.add(...given);
        },
      };
    };
    return { ...store, records };
  });
  const tokens = await tokensFor(here, ada);
  isAway = true;
  await ada.post("/_runegate/logout", {});
  expect(await isActive(here, tokens.access_token)).toBe(false);
  isAway = false;
  const endings = endingsOf(here, TOLD);
  await endings.look();
  expect(heard).toEqual([]);
  await endings.sweep();
  await endings.look();
  expect(heard).toHaveLength(1);
});

test("a client that is taken out of clients.toml: its tokens are dead, those of others are not", async () => {
  const other = clientBlock("other", "", "the secret of another application");
  await start(clientBlock() + other);
  const tokens = await tokensFor(here, ada);
  const headers = basic("other", "the secret of another application");
  const { body } = await redeem(here, await codeFor(ada, { client_id: "other" }), {}, headers);
  const after = await goOn(other);
  expect((await userinfo(after, tokens.access_token)).status).toBe(401);
  expect((await refresh(after, tokens.refresh_token)).body.error).toBe("invalid_client");
  expect((await userinfo(after, body.access_token)).status).toBe(200);
  expect((await refresh(after, body.refresh_token, {}, headers)).status).toBe(200);
});

test("a client with another secret: the one before is worth nothing, and its tokens go on", async () => {
  await start();
  const tokens = await tokensFor(here, ada);
  const code = await codeFor(ada);
  const after = await goOn(clientBlock("app", "", "a new secret of the application"));
  expect((await redeem(after, code)).body.error).toBe("invalid_client");
  expect((await refresh(after, tokens.refresh_token)).body.error).toBe("invalid_client");
  const headers = basic("app", "a new secret of the application");
  expect((await refresh(after, tokens.refresh_token, {}, headers)).status).toBe(200);
});

test("a redirect URI that is taken out: a code that was sent there is worth nothing", async () => {
  await start();
  const code = await codeFor(ada);
  const after = await goOn(clientBlock().replace(`"${CALLBACK}", `, ""));
  expect((await redeem(after, code)).body.error).toBe("invalid_grant");
});

test("off the list between code and token, and between two refreshes: refused, and nothing is left", async () => {
  const list = { RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ALLOWED_EMAILS: `${ADA},bob@example.org` };
  await start(TOLD, list);
  const tokens = await tokensFor(here, ada);
  const code = await codeFor(ada);
  const after = await goOn(TOLD, { ...list, RUNEGATE_ALLOWED_EMAILS: "bob@example.org" });
  expect((await redeem(after, code)).body.error).toBe("invalid_grant");
  expect((await userinfo(after, tokens.access_token)).status).toBe(401);
  expect((await refresh(after, tokens.refresh_token)).body.error).toBe("invalid_grant");
  const endings = endingsOf(after, TOLD);
  await endings.sweep();
  await endings.look();
  await until(() => heard.length === 1);
});

test("taken off a client's own list: its next tokens are refused, the session goes on", async () => {
  await start();
  const tokens = await tokensFor(here, ada);
  const after = await goOn(clientBlock("app", 'allow = ["bob@example.org"]'));
  expect((await userinfo(after, tokens.access_token)).status).toBe(401);
  expect((await refresh(after, tokens.refresh_token)).body.error).toBe("invalid_grant");
});

test("under a new session key everybody keeps their sub and tokens, once the key before is gone too", async () => {
  await start();
  const tokens = await tokensFor(here, ada);
  const sub = (await userinfo(here, tokens.access_token)).body.sub;
  const after = { RUNEGATE_SESSION_KEY: "another key ".repeat(8) };
  const between = await goOn(clientBlock(), {
    ...after,
    RUNEGATE_SESSION_KEY_PREVIOUS: SECRETS.RUNEGATE_SESSION_KEY,
  });
  // What starts with both has sealed anew all there is.
  await until(() => between.gateway.lines.some((line) => line.includes("of the OpenID provider")));
  await between.gateway.stop();
  const last = await goOn(clientBlock(), after);
  const { body } = await redeem(last, await codeFor(await browserOf(last)));
  expect((await userinfo(last, body.access_token)).body.sub).toBe(sub ?? "?");
});

test("a client that does not answer has a few tries made, and keeps no other waiting", async () => {
  const toml =
    TOLD +
    clientBlock(
      "down",
      `backchannel_logout_uri = "http://127.0.0.1:9/"`,
      "the secret of another application",
    );
  await start(toml);
  const headers = basic("down", "the secret of another application");
  const jars = await Promise.all(
    Array.from({ length: 20 }, (_, at) => browserOf(here, `p${at}@example.org`)),
  );
  for (const jar of jars) {
    await redeem(here, await codeFor(jar, { client_id: "down" }), {}, headers);
    await tokensFor(here, jar);
  }
  let tried = 0;
  const { clients } = parseClients(toml, "clients.toml", undefined);
  const { gateway } = here.gateway;
  const service = createProviderService({ ...gateway, clients });
  const endings = createEndings(
    {
      ...gateway,
      async fetch(url) {
        if (!String(url).endsWith(":9/")) return fetch(url, { method: "POST", body: "" });
        tried++;
        return new Response(null, { status: 503 });
      },
    },
    service,
  );
  here.clock.advance(gateway.options.sessionTtl + 1000);
  await endings.sweep();
  await endings.look();
  expect(heard).toHaveLength(20);
  expect(tried).toBeWithin(1, 9);
  // None of them is given up for it.
  for (let minutes = 0; minutes < 60 && tried < 20; minutes++) {
    here.clock.advance(60_000);
    await endings.look();
  }
  expect(tried).toBeGreaterThanOrEqual(20);
});
