import { afterEach, expect, test } from "bun:test";
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
import { ADA, browserOf, codeFor, type House, redeem, startProvider, userinfo } from "./support.ts";

let house: House;
afterEach(() => house.gateway.stop());

test("from the sign-in to who it is: discovery, code, tokens, userinfo", async () => {
  house = await startProvider();
  const { issuer, clock } = house;
  for (const path of [
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/_runegate/oidc/.well-known/openid-configuration",
  ]) {
    const described = (await (await fetch(issuer + path)).json()) as Record<string, string>;
    expect(described).toMatchObject({ issuer, authorization_endpoint: `${issuer}/_runegate/oidc/authorize` });
  }
  const browser = await browserOf(house);
  const { status, body, headers } = await redeem(house, await codeFor(browser));
  expect(status).toBe(200);
  expect(headers.get("cache-control")).toBe("no-store");
  expect(body).toMatchObject({ token_type: "Bearer", expires_in: 600, scope: "openid email profile groups" });
  const keys = createRemoteJWKSet(new URL(`${issuer}/_runegate/oidc/jwks`));
  const idToken = await jwtVerify(body.id_token ?? "", keys, {
    ...{ issuer, audience: "app", typ: "JWT", algorithms: ["RS256"], currentDate: new Date(clock.now()) },
  });
  expect(idToken.payload).toMatchObject({
    ...{ email: ADA, email_verified: true, name: "ada", preferred_username: ADA, groups: [] },
    ...{ nonce: "the nonce", azp: "app", amr: ["email"], auth_time: clock.now() / 1000 },
  });
  expect(decodeProtectedHeader(body.access_token ?? "")).toMatchObject({ typ: "at+jwt", alg: "RS256" });
  const about = await userinfo(house, body.access_token);
  const { sub = "" } = idToken.payload;
  expect(about.body).toMatchObject({ sub, email: ADA });
  expect(sub).not.toContain("ada");
});
