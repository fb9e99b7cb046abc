import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { guideBlocks } from "../deploy/guide.ts";
import { needs } from "../support/needs.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";
import { createPerson } from "./parties/person.ts";
import { type Provider, startProvider } from "./parties/provider.ts";

/** The guide's script that signs a program in with nothing but curl, as it is printed there. */

const MARK = "test/provider/device.system.test.ts";

const CASES = {
  yes: { email: "ada@example.org", allow: true },
  no: { email: "ada@example.org", allow: false },
  stranger: { email: "eve@example.org", allow: true },
} as const;
type Case = keyof typeof CASES;

describe.skipIf(needs("curl") === undefined)("a program without a browser, on curl alone", () => {
  let provider: Provider;
  const programs = new Map<Case, { readonly running: RunningProcess; readonly url: string }>();
  const script = guideBlocks().find((block) => block.kind === "tested" && block.why.includes(MARK))?.commands;

  // All at once: each asks for the first time after five seconds, by when everybody has decided.
  beforeAll(async () => {
    provider = await startProvider([{ id: "cli", secret: undefined, redirectUris: [], device: true }]);
    for (const name of Object.keys(CASES) as Case[]) {
      const program = await begin();
      programs.set(name, program);
      await decide(program.url, CASES[name]);
    }
  });
  afterAll(() => provider?.[Symbol.asyncDispose]());

  /** Starts the script, which says where to go. */
  async function begin() {
    const here = script?.replace(/^url=.*$/m, `url=${provider.issuer}/_runegate/oidc`) ?? "";
    const running = startProcess(["sh", "-c", here], { NO_PROXY: "*", no_proxy: "*" });
    const [, url = ""] = await running.waitFor(/Open (\S+)/, 20_000);
    return { running, url };
  }

  async function decide(url: string, { email, allow }: (typeof CASES)[Case]): Promise<void> {
    const person = createPerson();
    const page = await provider.signIn(person, await person.open(url), email);
    await person.send(page, { allow: String(allow) });
  }

  async function endOf(name: Case) {
    const program = programs.get(name);
    return { code: await program?.running.exited, output: program?.running.output() ?? "" };
  }

  test("a person says yes on another device, and the program is them", async () => {
    expect(programs.get("yes")?.url).toStartWith(`${provider.issuer}/_runegate/oidc/device?`);
    const { code, output } = await endOf("yes");
    expect([code, output]).toEqual([0, expect.stringContaining('"email":"ada@example.org"')]);
  });

  test.each([
    ["who says no", "no"],
    ["who may not use it", "stranger"],
  ] as const)("of somebody %s it is told, and has nothing", async (_, name) => {
    const { code, output } = await endOf(name);
    expect([code, output]).toEqual([1, expect.stringContaining("access_denied")]);
    expect(output).not.toContain("email");
  });
});
