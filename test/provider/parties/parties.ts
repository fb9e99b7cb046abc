import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, openTab, type Tab } from "../../browser/tab.ts";
import { freePort, type RunningProcess } from "../../support/process.ts";
import { apache } from "./apache.ts";
import { holdParties } from "./drive.ts";
import { gitea } from "./gitea.ts";
import { jupyterHub } from "./jupyterhub.ts";
import { nodeRed } from "./node-red.ts";
import { oauth2Proxy } from "./oauth2-proxy.ts";
import { type Provider, startProvider } from "./provider.ts";
import { startStreamlit, streamlitClient } from "./streamlit.ts";
import { authlib, djangoAllauth, expressOpenidConnect, mozillaDjangoOidc } from "./web-apps.ts";

/** Relying parties that others wrote, as `npm run test:parties` runs them. What it said last stands in README.md beside it. */

// The first time, everything is installed.
setDefaultTimeout(900_000);

holdParties([
  ...[oauth2Proxy, authlib, expressOpenidConnect, mozillaDjangoOidc, djangoAllauth],
  ...[jupyterHub, nodeRed, apache, gitea],
]);

describe.skipIf(chromium === undefined)("Streamlit, in a browser", () => {
  let provider: Provider;
  let running: RunningProcess;
  let origin: string;
  let directory: string;
  let tab: Tab;

  beforeAll(async () => {
    const port = freePort();
    origin = `http://localhost:${port}`;
    directory = mkdtempSync(join(tmpdir(), "runegate-party-"));
    const client = { id: "streamlit", ...streamlitClient(origin) };
    provider = await startProvider([client]);
    running = await startStreamlit({ port, origin, client, directory, issuer: provider.issuer });
    tab = await openTab();
  });
  afterAll(async () => {
    await tab?.close();
    running?.signal("SIGKILL");
    await running?.exited;
    await provider?.[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  const says = (at: string, text: string) =>
    tab.until(`location.origin === "${at}" && document.body.innerText.includes("${text}")`);
  const BUTTON = "[data-testid=stButton] button";

  test("a person signs in, is known with their groups, and signs out on both sides", async () => {
    await tab.open(origin);
    await says(origin, "Who are you?");
    await tab.click(BUTTON);
    await tab.until(`location.origin === "${provider.issuer}" && document.readyState === "complete"`);
    await tab.click("#email");
    await tab.type("ada@example.org");
    await tab.follow("button");
    await tab.click("#code");
    // The last digit sends it.
    await tab.type(await provider.codeFor("ada@example.org"));
    await says(origin, "Hello ada@example.org of staff");
    await tab.click(BUTTON);
    await says(origin, "Who are you?");
    await tab.open(`${provider.issuer}/`);
    expect(await tab.where()).toContain("/_runegate/login");
  });
});
