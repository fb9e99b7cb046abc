import { until } from "../../process/stage.ts";
import type { RunningProcess } from "../../support/process.ts";

/** Waits until a server answers, whatever it answers. @throws with what it said, when it has ended instead. */
export async function ready(url: string, running: RunningProcess): Promise<void> {
  let code: number | undefined;
  void running.exited.then((ended) => {
    code = ended;
  });
  await until(
    `${url} answers`,
    async () => {
      if (code !== undefined) throw new Error(`ended with ${code}:\n${running.output()}`);
      return fetch(url, { redirect: "manual" }).then(
        () => true,
        () => false,
      );
    },
    120_000,
  );
}
