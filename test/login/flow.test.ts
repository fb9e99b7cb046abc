import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Sample, startSample } from "../../src/sample/app.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";

/** The main job, from the front door: ask, click, be let through, leave. */

let sample: Sample;
let gateway: TestGateway;

beforeAll(async () => {
  sample = startSample({ hostname: "127.0.0.1", port: 0 });
  gateway = await startGateway({ target: sample.url });
});

afterAll(async () => {
  await gateway.stop();
  await sample.stop();
});

describe("a whole login", () => {
  test("ends at the application, which is told who is asking, until logout", async () => {
    const cookie = await gateway.signIn("ada@example.org");
    const whoami = await fetch(`${gateway.url}/whoami`, { headers: { Cookie: cookie } });
    expect(await whoami.json()).toMatchObject({
      identity: { authenticated: true, user: "ada@example.org" },
    });
    const out = await fetch(`${gateway.url}/_runegate/logout`, {
      method: "POST",
      headers: { Cookie: cookie },
    });
    expect(out.status).toBe(200);
    const after = await fetch(`${gateway.url}/whoami`, { headers: { Cookie: cookie } });
    expect(after.status).toBe(401);
    expect(await after.json()).toMatchObject({ error: "unauthenticated" });
  });
});
