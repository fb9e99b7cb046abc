import { expect, test } from "bun:test";
import { asUser, JSON_BODY } from "../api/support.ts";
import { askFor, NAVIGATION, openLink, postLogin, redeem, sessionOf } from "../login/support.ts";
import { startGateway } from "../support/gateway.ts";

/** Nothing that opens something, and nothing that somebody else wrote at length, is in any event. */

const AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0 hunter2-agent";
const QUERY = "hunter2-query";

test("no token, code, cookie, key, mail, query or free name of a browser is in any event", async () => {
  const gateway = await startGateway({
    env: { RUNEGATE_API_KEYS: "true", RUNEGATE_NEW_DEVICE_MAIL: "true" },
  });
  try {
    const secrets: string[] = [QUERY, "hunter2-agent", "Gecko", "Mozilla"];
    const headers = { "User-Agent": AGENT, ...NAVIGATION };
    const go = (path: string, more: Record<string, string> = {}) =>
      fetch(`${gateway.url}${path}`, { redirect: "manual", headers: { ...headers, ...more } });

    // By the link, by the code, and both of them wrong, spent, and cut off.
    const byLink = await askFor(gateway, "ada@example.org", { headers });
    const byCode = await askFor(gateway, "bob@example.org", { headers });
    secrets.push(byLink.token, byLink.code, byLink.cookie, byCode.token, byCode.code, byCode.cookie);
    const ada = sessionOf(await openLink(gateway, byLink.token, { ...headers, Cookie: byLink.cookie })) ?? "";
    await openLink(gateway, byLink.token, { ...headers, Cookie: byLink.cookie });
    await openLink(gateway, byLink.token.slice(0, -9), headers);
    await openLink(gateway, "hunter2-token", headers);
    await redeem(gateway, { code: "1234 5678" }, { ...headers, Cookie: byCode.cookie });
    const bob =
      sessionOf(await redeem(gateway, { code: byCode.code }, { ...headers, Cookie: byCode.cookie })) ?? "";
    secrets.push("hunter2-token", ada, bob, ada.split("=")[1] ?? "", bob.split("=")[1] ?? "");

    // What is no address, requests that are refused, and what they carried.
    await postLogin(gateway, { email: "hunter2-typed, no address" }, headers);
    secrets.push("hunter2-typed");
    await go(`/secret?${QUERY}=${QUERY}`);
    await go(`/secret?${QUERY}`, {
      Cookie: "runegate_id=hunter2-cookie",
      Authorization: "Bearer rg_hunter2-key_x",
    });
    secrets.push("hunter2-cookie", "hunter2-key");
    await fetch(`${gateway.url}/_runegate/logout?${QUERY}`, {
      method: "POST",
      headers: { Origin: "https://evil.example", Cookie: ada, ...headers },
    });

    // A key of one's own, used, rotated, and ended; and the end of everything.
    const api = asUser(gateway, bob);
    const json = { ...JSON_BODY, Origin: gateway.url };
    const body = JSON.stringify({ description: "hunter2-description", expires_in: "7d" });
    const made = (await api("POST", "/me/tokens", { headers: json, body })).body as {
      token: string;
      id: string;
    };
    expect(typeof made.token).toBe("string");
    await go(`/x?${QUERY}`, { Authorization: `Bearer ${made.token}` });
    await go(`/x?${QUERY}`, { Authorization: `Bearer ${made.token.slice(0, -4)}xxxx` });
    const rotated = (await api("POST", `/me/tokens/${made.id}/rotate`, { headers: json, body: "{}" })).body;
    await api("DELETE", `/me/tokens/${made.id}`, { headers: json });
    secrets.push(made.token, `${(rotated as { token?: string }).token}`, "hunter2-description");
    await fetch(`${gateway.url}/_runegate/logout`, {
      method: "POST",
      redirect: "manual",
      headers: { Origin: gateway.url, Cookie: bob, ...headers },
    });
    for (const { subject = "", text = "" } of gateway.mailbox.mails() as readonly {
      subject?: string;
      text?: string;
    }[]) {
      for (const line of text.split("\n")) if (line.length > 25) secrets.push(line);
      expect(typeof subject).toBe("string");
    }

    const { items } = await gateway.gateway.auditTrail.find({});
    const seen = new Set(items.map(({ event }) => event));
    for (const event of [
      "login_requested",
      "login_refused",
      "mail_sent",
      "redeemed",
      "redemption_refused",
      "access_refused",
    ]) {
      expect({ event, seen: seen.has(event) }).toEqual({ event, seen: true });
    }
    for (const event of ["key_created", "key_refused", "key_rotated", "key_revoked", "logged_out"]) {
      expect({ event, seen: seen.has(event) }).toEqual({ event, seen: true });
    }
    const found = secrets.filter((secret) => secret.length > 3 && JSON.stringify(items).includes(secret));
    expect(found).toEqual([]);
    // Nor the whole id that the store has a session under.
    for (const { id } of await gateway.gateway.sessions.list())
      expect(JSON.stringify(items)).not.toContain(id);
    expect(items.find(({ event }) => event === "redeemed")?.client?.agent).toBe("Firefox on Linux");
    const refused = items.find(({ event }) => event === "access_refused");
    expect(refused?.details.path).not.toContain("?");
  } finally {
    await gateway.stop();
  }
});
