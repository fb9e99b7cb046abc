import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStage } from "../process/stage.ts";
import { makeCertificate } from "../support/certificate.ts";
import { freePort } from "../support/process.ts";
import { TEST_TIMEOUT } from "./stage.ts";
import { chromium, openTab, type Tab } from "./tab.ts";

/** A browser with nothing between it and Runegate: TLS and HTTP/2 are Runegate's own. */

setDefaultTimeout(TEST_TIMEOUT);

const folder = mkdtempSync(join(tmpdir(), "runegate-http2-"));
afterAll(() => rmSync(folder, { recursive: true }));

function writePair(): void {
  const { cert, key } = makeCertificate();
  writeFileSync(join(folder, "localhost.key"), key, { mode: 0o600 });
  writeFileSync(join(folder, "localhost.crt"), cert);
}

async function open(http2: boolean) {
  const port = freePort();
  const origin = `https://localhost:${port}`;
  writePair();
  const stage = await openStage({
    options: {
      RUNEGATE_LISTEN: `127.0.0.1:${port}`,
      RUNEGATE_HTTP_LISTEN: "off",
      RUNEGATE_BASE_URL: origin,
      RUNEGATE_SECURE_COOKIE: "true",
      RUNEGATE_TLS: "files",
      RUNEGATE_TLS_CERT: folder,
      RUNEGATE_HTTP2: String(http2),
    },
  });
  return Object.assign(stage, { origin });
}

/** What a page came by, or what was fetched from it last. */
const protocol = (tab: Tab, type: "navigation" | "resource") =>
  tab.evaluate(`performance.getEntriesByType(${JSON.stringify(type)}).at(-1)?.nextHopProtocol`);

/** Does something in the page. */
const inPage = (tab: Tab, statements: string) => tab.evaluate(`(() => { ${statements} })()`);

const fetched = async (tab: Tab, path: string, init = {}) => {
  const asked = `fetch(${JSON.stringify(path)}, ${JSON.stringify(init)})`;
  await inPage(
    tab,
    `window.answer = undefined; ${asked}.then((r) => r.text()).then((text) => { window.answer = text; });`,
  );
  await tab.until("window.answer !== undefined");
  return tab.evaluate("window.answer");
};

describe.skipIf(chromium === undefined)("Chromium", () => {
  test("signs in over HTTP/2 by the page, and has pages, uploads, events and a WebSocket", async () => {
    await using stage = await open(true);
    const tab = await openTab();
    await tab.open(`${stage.origin}/`);
    expect(await protocol(tab, "navigation")).toBe("h2");
    await tab.click("#email");
    await tab.type("ada@example.org");
    await tab.follow("button");
    const [, code = ""] = await stage.says(/Mail for ada@example\.org\n[^\n]*\n +Code: (\d{4} \d{4})/);
    await tab.click("#code");
    await tab.type(code);
    await tab.until(`document.body.innerText === "hello"`);
    expect(await protocol(tab, "navigation")).toBe("h2");
    const { cookies } = (await tab.devtools("Network.getCookies")) as {
      cookies: { name: string; secure: boolean; httpOnly: boolean }[];
    };
    expect(cookies.find(({ name }) => name.endsWith("runegate_id"))).toMatchObject({
      ...{ secure: true, httpOnly: true },
    });

    expect(await fetched(tab, "/upload", { method: "POST", body: "x".repeat(300_000) })).toBe("300000");
    expect(await protocol(tab, "resource")).toBe("h2");
    expect(await fetched(tab, "/drip?n=3&ms=1")).toBe("x".repeat(3_000));
    expect(await protocol(tab, "resource")).toBe("h2");
    await inPage(
      tab,
      `window.events = new EventSource("/events");
      events.onmessage = ({ data }) => { window.heard = (window.heard ?? 0) + (data === "hello" ? 1 : 0); };
      window.socket = new WebSocket(location.origin.replace("https", "wss") + "/socket");
      socket.onopen = () => socket.send("over TLS");
      socket.onmessage = ({ data }) => { window.echoed = data; };
      socket.onclose = ({ code }) => { window.ended = code; };
      events.onerror = () => { window.broken = true; };`,
    );
    await tab.until("window.heard >= 3 && window.echoed === 'over TLS'");

    // Other certificates: what is open stays, and what is asked for next is answered.
    writePair();
    stage.main.signal("SIGHUP");
    await stage.says(/ goes on with other certificates /);
    expect(await fetched(tab, "/")).toBe("hello");
    expect(await protocol(tab, "resource")).toBe("h2");
    const before = Number(await tab.evaluate("window.heard"));
    await tab.until(`window.heard > ${before + 2}`);
    expect(await tab.evaluate("window.ended === undefined && window.broken === undefined")).toBe(true);

    // And all of it ends with the session.
    await inPage(tab, "events.onerror = () => { window.broken = true; events.close(); };");
    await stage.command("sessions", "revoke", "ada@example.org");
    await tab.until("window.ended === 1008 && window.broken === true");
    expect(await tab.complaints()).toEqual([]);
    await tab.close();
  });

  test("is answered by HTTP/1.1 where HTTP/2 is off", async () => {
    await using stage = await open(false);
    const tab = await openTab();
    await tab.open(`${stage.origin}/_runegate/login`);
    expect(await protocol(tab, "navigation")).toBe("http/1.1");
    await tab.close();
  });
});
