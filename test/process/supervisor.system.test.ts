import { expect, setDefaultTimeout, test } from "bun:test";
import { openStage } from "./stage.ts";

/** What the process that watches over workers does by itself: it has a gateway too, for the command line. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(60_000);

type Event = {
  readonly event: string;
  readonly details: { readonly heads?: string };
  readonly chain: { readonly writer: string };
};

test("a reload tells the end of the chain that was written before", async () => {
  await using stage = await openStage({ workers: 2, sqlite: true });
  stage.main.signal("SIGHUP");
  await stage.says(/ reloaded /);
  const { output } = await stage.command("audit", "export");
  const events = output
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Event);
  const writer = events.find(({ event }) => event === "started")?.chain.writer;
  const heads = events.flatMap(({ event, details }) => (event === "audit_head" ? (details.heads ?? "") : []));
  expect(heads.filter((text) => text.startsWith(`${writer}:`))).toHaveLength(1);
});

test("at the end it asks nothing more of a store that is closed", async () => {
  const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const options = {
    RUNEGATE_DYNAMIC_USERS: "true",
    // It is waited for, which is longer than what is looked for every now and then.
    RUNEGATE_LOG_SINKS: `http://127.0.0.1:${silent.port}/log`,
  };
  await using stage = await openStage({ workers: 2, sqlite: true, options });
  stage.main.signal("SIGTERM");
  expect(await stage.main.exited).toBe(0);
  expect(stage.complaints().filter((line) => line.includes("closed"))).toEqual([]);
  silent.stop(true);
});
