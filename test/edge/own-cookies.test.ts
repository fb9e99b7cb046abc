import { expect, test } from "bun:test";
import { startGateway } from "../support/gateway.ts";
import { startUpstream } from "../support/upstream.ts";

const OWN = ["login", "bind", "device", "kept", "last", "oidc"];

test.each([false, true])(
  "no cookie of ours reaches the application or is set by it, whatever is switched on (Secure: %p)",
  async (secure) => {
    const names = OWN.map((name) => `${secure && name !== "last" ? "__Host-" : ""}runegate_${name}`);
    const upstream = await startUpstream();
    const set = ["theirs", ...names].map((name) => `Set-Cookie: ${name}=1; Path=/`);
    upstream.on("/page", ({ reply }) => reply(200, set, ""));
    const env = { RUNEGATE_SECURE_COOKIE: `${secure}`, RUNEGATE_BASE_URL: "https://app.test" };
    const gateway = await startGateway({ target: upstream.url, env });
    const session = await gateway.signIn();
    const cookies = [session, ...["theirs", ...names].map((name) => `${name}=1`)].join("; ");
    const answer = await fetch(`${gateway.url}/page`, { headers: { Host: "app.test", Cookie: cookies } });
    expect(answer.status).toBe(200);
    expect(answer.headers.getSetCookie()).toEqual(["theirs=1; Path=/"]);
    const sent = upstream.requests.at(-1)?.fields.filter(([name]) => name.toLowerCase() === "cookie");
    expect(sent).toEqual([["Cookie", "theirs=1"]]);
    await gateway.stop();
    upstream.stop();
  },
);
