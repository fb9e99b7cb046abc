import { afterEach, expect, test } from "bun:test";
import { parseClients } from "../../src/config/clients.ts";
import { ADMIN, type AdminStage, ROOT, startAdminStage } from "../admin/stage.ts";
import { asOperator, asUser } from "../api/support.ts";
import { createJar, type Jar, PHONE } from "../approval/support.ts";
import { auditOf } from "../login/support.ts";
import { ADA, basic, clientBlock, codeFor, type House, isActive, redeem, refresh } from "./support.ts";

/** What administrators see of clients, and end. */

let stage: AdminStage;
let house: House;
let ada: Jar;
let root: string;
afterEach(() => stage.gateway.stop());

async function start(): Promise<Record<string, string>> {
  const { clients } = parseClients(clientBlock("app", 'title = "The <b>app</b>"'), "clients.toml", undefined);
  stage = await startAdminStage({}, { clients });
  const { gateway, clock } = stage;
  const own = { ip: "198.51.100.20", userAgent: PHONE };
  const { baseUrl } = gateway.gateway.options;
  ada = createJar(gateway, { ...own, session: await gateway.signIn(ADA) }, baseUrl);
  house = { gateway, clock, browser: ada, issuer: baseUrl };
  root = await gateway.signIn(ROOT);
  const { status, body } = await redeem(house, await codeFor(ada));
  expect(status).toBe(200);
  return body;
}

const PAGE = `${ADMIN}/clients`;

test("the screen shows clients, and who uses them; revoking ends their tokens", async () => {
  const tokens = await start();
  const html = await (await stage.get(root, PAGE)).text();
  expect(html).toContain("The &#60;b&#62;app&#60;/b&#62;");
  expect(html).toContain(ADA);
  const fields = { do: "revoke", client: "app", email: ADA };
  expect((await stage.post(root, PAGE, fields, { Origin: "https://evil.example" })).status).toBe(403);
  expect(await isActive(house, tokens.access_token)).toBe(true);
  expect((await stage.post(root, PAGE, fields)).headers.get("location")).toContain("done=revoked");
  expect(await isActive(house, tokens.access_token)).toBe(false);
  expect((await refresh(house, tokens.refresh_token)).body.error).toBe("invalid_grant");
  expect(await (await stage.get(root, PAGE)).text()).not.toContain(ADA);
  expect(auditOf(stage.gateway)).toContainEqual(
    expect.objectContaining({ event: "client_tokens_revoked", email: ADA, client_id: "app", actor: ROOT }),
  );
});

test("the API lists and revokes, for administrators alone", async () => {
  const tokens = await start();
  const admin = asUser(stage.gateway, root);
  expect((await admin("GET", "/clients")).body).toMatchObject({
    items: [{ id: "app", public: false, consent: "none", device: false }],
  });
  expect((await admin("GET", "/clients/app/people")).body).toMatchObject({
    items: [{ email: ADA, sessions: 1 }],
  });
  expect((await asUser(stage.gateway, await stage.gateway.signIn(ADA))("GET", "/clients")).status).toBe(403);
  expect((await asUser(stage.gateway)("GET", "/clients")).status).toBe(401);
  expect((await admin("GET", "/clients/other/people")).status).toBe(404);
  const operator = asOperator(stage.gateway);
  expect((await operator("DELETE", `/clients/app/people/${ADA}`)).status).toBe(204);
  expect((await operator("DELETE", `/clients/app/people/${ADA}`)).status).toBe(404);
  expect(await isActive(house, tokens.access_token)).toBe(false);
});

test("new secrets: tokens and keys go on under the next, and what is under a lost one is in nobody's way", async () => {
  await start();
  const clock = stage.clock;
  const [before, after] = ["before-".repeat(12), "after-".repeat(13)];
  const { clients } = parseClients(clientBlock(), "clients.toml", undefined);
  const { stores } = stage.gateway;
  const first = await startAdminStage({ RUNEGATE_SESSION_KEY: before }, { clients, stores, clock });
  const { baseUrl } = first.gateway.gateway.options;
  const jar = createJar(
    first.gateway,
    { ip: "192.0.2.1", userAgent: PHONE, session: await first.gateway.signIn(ADA) },
    baseUrl,
  );
  const at = { gateway: first.gateway, clock, browser: jar, issuer: baseUrl };
  const { body } = await redeem(at, await codeFor(jar));
  const second = await startAdminStage(
    { RUNEGATE_SESSION_KEY: after, RUNEGATE_SESSION_KEY_PREVIOUS: before, RUNEGATE_BASE_URL: baseUrl },
    { clients, stores, clock },
  );
  const there = { ...at, gateway: second.gateway, issuer: second.gateway.url };
  expect(body.refresh_token).toBeString();
  const renewed = await refresh(there, body.refresh_token, {}, { ...basic(), Host: new URL(baseUrl).host });
  expect([renewed.status, renewed.body.error]).toEqual([200, undefined]);
  await Promise.all([first.gateway.gateway.stop(), second.gateway.gateway.stop()]);
});
