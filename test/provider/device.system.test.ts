import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { guideBlocks } from "../deploy/guide.ts";
import { needs } from "../support/needs.ts";
import { startProcess } from "../support/process.ts";
import { createPerson } from "./parties/person.ts";
import { type Provider, startProvider } from "./parties/provider.ts";

/** The guide's script that signs a program in with nothing but curl, as it is printed there. */

const MARK = "test/provider/device.system.test.ts";

describe.skipIf(needs("curl") === undefined)("a program without a browser, on curl alone", () => {
  let provider: Provider;
  const script = guideBlocks().find((block) => block.kind === "tested" && block.why.includes(MARK))?.commands;

  beforeAll(async () => {
    provider = await startProvider([{ id: "cli", secret: undefined, redirectUris: [], device: true }]);
  });
  afterAll(() => provider?.[Symbol.asyncDispose]());

  /** Starts the script, which says where to go. */
  async function begin() {
    const here = script?.replace(/^url=.*$/m, `url=${provider.issuer}/_runegate/oidc`) ?? "";
    const running = startProcess(["sh", "-c", here], { NO_PROXY: "*", no_proxy: "*" });
    const [, url = ""] = await running.waitFor(/Open (\S+)/, 20_000);
    return { running, url };
  }

  async function decide(url: string, email: string, yes: boolean) {
    const person = createPerson();
    const page = await provider.signIn(person, await person.open(url), email);
    return person.send(page, { allow: String(yes) });
  }

  test("a person says yes on another device, and the program is them", async () => {
    const { running, url } = await begin();
    expect(url).toStartWith(`${provider.issuer}/_runegate/oidc/device?`);
    await decide(url, "ada@example.org", true);
    expect(await running.exited).toBe(0);
    expect(running.output()).toContain('"email":"ada@example.org"');
  });

  test.each([
    ["who says no", "ada@example.org", false],
    ["who may not use it", "eve@example.org", true],
  ])("of somebody %s it is told, and has nothing", async (_, email, yes) => {
    const { running, url } = await begin();
    await decide(url, email, yes);
    expect(await running.exited).toBe(1);
    expect(running.output()).toContain("access_denied");
    expect(running.output()).not.toContain("email");
  });
});
