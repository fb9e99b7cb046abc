import { afterEach, describe, expect, test } from "bun:test";
import { createRemoteJWKSet, jwtVerify } from "jose";
import type { Clock } from "../../src/clock.ts";
import type { Store } from "../../src/store/store.ts";
import type { Jar } from "../approval/support.ts";
import { testClock } from "../support/clock.ts";
import {
  browserOf,
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

/**
 * Two processes that share a store: what one begins, the other finishes, and of all that come together one gets it.
 * @param open gives one more way to the same store.
 */
export function providerRows(name: string, open: (clock: Clock) => Promise<Store>): void {
  describe(`two processes on ${name}`, () => {
    let here: House;
    let there: House;
    let ada: Jar;
    afterEach(() => Promise.all([here.gateway.stop(), there.gateway.stop()]));

    async function start(clientsToml = clientBlock()): Promise<void> {
      const clock = testClock(Date.now());
      const secret = "two processes, one secret, at least thirty-two bytes";
      const env = { RUNEGATE_JWT_SECRET: secret, RUNEGATE_SESSION_KEY: secret.repeat(2) };
      here = { ...(await startProvider({ clientsToml, clock, env, stores: await open(clock) })), clock };
      // Before there is another whose outbox might take the mail.
      ada = await browserOf(here);
      const same = { ...env, RUNEGATE_BASE_URL: here.issuer };
      there = {
        ...(await startProvider({ clientsToml, clock, env: same, stores: await open(clock) })),
        clock,
      };
    }

    test("a code of one is redeemed by the other, with keys that both publish", async () => {
      await start();
      const { body } = await redeem(there, await codeFor(ada));
      const { body: own } = await redeem(here, await codeFor(ada));
      for (const { issuer } of [here, there]) {
        const keys = createRemoteJWKSet(new URL(`${issuer}/_runegate/oidc/jwks`));
        for (const token of [body.id_token, own.id_token]) {
          const { payload } = await jwtVerify(token ?? "", keys, { issuer: here.issuer, audience: "app" });
          expect(payload.sub).toBeString();
        }
      }
      expect((await userinfo(here, body.access_token)).status).toBe(200);
      expect((await refresh(here, body.refresh_token)).status).toBe(200);
      expect((await refresh(there, body.refresh_token)).body.error).toBe("invalid_grant");
      expect(await isActive(here, body.access_token)).toBe(false);
    });

    test("of many redemptions of one code at both, at most one gets tokens, and keeps none", async () => {
      await start();
      const code = await codeFor(ada);
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, at) => redeem(at % 2 === 0 ? here : there, code)),
      );
      const good = answers.filter(({ status }) => status === 200);
      expect(good.length).toBeLessThanOrEqual(1);
      for (const { body } of good) expect(await isActive(there, body.access_token)).toBe(false);
    });

    test("a session that ends at one ends tokens at the other, and its client hears of it once", async () => {
      const heard: string[] = [];
      await using application = Bun.serve({
        port: 0,
        hostname: "127.0.0.1",
        async fetch(request) {
          heard.push(await request.text());
          return new Response(null);
        },
      });
      await start(clientBlock("app", `backchannel_logout_uri = "http://127.0.0.1:${application.port}/"`));
      const tokens = await tokensFor(here, ada);
      expect((await userinfo(there, tokens.access_token)).status).toBe(200);
      await ada.post("/_runegate/logout", {});
      const end = performance.now() + 5000;
      while (heard.length === 0 && performance.now() < end) await Bun.sleep(20);
      expect(heard).toHaveLength(1);
      // Where the store does not push, a session may be remembered for some seconds.
      here.clock.advance(5000);
      expect((await userinfo(there, tokens.access_token)).status).toBe(401);
      expect((await refresh(there, tokens.refresh_token)).body.error).toBe("invalid_grant");
      expect(heard).toHaveLength(1);
    });
  });
}
