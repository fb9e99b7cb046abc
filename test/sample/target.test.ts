import { expect, test } from "bun:test";
import { UsageError } from "../../src/commands/command.ts";
import { runCommand } from "../../src/commands/run.ts";
import { target } from "../../src/commands/target.ts";
import { EXIT } from "../../src/exit.ts";
import { startSample } from "../../src/sample/app.ts";
import { recordedIo } from "../support/recorded-io.ts";

const MAIN = `${import.meta.dir}/../../src/main.ts`;

test.each(["SIGINT", "SIGTERM"] as const)("runs until %s, and says where it is", async (signal) => {
  const child = Bun.spawn([process.execPath, MAIN, "target", "--listen", "127.0.0.1:0"], { stdout: "pipe" });
  try {
    let said = "";
    for await (const chunk of child.stdout) {
      said += new TextDecoder().decode(chunk);
      if (said.includes("\n")) break;
    }
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0];
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    child.kill(signal);
    expect(await child.exited).toBe(EXIT.done);
  } finally {
    child.kill("SIGKILL");
  }
});

test("a port in use is an error that says what to do", async () => {
  const other = startSample({ hostname: "127.0.0.1", port: 0 });
  const io = recordedIo();
  expect(await runCommand(target, ["--listen", `127.0.0.1:${other.port}`], io)).toBe(EXIT.failed);
  expect(io.stderr).toEqual([
    `The sample application cannot listen on port ${other.port}: it is in use. ` +
      "Stop what uses it, or choose another with --listen.",
  ]);
  await other.stop();
});

test.each(["127.0.0.1", "127.0.0.1:65536", "::1:7860", "unix:/tmp/sample", "example.org:80", ""])(
  "--listen %j is a usage error",
  async (listen) => {
    await expect(runCommand(target, ["--listen", listen], recordedIo())).rejects.toThrow(UsageError);
  },
);
