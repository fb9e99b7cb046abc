import { expect, test } from "bun:test";
import { join } from "node:path";

/**
 * What holds between browser and application holds with a tunnel between them. Left out is what is otherwise there: a connection to
 * the application is made by its connector, which waits for it in its own time, and none is used twice, which the application is told.
 */
const FILES = ["requests", "responses", "events", "small-bodies", "websocket", "limits", "back-pressure"];

test("the tests of the data path, with a tunnel as the target", async () => {
  const files = FILES.map((name) => join(import.meta.dir, `../proxy/${name}.test.ts`));
  const ran = Bun.spawn([process.execPath, "test", ...files], {
    env: { ...process.env, RUNEGATE_TEST_TUNNEL: "1" },
    ...{ stdout: "inherit", stderr: "inherit" },
  });
  expect(await ran.exited).toBe(0);
}, 180_000);
