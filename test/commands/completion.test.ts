import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COMMAND_NAMES } from "../../src/commands/list.ts";
import { main } from "../../src/main.ts";
import { needs } from "../support/needs.ts";
import { recordedIo } from "../support/recorded-io.ts";

// Shells are started here, on machines that may be busy.
setDefaultTimeout(60_000);

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "runegate-completion-"));
  writeFileSync(join(directory, "unusual.toml"), "");
});
afterAll(() => rmSync(directory, { recursive: true }));

async function scriptFor(shell: string): Promise<string> {
  const io = recordedIo();
  expect(await main(["completion", shell], io)).toBe(0);
  const path = join(directory, `script.${shell}`);
  writeFileSync(path, `${io.stdout.join("\n")}\n`);
  return path;
}

/** What is typed, and what the shell makes of it when the tab key is pressed. */
const COMPLETED: [string, string][] = [
  ["runegate ser", "runegate serve "],
  ["runegate --link-c", "runegate --link-confirm "],
  ["runegate serve --targ", "runegate serve --target"],
  ["runegate serve --no-request", "runegate serve --no-request-logs "],
  ["runegate serve --link-confirm nev", "runegate serve --link-confirm never "],
  ["runegate serve --link-confirm=al", "runegate serve --link-confirm=always "],
  ["runegate serve --email-config unu", "runegate serve --email-config unusual.toml "],
  ["runegate mail prev", "runegate mail preview "],
  ["runegate mail --op", "runegate mail --open "],
  ["runegate sessions rev", "runegate sessions revoke "],
  ["runegate config --example em", "runegate config --example email "],
  ["runegate help comp", "runegate help completion "],
  ["runegate version --j", "runegate version --json "],
  // Neither a secret nor what another command reads.
  ["runegate serve --jwt-secret-p", "runegate serve --jwt-secret-previous-file "],
  ["runegate version --lis", "runegate version --lis"],
];

const PROMPT = "ready> ";
const SHELLS = {
  bash: ["bash", "--norc", "--noprofile", "-i"],
  zsh: ["zsh", "-f", "-i"],
} as const;

describe.each(["bash", "zsh"] as const)("in %s", (shell) => {
  test.skipIf(needs(shell) === undefined)("the tab key completes", async () => {
    const script = await scriptFor(shell);
    let screen = "";
    let look = () => {};
    const terminal = new Bun.Terminal({
      cols: 200,
      data(_, data) {
        screen += new TextDecoder().decode(data);
        look();
      },
    });
    const child = Bun.spawn([...SHELLS[shell]], {
      terminal,
      cwd: directory,
      env: { PATH: process.env.PATH ?? "", HOME: directory, TERM: "dumb", PS1: PROMPT },
    });
    const waitFor = async (text: string) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      // What is typed before the prompt is there, the terminal may take for itself.
      look = () => screen.slice(screen.indexOf(text)).includes(PROMPT) && screen.includes(text) && resolve();
      const late = setTimeout(() => reject(new Error(`no ${JSON.stringify(text)} in:\n${screen}`)), 20_000);
      look();
      await promise.finally(() => clearTimeout(late));
    };
    await waitFor(PROMPT);
    // What a line has become is printed in place of being run.
    terminal.write(
      `runegate() { printf 'did[%s]\\n' "$(printf ' %s' "$@")"; }; source ${script}; echo load''ed\r`,
    );
    await waitFor("loaded");
    for (const [typed, expected] of COMPLETED) {
      screen = "";
      terminal.write(`${typed}\tX\r`);
      await waitFor(`did[ ${`${expected}X`.replace(/^runegate /, "").replaceAll(" ", " ")}]`);
    }
    child.kill("SIGKILL");
    await child.exited;
    terminal.close();
  });
});

describe("in fish", () => {
  const fish = needs("fish");
  async function completionsOf(line: string): Promise<string[]> {
    const script = await scriptFor("fish");
    const child = Bun.spawn(["fish", "--no-config", "-c", `source ${script}; complete -C "$argv[1]"`, line], {
      cwd: directory,
      env: { PATH: process.env.PATH ?? "", HOME: directory },
      stderr: "pipe",
    });
    expect([await child.exited, await child.stderr.text()]).toEqual([0, ""]);
    const lines = (await child.stdout.text()).split("\n").filter((one) => one !== "");
    return lines.map((one) => one.split("\t", 1)[0] ?? "");
  }
  test.skipIf(fish === undefined)("every command is offered", async () => {
    expect((await completionsOf("runegate ")).sort()).toEqual([...COMMAND_NAMES].sort());
  });
  test.skipIf(fish === undefined).each([
    ["runegate ser", ["serve"]],
    ["runegate serve --targ", ["--target", "--target-service"]],
    ["runegate serve --no-request", ["--no-request-logs"]],
    ["runegate serve --link-confirm ", ["always", "auto", "never"]],
    ["runegate serve --link-confirm=ne", ["--link-confirm=never"]],
    ["runegate serve --email-config unu", ["unusual.toml"]],
    ["runegate sessions ", ["list", "revoke"]],
    ["runegate routes ", ["down", "list", "test", "up"]],
    ["runegate config --example ", ["clients", "email", "env", "routes"]],
    ["runegate completion ", ["bash", "fish", "zsh"]],
    ["runegate serve --jwt-secret-p", ["--jwt-secret-previous-file"]],
    ["runegate version --lis", []],
  ])("%s", async (line, expected) => expect((await completionsOf(line)).sort()).toEqual(expected));
});

test.each([[[]], [["tcsh"]], [["bash", "zsh"]]])("another shell is a mistake: %j", async (args) => {
  const io = recordedIo();
  expect(await main(["completion", ...args], io)).toBe(64);
  expect(io.stderr.join()).toContain("completion takes the name of a shell: bash, zsh, fish.");
});
